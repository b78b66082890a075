"""The planner of moves: what is seen -> what is done, step by step."""

import json
from typing import Any

import pytest

from hostler.api import launcher
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigration as Migration
from hostler.runtime.errors import Forbidden
from hostler.runtime.plan import Create, Failure, Patch, Plan
from hostler.runtime.protocol import Raw
from migration import move
from migration import seen as seen_of_moves
from migration.budget import Slot
from migration.kinds import LauncherPod
from migration.seen import Seen
from migration.settings import MigrationSettings
from tests.unit import make
from tests.unit.make import NOON, verbs

SETTINGS = MigrationSettings(parallel_outbound=1)
GUARDED = [launcher.MIGRATION_FINALIZER]


def migration(phase: str = "", **more: Any) -> Any:
    status = {"phase": phase, "phaseTransitionTimestamps": more.pop("passed", [])} if phase else None
    spec = {"vmiName": "web"} | more.pop("spec", {})
    body = {"metadata": make.meta("go", **{"finalizers": GUARDED, **more}), "spec": spec, "status": status}
    return Migration.read(body)


def vmi(state: Raw | None = None, migratable: Any = True, **more: Any) -> Any:
    found = make.vmi(**{"phase": "Running", **more})
    raw: Raw = found.model_dump(by_alias=True, exclude_unset=True)
    raw["status"] |= {"nodeName": "node-1", "conditions": make.conditions(Ready=True, LiveMigratable=migratable)}
    raw["status"]["activePods"] = {"uid-source": "node-1", "uid-target": "node-2"}
    if state is not None:
        raw["metadata"]["annotations"] = {launcher.TARGET_EPOCH: "1"} | raw["metadata"].get("annotations", {})
        ours = {"migrationUid": "uid-go", "sourceNode": "node-1", "targetNode": "node-2"}
        raw["status"]["migrationState"] = ours | state
    return type(found).read(raw)


def pod(name: str, epoch: int = 0, phase: str = "Running", node: str = "node-1", **more: Any) -> Any:
    raw = make.pod(phase=phase, **more).model_dump(by_alias=True, exclude_unset=True)
    raw["metadata"] |= {"name": name, "uid": f"uid-{name}", "annotations": {launcher.OWNER_EPOCH: str(epoch)}}
    raw["metadata"]["labels"] = {"kubevirt.io": "virt-launcher", launcher.CREATED_BY: "uid-web"}
    if epoch:
        raw["metadata"]["labels"][launcher.MIGRATION_UID] = "uid-go"
    raw["spec"] = {"nodeName": node, "priority": 0, "containers": [{"name": "compute"}]}
    return LauncherPod.read(raw)


SOURCE = pod("source")
TARGET = pod("target", 1, node="node-2")
MOVED = {"reason": "Migrated", "message": "the guest moved to another node"}
LEFT = pod("source", phase="Succeeded", said=MOVED)
STARTED = {"startTimestamp": make.ago(5)}
ENDED = STARTED | {"completed": True}
READY = {"targetNodeAddress": "10.0.0.2"}
FULL = (Slot("uid-old", "node-1", "node-2", running=True), Slot("uid-go", "node-1"))


def plan_of(one: Any, seen: Seen) -> Plan:
    return move.plan(one, seen, NOON, SETTINGS)


@pytest.mark.parametrize(
    ("one", "seen", "actions", "phase"),
    [
        pytest.param(migration(finalizers=[]), Seen(vmi(), (SOURCE,)), ["~go guard"], None, id="the finalizer first"),
        pytest.param(migration(finalizers=[], dying=True), Seen(vmi()), [], None, id="too late for one"),
        pytest.param(migration(), Seen(), [], "Failed", id="no such VMI"),
        pytest.param(migration(), Seen(vmi(phase="Succeeded"), (SOURCE,)), [], "Failed", id="it has ended"),
        pytest.param(migration(), Seen(vmi(dying=True), (SOURCE,)), [], "Failed", id="it is being deleted"),
        pytest.param(
            migration(), Seen(vmi(migratable=(False, "DisksNotLiveMigratable")), (SOURCE,)), [], "Failed",
            id="it cannot be moved",
        ),
        pytest.param(migration(), Seen(vmi(phase="Scheduling"), (SOURCE,)), [], "Pending", id="it does not run yet"),
        pytest.param(migration(), Seen(vmi(), (SOURCE,)), ["+virt-launcher-web-m7m9w"], "Scheduling", id="go"),
        pytest.param(migration(), Seen(vmi(), (SOURCE,), slots=FULL), [], "Pending", id="no slot"),
        pytest.param(migration(), Seen(vmi(), (SOURCE,), earlier="first"), [], "Pending", id="another one goes first"),
        pytest.param(
            migration(), Seen(vmi(), (SOURCE, pod("old", 1))), [], "Pending", id="an old target is still there"
        ),
        pytest.param(migration("Pending", dying=True), Seen(vmi(), (SOURCE,)), [], "Failed", id="deleted in time"),
        pytest.param(
            migration("Scheduling"), Seen(vmi(), (SOURCE, TARGET), pod("target", 1, "Pending", age=9)), [], None,
            id="the target pod is not there yet",
        ),
        pytest.param(
            migration("Scheduling"), Seen(vmi(), (), pod("target", 1, "Pending", scheduled=False, age=299)), [], None,
            id="no node has room",
        ),
        pytest.param(
            migration("Scheduling"), Seen(vmi(), (), pod("target", 1, "Pending", scheduled=False, age=301)), [],
            "Failed", id="no node had room for too long",
        ),
        pytest.param(
            migration("Scheduling"), Seen(vmi(), (), pod("target", 1, "Failed")), [], "Failed",
            id="the target pod failed",
        ),
        pytest.param(
            migration("Scheduling", dying=True), Seen(vmi(), (SOURCE,), TARGET), [], "Failed",
            id="deleted with a target",
        ),
        pytest.param(
            migration("Scheduling"), Seen(vmi(), (SOURCE, TARGET), TARGET), ["~web prepare"], "PreparingTarget",
            id="the agents are told",
        ),
        pytest.param(
            migration("PreparingTarget"), Seen(vmi(READY), (SOURCE, TARGET), TARGET), [], "TargetReady", id="prepared"
        ),
        pytest.param(
            migration("PreparingTarget", dying=True), Seen(vmi(READY), (SOURCE, TARGET), TARGET), ["~web give up"],
            "TargetReady", id="aborted before the copy",
        ),
        pytest.param(
            migration("PreparingTarget"), Seen(vmi(READY), (SOURCE,), None), ["~web give up"], "TargetReady",
            id="the target is gone before the copy",
        ),
        pytest.param(
            migration("PreparingTarget", passed=[
                {"phase": "PreparingTarget", "phaseTransitionTimestamp": make.ago(121)}]),
            Seen(vmi({}), (SOURCE, TARGET), TARGET), ["~web give up"], None, id="an agent does not answer",
        ),
        pytest.param(
            migration("TargetReady"), Seen(vmi(STARTED), (SOURCE, TARGET), TARGET), [], "Running", id="it is copied"
        ),
        pytest.param(
            migration("Running", dying=True), Seen(vmi(STARTED), (SOURCE, TARGET), TARGET), ["~web abort"], None,
            id="an abort is asked for",
        ),
        pytest.param(
            migration("Running", dying=True), Seen(vmi(STARTED | {"abortRequested": True}), (SOURCE, TARGET), TARGET),
            [], None, id="once",
        ),
        pytest.param(
            migration("Running"), Seen(vmi(STARTED), (SOURCE,), None), [], None,
            id="the target is gone while it is copied: only the source may say so",
        ),
        pytest.param(
            migration("Running"), Seen(vmi(STARTED), (LEFT, TARGET), TARGET), ["~web hand over"], None,
            id="the source's agent went away before the hand-over, PID 1 is the witness",
        ),
        pytest.param(
            migration("Running"), Seen(vmi(STARTED), (pod("source", phase="Failed"), TARGET), TARGET), [], None,
            id="the guest crashed: no hand-over",
        ),
        pytest.param(
            migration("Running"), Seen(vmi(STARTED), (LEFT, TARGET), pod("target", 1, "Failed")), [], None,
            id="the guest left for a target that is gone: no hand-over",
        ),
        pytest.param(
            migration("Running"), Seen(vmi(STARTED | {"completed": True}), (LEFT, TARGET), TARGET), [], "Succeeded",
            id="it has moved",
        ),
        pytest.param(
            migration("Running"), Seen(vmi(ENDED | {"failed": True}), (SOURCE, TARGET), TARGET), [], "Failed",
            id="it has not",
        ),
        pytest.param(
            migration("Failed"), Seen(vmi(), (SOURCE, TARGET), TARGET), ["-target"], None, id="then: the target goes"
        ),
        pytest.param(migration("Failed"), Seen(vmi(), (SOURCE,)), ["~go release"], None, id="then: the finalizer"),
        pytest.param(
            migration("Succeeded"),
            Seen(vmi(annotations={launcher.OWNER_EPOCH: "1"}), (LEFT, TARGET), TARGET), ["-source"], None,
            id="then: the pod that the guest has left",
        ),
        pytest.param(
            migration("Succeeded"), Seen(vmi(annotations={launcher.OWNER_EPOCH: "1"}), (SOURCE, TARGET), TARGET), [],
            None, id="which ends by itself",
        ),
        pytest.param(
            migration("Succeeded", dying=True),
            Seen(vmi(annotations={launcher.OWNER_EPOCH: "1"}), (SOURCE, TARGET), TARGET), ["~go release"], None,
            id="and is not waited for when the move is deleted",
        ),
        pytest.param(
            migration("Succeeded", finalizers=[]), Seen(vmi(), (SOURCE,)), [], None, id="then nothing"
        ),
    ],
)  # fmt: skip
def test_plan(one: Any, seen: Seen, actions: list[str], phase: str | None) -> None:
    plan = plan_of(one, seen)
    assert verbs(plan) == actions
    assert (plan.status or {}).get("phase") == phase


def patched(one: Any, seen: Seen) -> Raw:
    (patch,) = plan_of(one, seen).actions
    assert isinstance(patch, Patch)
    return patch.patch


def test_the_hand_over_moves_the_epoch() -> None:
    patch = patched(migration("Running"), Seen(vmi(STARTED), (LEFT, TARGET), TARGET))
    assert patch["metadata"]["annotations"][launcher.OWNER_EPOCH] == "1"
    assert patch["metadata"]["labels"] == {launcher.NODE_NAME: "node-2", launcher.TARGET_NODE: None}
    assert patch["status"]["nodeName"] == "node-2"
    assert patch["status"]["activePods"] == {"uid-source": None}


def test_the_agents_are_told_in_one_write() -> None:
    old = {"migrationUid": "uid-older", "failed": True, "failureReason": "no route"}
    patch = patched(migration("Scheduled"), Seen(vmi(old), (SOURCE, TARGET), TARGET))
    state = patch["status"]["migrationState"]
    assert (state["sourcePod"], state["targetPod"], state["targetNode"]) == ("source", "target", "node-2")
    assert (state["failed"], state["failureReason"]) == (None, None), "nothing is left of the move before"
    assert patch["metadata"]["annotations"] == {launcher.TARGET_EPOCH: "1"}


def test_the_target_pod() -> None:
    (create,) = plan_of(migration(spec={"addedNodeSelector": {"zone": "b"}}), Seen(vmi(), (SOURCE,))).actions
    assert isinstance(create, Create)
    meta, spec = create.body["metadata"], create.body["spec"]
    assert meta["labels"][launcher.MIGRATION_UID] == "uid-go"
    assert meta["annotations"][launcher.OWNER_EPOCH] == "1"
    assert meta["ownerReferences"][0]["uid"] == "uid-web"
    assert "nodeName" not in spec
    assert "priority" not in spec
    assert spec["containers"] == [{"name": "compute"}], "the same pod"
    (term,) = spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["labelSelector"]["matchLabels"] == {launcher.CREATED_BY: "uid-web"}
    assert spec["nodeSelector"]["zone"] == "b"


def test_every_try_has_a_higher_epoch() -> None:
    dead = pod("dead", 4, "Failed")
    (create,) = plan_of(migration(), Seen(vmi(), (SOURCE, dead))).actions
    assert isinstance(create, Create)
    assert create.body["metadata"]["annotations"][launcher.OWNER_EPOCH] == "5"


def test_a_witness_must_be_pid_1() -> None:
    for said in ({"reason": "Shutdown", "message": "Migrated"}, "Migrated", json.dumps(["Migrated"])):
        left = pod("source", phase="Succeeded", said=said)
        assert verbs(plan_of(migration("Running"), Seen(vmi(STARTED), (left, TARGET), TARGET))) == []


def test_quota_is_waited_for_and_other_refusals_are_not() -> None:
    quota = Failure(None, Forbidden(403, "Forbidden", "exceeded quota: small"))
    plan = move.refused(migration(), Plan(), quota, NOON)
    assert make.said(plan, "migrationRejectedByResourceQuota") == ("True", "QuotaExceeded")
    assert (plan.status or {})["phase"] == "Pending"
    plan = move.refused(migration(), Plan(), Failure(None, Forbidden(403, "Forbidden", "no")), NOON)
    assert (plan.status or {})["phase"] == "Failed"


def test_old_ones_go() -> None:
    ended = tuple(migration("Succeeded", uid=f"uid-{n}", finalizers=[]) for n in range(6))
    for n, actions in ((4, []), (5, ["-go"])):
        assert verbs(plan_of(ended[n], Seen(vmi(), (SOURCE,), ended=ended))) == actions


def test_whose_slot_is_free_is_visited() -> None:
    assert "no room" not in str(plan_of(migration(), Seen(vmi(), (SOURCE,), slots=FULL)).status)
    assert make.said(plan_of(migration(), Seen(vmi(), (SOURCE,), slots=FULL)), "Admitted") == ("False", "NoSlot")


def test_a_liveness_probe_begins_when_the_guest_is_there() -> None:
    probed = pod("source")
    probed.spec["containers"] = [{"name": "compute", "livenessProbe": {"exec": {}, "periodSeconds": 5}}]
    (create,) = plan_of(migration(), Seen(vmi(), (probed,))).actions
    assert isinstance(create, Create)
    (container,) = create.body["spec"]["containers"]
    assert container["startupProbe"] == {"exec": {}, "periodSeconds": 5, "failureThreshold": 86400 // 5}
    probed.spec["containers"] = [container]
    (again,) = plan_of(migration(), Seen(vmi(), (probed,))).actions
    assert isinstance(again, Create)
    assert again.body["spec"]["containers"] == [container]


@pytest.mark.parametrize(
    ("seen", "stuck"),
    [
        pytest.param(Seen(vmi(phase="Scheduling"), (SOURCE,)), True, id="the guest does not run"),
        pytest.param(Seen(vmi(), (SOURCE,), earlier="first"), True, id="another move of it goes first"),
        pytest.param(Seen(vmi(), (SOURCE, pod("old", 1))), True, id="an old target is still there"),
        pytest.param(Seen(vmi(), (SOURCE,), slots=FULL), False, id="it waits for a place"),
    ],
)
def test_who_waits_for_something_else_holds_no_place(seen: Seen, stuck: bool) -> None:
    status = plan_of(migration(), seen).status
    assert seen_of_moves.stuck(told(status)) is stuck


def test_nor_does_who_has_no_quota() -> None:
    failure = Failure(None, Forbidden(403, "Forbidden", "exceeded quota: pods"))
    refused = move.refused(migration(), Plan(), failure, NOON)
    assert seen_of_moves.stuck(told(refused.status))


def told(status: Raw | None) -> Any:
    body = migration("Pending").model_dump(mode="json", by_alias=True, exclude_unset=True)
    return Migration.read(body | {"status": status})
