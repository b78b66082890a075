"""What is written about a node that is proven dead."""

from datetime import UTC, datetime

import pytest

from fencing import recovery
from hostler.api.fencing import FENCED_BOOT, FENCED_BY, OUT_OF_SERVICE, FenceOperation, FenceProof
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.launcher import OWNER_EPOCH
from hostler.api.objects import Node, Pod

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
OP = FenceOperation.model_validate(
    {
        "metadata": {"name": "n-1"},
        "spec": {"nodeName": "n", "bootID": "old", "mode": "Enforce", "reason": "r", "requestedBy": "t"},
    }
)
PROOF = FenceProof(kind="PowerOff", at="2026-01-01T11:59:59Z", boot_id="old", message="bmc read off 2 times")
OURS = {"key": OUT_OF_SERVICE, "value": "nodeshutdown", "effect": "NoExecute"}
THEIRS = {"key": "other", "effect": "NoSchedule"}


def node(*taints, by="", ready="False"):
    annotations = {FENCED_BY: by} if by else {}
    return Node.model_validate(
        {
            "metadata": {"name": "n", "resourceVersion": "7", "annotations": annotations},
            "spec": {"taints": list(taints)},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }
    )


def test_taint_beside_the_others_and_only_if_nothing_changed():
    patch = recovery.taint(node(THEIRS), OP)
    assert patch == {
        "metadata": {"resourceVersion": "7", "annotations": {FENCED_BY: "n-1", FENCED_BOOT: "old"}},
        "spec": {"taints": [THEIRS, OURS]},
    }
    assert recovery.taint(node(THEIRS, OURS, by="n-1"), OP) is None, "it is there"
    assert recovery.taint(node(OURS), OP) is not None, "somebody's own: now it is ours, too"


def test_untaint_takes_only_ours():
    assert recovery.untaint(node(OURS, THEIRS, by="n-1"))["spec"]["taints"] == [THEIRS]


@pytest.mark.parametrize(
    ("seen", "boot", "renewed", "expected"),
    [
        pytest.param(node(OURS, by="n-1", ready="True"), "new", True, True, id="a new boot, alive and ready"),
        pytest.param(node(OURS, by="n-1", ready="True"), "old", True, False, id="the boot that was fenced"),
        pytest.param(node(OURS, by="n-1", ready="True"), "", True, False, id="no lease"),
        pytest.param(node(OURS, by="n-1"), "new", True, False, id="not ready"),
        pytest.param(node(OURS, by="n-1", ready="True"), "new", False, False, id="an old lease of a new boot"),
        pytest.param(node(OURS, ready="True"), "new", True, False, id="somebody else's taint"),
        pytest.param(node(OURS, by="n-2", ready="True"), "new", True, False, id="another operation's"),
    ],
)
def test_rejoin(seen, boot, renewed, expected):
    assert recovery.rejoined(OP, seen, boot, renewed) is expected


@pytest.mark.parametrize(
    ("fenced", "boot", "renewed", "ready", "expected"),
    [
        pytest.param("old", "new", True, "True", True, id="a new boot, alive and ready"),
        pytest.param("old", "old", True, "True", False, id="the boot that was fenced"),
        pytest.param("old", "", True, "True", False, id="no lease"),
        pytest.param("old", "new", False, "True", False, id="an old lease of a new boot"),
        pytest.param("old", "new", True, "False", False, id="not ready"),
        pytest.param(None, "new", True, "True", False, id="nobody knows what was fenced"),
    ],
)
def test_a_node_whose_operation_was_deleted(fenced, boot, renewed, ready, expected):
    seen = node(OURS, by="n-1", ready=ready)
    if fenced is not None:
        seen.metadata.annotations[FENCED_BOOT] = fenced
    assert recovery.forgotten(seen, boot, renewed) is expected


@pytest.mark.parametrize(
    ("meta", "held"),
    [
        ({"finalizers": ["x"], "deletionTimestamp": "2026-01-01T11:59:59Z"}, True),
        ({"finalizers": ["x"]}, False),
        ({"deletionTimestamp": "2026-01-01T11:59:59Z"}, False),
    ],
)
def test_a_pod_that_only_its_finalizers_hold(meta, held):
    assert recovery.held(Pod.model_validate({"metadata": {"name": "p"} | meta})) is held


def pod(name, owner="", started=True, **annotations):
    owners = [{"apiVersion": "v1", "kind": owner, "name": f"{name}-owner", "uid": "u", "controller": True}]
    meta = {"name": name, "namespace": "ns", "annotations": annotations, "ownerReferences": owners if owner else []}
    status = {"phase": "Running", "startTime": "2026-01-01T11:00:00Z"} if started else {"phase": "Pending"}
    return Pod.model_validate({"metadata": meta, "status": status})


def test_which_pods_ended():
    vm, daemon = pod("vm", "VirtualMachineInstance"), pod("agent", "DaemonSet")
    mirror = pod("etcd", "Node", **{"kubernetes.io/config.mirror": "x"})
    # one that bears every taint is bound to the dead node, ended, and bound there again, for ever
    tolerant = pod("dns", "ReplicaSet", started=False)
    fresh = pod("late", "VirtualMachineInstance", started=False)
    dead = recovery.ended([vm, daemon, mirror, pod("bare"), pod("web", "ReplicaSet"), tolerant, fresh])
    assert [each.metadata.name for each in dead] == ["vm", "bare", "web", "late"]
    assert recovery.owners(dead) == {("ns", "vm-owner"), ("ns", "late-owner")}


def vmi(phase="Running", on="n", **annotations):
    status = {"phase": phase, "nodeName": on, "conditions": [{"type": "Ready", "status": "True"}]}
    status["phaseTransitionTimestamps"] = [{"phase": "Running", "phaseTransitionTimestamp": "2026-01-01T11:00:00Z"}]
    meta = {"name": "web", "namespace": "ns", "uid": "u", "resourceVersion": "5", "annotations": annotations}
    spec = {"domain": {"devices": {}}}
    return VirtualMachineInstance.model_validate({"metadata": meta, "spec": spec, "status": status})


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(vmi(), True, id="running here"),
        pytest.param(vmi("Scheduled", None), True, id="about to"),
        pytest.param(vmi("Failed"), False, id="ended before"),
        pytest.param(vmi(on="other"), False, id="migrated away: the pod here was its source or target"),
    ],
)
def test_which_guests_are_lost(seen, expected):
    assert recovery.lost(seen, "n") is expected


def test_a_guest_ends_with_its_node():
    patch = recovery.fail(vmi(**{OWNER_EPOCH: "4"}), OP, PROOF, 5, NOON)
    assert patch["metadata"] == {"resourceVersion": "5", "annotations": {OWNER_EPOCH: "5"}}
    status = patch["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "NodeFenced")
    assert [each["phase"] for each in status["phaseTransitionTimestamps"]] == ["Running", "Failed"]
    (ready,) = status["conditions"]
    assert (ready["status"], ready["reason"]) == ("False", "NodeFenced")
    assert "bmc read off 2 times" in ready["message"]


@pytest.mark.parametrize(("text", "number"), [("", 0), ("3", 3), ("-1", 0), ("x", 0), ("9" * 40, 0)])
def test_epochs_are_read_with_suspicion(text, number):
    assert recovery.epoch({OWNER_EPOCH: text} if text else {}) == number
