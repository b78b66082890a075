"""How far a rollout is, in kubectl's words; and what goes back with it."""

from typing import Any

import pytest

from hostler.api.apps import CHANGE_CAUSE, VirtualMachineDaemonSet, VirtualMachineDeployment, VirtualMachineStatefulSet
from hostler.api.kubevirt.pool import VirtualMachinePool
from hostler.cli import revisions
from hostler.cli.revisions import Found, Revision
from hostler.runtime.errors import Terminal

TIMED_OUT = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}


def found(kind: Any, spec: Any, **status: Any) -> Found:
    body = {"metadata": {"generation": 2}, "spec": spec, "status": {"observedGeneration": 2} | status}
    return Found(kind, "web", body)


@pytest.mark.parametrize(
    ("status", "says", "done"),
    [
        ({"observedGeneration": 1}, "Waiting for the spec update", False),
        ({"updatedReplicas": 1, "replicas": 3}, "1 out of 3 new replicas have been updated", False),
        ({"updatedReplicas": 3, "replicas": 4}, "1 old replicas are pending termination", False),
        ({"updatedReplicas": 3, "replicas": 3, "availableReplicas": 2}, "2 of 3 updated replicas are available", False),
        ({"updatedReplicas": 3, "replicas": 3, "availableReplicas": 3}, "successfully rolled out", True),
    ],
)
def test_deployments(status: Any, says: str, done: bool) -> None:
    line, over = revisions.progress(found(VirtualMachineDeployment, {"replicas": 3}, **status))
    assert (says in line, over) == (True, done)


@pytest.mark.parametrize(
    ("status", "says", "done"),
    [
        ({"updatedNumberScheduled": 1}, "1 out of 2 new virtual machine instances have been updated", False),
        ({"updatedNumberScheduled": 2, "numberAvailable": 1}, "1 of 2 updated virtual machine instances", False),
        ({"updatedNumberScheduled": 2, "numberAvailable": 2}, "successfully rolled out", True),
    ],
)
def test_daemon_sets(status: Any, says: str, done: bool) -> None:
    line, over = revisions.progress(found(VirtualMachineDaemonSet, {}, desiredNumberScheduled=2, **status))
    assert (says in line, over) == (True, done)


OLD_AND_NEW = {"currentRevision": "a", "updateRevision": "b"}


@pytest.mark.parametrize(
    ("partition", "status", "says", "done"),
    [
        (0, {"readyReplicas": 1}, "Waiting for 1 virtual machine instances to be ready", False),
        (
            0,
            {"readyReplicas": 2, "updatedReplicas": 1} | OLD_AND_NEW,
            "1 virtual machine instances at revision b",
            False,
        ),
        (0, {"readyReplicas": 2, "currentRevision": "b", "updateRevision": "b"}, "rolling update complete 2", True),
        (1, {"readyReplicas": 2, "updatedReplicas": 0}, "0 out of 1 new virtual machine instances", False),
        (1, {"readyReplicas": 2, "updatedReplicas": 1} | OLD_AND_NEW, "partitioned roll out complete: 1", True),
    ],
)
def test_stateful_sets(partition: int, status: Any, says: str, done: bool) -> None:
    spec = {"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": partition}}}
    line, over = revisions.progress(found(VirtualMachineStatefulSet, spec, **status))
    assert (says in line, over) == (True, done)


@pytest.mark.parametrize(
    ("reason", "says", "done"),
    [
        ("Updating", 'Waiting for pool "web" rollout to finish: 1 of 3...', False),
        ("UpdateComplete", 'pool "web" successfully rolled out', True),
    ],
)
def test_pools(reason: str, says: str, done: bool) -> None:
    condition = {"type": "Progressing", "status": "True", "reason": reason, "message": "1 of 3"}
    assert revisions.progress(found(VirtualMachinePool, {}, conditions=[condition])) == (says, done)


def test_a_pool_that_has_stopped() -> None:
    condition = TIMED_OUT | {"message": "web-0 not Ready"}
    with pytest.raises(Terminal, match="has stopped its update: web-0 not Ready"):
        revisions.progress(found(VirtualMachinePool, {}, conditions=[condition]))
    with pytest.raises(Terminal, match="only available for the proactive"):
        revisions.progress(found(VirtualMachinePool, {"updateStrategy": {"opportunistic": {}}}))


def test_nobody_rolls_what_waits_for_its_user() -> None:
    with pytest.raises(Terminal, match="only available for RollingUpdate"):
        revisions.progress(found(VirtualMachineDaemonSet, {"updateStrategy": {"type": "OnDelete"}}))


def test_a_failed_rollout() -> None:
    with pytest.raises(Terminal, match="exceeded its progress deadline"):
        revisions.progress(found(VirtualMachineDeployment, {"replicas": 3}, conditions=[TIMED_OUT]))


async def test_what_nobody_knows() -> None:
    with pytest.raises(Terminal, match="want KIND/NAME, the kind one of vmdeploy"):
        await revisions.find(None, "shop", "web")  # type: ignore[arg-type]


def test_a_template_as_its_user_wrote_it() -> None:
    metadata = {"labels": {"app": "web", "pod-template-hash": "x"}, "generateName": "web-x-", "annotations": {}}
    assert revisions.plain({"metadata": metadata, "spec": {"a": 1}}) == {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"a": 1},
    }


@pytest.mark.parametrize(
    ("kind", "annotations", "cause", "expected"),
    [
        pytest.param(VirtualMachineDeployment, {CHANGE_CAUSE: "bad"}, "good", ("add", "good"), id="as it was"),
        pytest.param(VirtualMachineDeployment, {CHANGE_CAUSE: "bad"}, "", ("remove", None), id="nobody said why"),
        pytest.param(VirtualMachineDeployment, {"other": "x"}, "good", ("add", "good"), id="nobody says why now"),
        pytest.param(VirtualMachineDeployment, {}, "good", ("add", {CHANGE_CAUSE: "good"}), id="no annotations"),
        pytest.param(VirtualMachineDeployment, {CHANGE_CAUSE: "good"}, "good", None, id="it says so"),
        pytest.param(VirtualMachineStatefulSet, {CHANGE_CAUSE: "bad"}, "good", None, id="kept in its revisions"),
    ],
)
def test_the_cause_goes_back_with_the_template(kind: Any, annotations: Any, cause: str, expected: Any) -> None:
    deployment = Found(kind, "web", {"metadata": {"annotations": annotations}})
    change = revisions.cause(deployment, Revision(1, cause, {}))
    assert [(each["op"], each.get("value")) for each in change] == ([expected] if expected else [])
    assert {each["path"] for each in change} <= {
        "/metadata/annotations",
        "/metadata/annotations/kubernetes.io~1change-cause",
    }
