"""Disks that have the names of an import's and are not its own: nobody touches them."""

from typing import Any

import pytest

from hostler.api.cdi import DataVolume
from hostler.api.imports import ImportPlan
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.objects import PersistentVolumeClaim, Pod
from tests.unit import make
from tests.unit.v2v import made
from tests.unit.v2v.test_importplan import CONVERTED, OFF, disk, ends, phases, plan, pod, world
from tests.unit.world import World


def owner(kind: str, name: str) -> dict[str, Any]:
    return {"ownerReferences": make.owner(name, kind)}


def volume(phase: str = "Succeeded", **more: Any) -> DataVolume:
    body = {
        "metadata": make.meta("web-disk0", **{"uid": "uid-strange", **more}),
        "spec": {},
        "status": {"phase": phase},
    }
    return DataVolume.model_validate(body)


def claim(**more: Any) -> PersistentVolumeClaim:
    return PersistentVolumeClaim.model_validate({"metadata": make.meta("web-disk0", **more), "spec": {}})


def vm(**more: Any) -> VirtualMachine:
    spec = {"runStrategy": "Halted", "template": {"spec": {"domain": {"devices": {}}}}}
    return VirtualMachine.model_validate({"metadata": make.meta("web", **{"uid": "uid-strange", **more}), "spec": spec})


def begun() -> World:
    found = world(made.source(made.machine()), made.plan("web"))
    found.settle()
    return found


def outcome(found: World) -> tuple[str, str | None]:
    status = plan(found).status
    assert status is not None
    return status.vms[0].phase, status.vms[0].reason


@pytest.mark.parametrize(
    ("there", "says"),
    [
        pytest.param([volume()], "not this import's: delete it", id="a user's volume"),
        pytest.param([claim()], "a PersistentVolumeClaim 'web-disk0' already", id="a user's claim"),
        pytest.param(
            [volume(**owner("ImportPlan", "old")), made.plan("db", name="old", status={"phase": "Failed"})],
            "of ImportPlan 'old': delete that plan",
            id="an earlier plan's",
        ),
        pytest.param(
            [volume(**owner("ImportPlan", "move"))], None, id="of an earlier plan of this name, which is gone"
        ),
        pytest.param([volume(dying=True)], None, id="deleted"),
        pytest.param([claim(**owner("DataVolume", "web-disk0"))], None, id="a claim of a volume that is gone"),
    ],
)
def test_nothing_is_switched_off_for_a_disk_that_is_not_made(there, says):
    earlier = made.plan("web")
    earlier = earlier.model_copy(update={"metadata": earlier.metadata.model_copy(update={"uid": "uid-now"})})
    found = world(made.source(made.machine()), earlier, *there)
    found.settle()
    assert found.all(Pod) == []
    status = plan(found).status
    assert status is not None
    assert says is None or says in (status.vms[0].message or "")
    if says is not None:
        assert outcome(found) == ("Failed", "VolumeAlreadyExists")
        return
    assert outcome(found) == ("PoweringOff", None), "its name will be free soon"
    assert "waiting" in (status.vms[0].message or "")
    found.vanish(next(each for each in there if each.metadata.name == "web-disk0"))
    found.settle()
    assert len(found.all(Pod)) == 1


def test_one_that_waits_for_its_turn_is_refused_at_once():
    names = ["a", "b", "c", "d", "web"]
    machines = [made.machine(name, f"vm-{name}") for name in names]
    found = world(made.source(*machines), made.plan(*names), volume())
    found.settle()
    assert [phase for _, phase in phases(found)] == [*["PoweringOff"] * 4, "Failed"]


def test_a_volume_that_comes_while_the_machine_is_switched_off():
    found = begun()
    found.add(volume())
    ends(found, pod("web", "off"), OFF)
    assert outcome(found) == ("Failed", "VolumeAlreadyExists")
    assert found.get(DataVolume, "web-disk0").metadata.owner_references == ()


def test_a_machine_that_comes_before_ours_does_not_get_its_disks():
    found = begun()
    ends(found, pod("web", "off"), OFF)
    disk(found, "web-disk0")
    found.add(vm(labels={"import.hostler.io/plan": "move"}))
    ends(found, pod("web", "convert"), CONVERTED)
    assert outcome(found) == ("Failed", "VMAlreadyExists")
    owners = [ref.kind for ref in found.get(DataVolume, "web-disk0").metadata.owner_references]
    assert owners == [ImportPlan.kind()]


def test_a_disk_that_is_gone_makes_no_machine():
    found = begun()
    ends(found, pod("web", "off"), OFF)
    disk(found, "web-disk0")
    found.vanish(found.get(DataVolume, "web-disk0"))
    ends(found, pod("web", "convert"), CONVERTED)
    assert outcome(found) == ("Failed", "DiskGone")
    assert found.all(VirtualMachine) == []


def test_a_claim_that_is_its_volumes_is_its_own():
    found = begun()
    ends(found, pod("web", "off"), OFF)
    mine = found.get(DataVolume, "web-disk0").metadata.uid
    reference = {"apiVersion": "v1", "kind": "DataVolume", "name": "web-disk0", "uid": mine, "controller": True}
    found.add(claim(ownerReferences=[reference]))
    disk(found, "web-disk0")
    assert phases(found) == [("web", "Converting")]
