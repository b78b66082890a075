"""What the agents read of a move in the VMI, and write of it."""

import json
from typing import Any

import pytest

from hostler.api import launcher
from hostler.runtime import ownership
from hostler.runtime.protocol import Raw
from launcher.agent.migration import marks
from launcher.agent.migration.dialogue import Job, Policy
from launcher.agent.pods import LauncherPod, stranger
from tests.unit import make
from tests.unit.make import NOON

STATE = {
    "migrationUid": "uid-go", "sourcePod": "source", "targetPod": "target", "sourceNode": "a", "targetNode": "b",
}  # fmt: skip
READY = {"targetNodeAddress": "10.0.0.2"}


def vmi(epoch: int = 0, conditions: list[Raw] | None = None, target: int = 1, **state: Any) -> Any:
    seen = make.vmi(phase="Running", annotations={launcher.OWNER_EPOCH: str(epoch), launcher.TARGET_EPOCH: str(target)})
    raw = seen.model_dump(by_alias=True, exclude_unset=True)
    raw["status"] |= {"nodeName": "b" if epoch else "a", "activePods": {"uid-source": "a", "uid-target": "b"}}
    raw["status"] |= {"migrationState": STATE | state, "conditions": conditions or []}
    return type(seen).read(raw)


def pod(name: str, epoch: int) -> Any:
    meta = make.meta(
        name, ownerReferences=make.owner("web", "VirtualMachineInstance"),
        annotations={launcher.OWNER_EPOCH: str(epoch)}, labels={launcher.MIGRATION_UID: "uid-go"} if epoch else {},
    )  # fmt: skip
    return LauncherPod.read({"metadata": meta, "spec": {"nodeName": "b" if epoch else "a"}})


SOURCE, TARGET = pod("source", 0), pod("target", 1)
DONE: Raw = {"completed": True}
PAUSED = make.conditions(Paused=(True, "PausedByUser"))


@pytest.mark.parametrize(
    ("one", "seen", "expected"),
    [
        pytest.param(SOURCE, vmi(), (False, False, False), id="source: the target is not ready"),
        pytest.param(SOURCE, vmi(**READY), (True, False, False), id="source: go"),
        pytest.param(SOURCE, vmi(**READY, completed=True, failed=True), (False, False, False), id="source: it is over"),
        pytest.param(SOURCE, vmi(1, **READY), (False, False, False), id="source: the guest is another's by now"),
        pytest.param(TARGET, vmi(), (False, True, False), id="target: wait for it"),
        pytest.param(TARGET, vmi(target=2), (False, False, False), id="target: another try is meant"),
        pytest.param(TARGET, vmi(migrationUid="uid-2"), (False, False, False), id="target: another move is meant"),
        pytest.param(TARGET, vmi(failed=True, completed=True), (False, False, False), id="target: it does not come"),
        pytest.param(TARGET, vmi(1, **DONE), (False, False, True), id="target: it has come"),
        pytest.param(TARGET, vmi(1, PAUSED, **DONE), (False, False, False), id="target: its user has stopped it"),
        pytest.param(TARGET, vmi(0, **DONE), (False, False, False), id="target: not ours"),
    ],
)
def test_roles(one: Any, seen: Any, expected: tuple[bool, bool, bool]) -> None:
    leaving, coming = marks.leaving(one, seen), marks.coming(one, seen)
    assert (leaving is not None, coming is not None, marks.came(one, seen)) == expected


@pytest.mark.parametrize(
    ("one", "seen", "why"),
    [
        pytest.param(SOURCE, vmi(), "", id="the owner"),
        pytest.param(TARGET, vmi(), "", id="who may become it"),
        pytest.param(SOURCE, vmi(1), "the guest has moved to another pod", id="who was it"),
        pytest.param(TARGET, vmi(1), "", id="who is it now"),
    ],
)
def test_strangers(one: Any, seen: Any, why: str) -> None:
    assert stranger(one, seen, one.spec.node_name) == why


def test_the_beginning_is_written_once() -> None:
    assert marks.started(vmi(), "uid-go", True, NOON)["status"]["migrationState"]["mode"] == "PreCopy"
    assert marks.started(vmi(), "uid-go", False, NOON)["status"]["migrationState"]["mode"] == "Paused"
    assert marks.started(vmi(startTimestamp=make.ago(1)), "uid-go", True, NOON) == {}
    assert marks.started(vmi(**DONE), "uid-go", True, NOON) == {}
    assert marks.started(vmi(), "uid-other", True, NOON) == {}


def test_ready_is_told_only_to_who_waits() -> None:
    assert marks.prepared(vmi(), TARGET, "10.0.0.2")["status"]["migrationState"]["targetNodeAddress"] == "10.0.0.2"
    assert marks.prepared(vmi(completed=True, failed=True), TARGET, "10.0.0.2") == {}


def test_progress() -> None:
    patch = marks.progress(vmi(), "uid-go", Job(3, 2, 1))
    assert json.loads(patch["metadata"]["annotations"][launcher.PROGRESS]) == {
        "total": 3, "processed": 2, "remaining": 1,
    }  # fmt: skip
    assert marks.progress(vmi(**DONE), "uid-go", Job()) == {}


def test_settings_travel_in_the_state() -> None:
    given = {
        "bandwidthPerMigration": "64Mi", "completionTimeoutPerGiB": 10, "progressTimeout": 5,
        "allowWorkloadDisruption": True, "allowAutoConverge": True,
    }  # fmt: skip
    state = ownership.moving(vmi(migrationConfiguration=given))
    assert state is not None
    assert marks.policy(state) == Policy(10, 5, True)
    assert marks.bandwidth(state) == 64
    assert marks.auto_converge(state)
    bare = ownership.moving(vmi())
    assert bare is not None
    assert (marks.policy(bare), marks.bandwidth(bare), marks.auto_converge(bare)) == (Policy(), 0, False)


def test_a_hand_over_needs_what_was_read() -> None:
    seen = vmi()
    patch = ownership.hand_over(seen, NOON)
    assert patch["metadata"]["resourceVersion"] == seen.metadata.resource_version
    assert patch["metadata"]["annotations"][launcher.OWNER_EPOCH] == "1"
    assert patch["status"]["activePods"] == {"uid-source": None}


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("-1", -1), ("x", -1), ("", -1), ("٣", -1)])
def test_epochs(text: str, number: int) -> None:
    assert ownership.epoch(make.vmi(annotations={launcher.OWNER_EPOCH: text})) == number


def test_what_is_copied() -> None:
    disks = [{"name": name, "disk": {}} for name in ("root", "scratch", "data", "seed")]
    spec = {
        "domain": {"devices": {"disks": [*disks, {"name": "cd", "cdrom": {}}]}, "memory": {"guest": "1Gi"}},
        "volumes": [
            {"name": "root", "containerDisk": {"image": "i"}},
            {"name": "scratch", "emptyDisk": {"capacity": "1Gi"}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "c"}},
            {"name": "seed", "cloudInitNoCloud": {"userData": "x"}},
            {"name": "cd", "containerDisk": {"image": "i"}},
        ],
    }
    seen = make.vmi(phase="Running", spec=spec)
    raw = seen.model_dump(by_alias=True, exclude_unset=True)
    names = {"root": "vda", "scratch": "vdb", "data": "vdc", "seed": "vdd", "cd": "sda"}
    raw["status"]["volumeStatus"] = [{"name": name, "target": target} for name, target in names.items()]
    assert marks.copied_disks(type(seen).read(raw)) == ("vda", "vdb")
