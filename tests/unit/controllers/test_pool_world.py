"""Pools whose manager dies at any write: the same end, the same disks, never too many away at once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from controllers import members, pool, vm, vmi
from controllers.settings import ManagerSettings
from hostler.api import cdi
from hostler.api.cdi import DataVolume
from hostler.api.kubevirt.pool import KEPT, REVISION, VirtualMachinePool
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.objects import ControllerRevision, PersistentVolumeClaim, Pod
from hostler.runtime.plan import AnyController, owner_reference
from tests.unit import make, pools
from tests.unit.world import World, end, nature

SETTINGS = ManagerSettings(use_emulation=True)
POOLS, VMS, VMIS = pool.controller(SETTINGS), vm.controller(SETTINGS), vmi.controller(SETTINGS)
DESCENDING = {"selectionPolicy": {"sortPolicy": "DescendingOrder"}}
KEEPING = {"proactive": DESCENDING | {"statePreservation": "Offline"}}
DISKS: Any = {"vm": {"dataVolumeTemplates": [pools.DISK]}, "guest": {"volumes": [pools.ROOT]}}


class Pools:
    """A world with one pool in it, where disks are filled as fast as one looks."""

    def __init__(self, replicas: int = 3, **spec: Any) -> None:
        self.world = World((POOLS, VMS, VMIS))
        self.world.add(pools.pool(replicas, generation=1, **spec))

    @property
    def parent(self) -> Any:
        (found,) = self.world.all(VirtualMachinePool)
        return found

    @property
    def vms(self) -> list[Any]:
        return self.world.all(VirtualMachine)

    @property
    def guests(self) -> list[Any]:
        return self.world.all(VirtualMachineInstance)

    def change(self, **spec: Any) -> None:
        """As the API server does it: another spec is another generation."""
        patch = {"spec": spec, "metadata": {"generation": self.parent.metadata.generation + 1}}
        self.world.change(self.parent, patch)

    def roll(self, memory: str) -> None:
        domain = {"memory": {"guest": memory}}
        self.change(virtualMachineTemplate={"spec": {"template": {"spec": {"domain": domain}}}})

    def memories(self) -> list[str]:
        return [str(each.spec.domain.memory.guest) for each in self.guests]

    def available(self) -> set[str]:
        return {each.metadata.name for each in self.guests if members.alive(each) and members.ready(each)}

    def visit(self, controller: AnyController, number: int = 0, cut: int | None = None) -> None:
        if found := self.world.all(controller.parent):
            self.world.visit(controller, found[number % len(found)], cut)

    def fill(self) -> None:
        """Who imports disks makes a claim for each, and it goes with it."""
        claims = {each.metadata.name for each in self.world.all(PersistentVolumeClaim)}
        for volume in self.world.all(DataVolume):
            name = volume.metadata.name
            if name not in claims:
                metadata = make.meta(name, ownerReferences=[owner_reference(volume)])
                self.world.add(PersistentVolumeClaim.read({"metadata": metadata}))
            if volume.phase != cdi.SUCCEEDED:
                self.world.change(volume, {"status": {"phase": cdi.SUCCEEDED}})

    def round(self) -> None:
        self.world.round()
        self.fill()

    def settle(self) -> None:
        for _ in range(100):
            before = self.world.picture(), self.world.writes
            self.round()
            if before == (self.world.picture(), self.world.writes):
                return
        raise AssertionError(f"no rest: {self.world.picture()}")

    def disks(self) -> dict[str, str]:
        return {each.metadata.name: each.metadata.uid for each in self.world.all(DataVolume)}


def running(**spec: Any) -> Pools:
    made = Pools(3, **spec)
    made.settle()
    return made


def scaled(replicas: int, **spec: Any) -> Pools:
    made = running(scaleInStrategy={"proactive": DESCENDING}, **spec)
    made.change(replicas=replicas)
    return made


def kept(back: int) -> Pools:
    """In, and out again: the disks are the same."""
    made = running(scaleInStrategy=KEEPING, **DISKS)
    made.change(replicas=1)
    made.settle()
    made.change(replicas=back)
    return made


def rolled(**spec: Any) -> Pools:
    made = running(**({"maxUnavailable": 1} | spec))
    made.roll("64Mi")
    return made


def other_disks() -> Pools:
    made = running(maxUnavailable=1, **DISKS)
    larger = pools.DISK | {
        "spec": {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "2Gi"}}}}
    }
    made.change(virtualMachineTemplate={"spec": {"dataVolumeTemplates": [larger]}})
    return made


def deleted_vm(**spec: Any) -> Pools:
    made = running(**spec)
    made.world.delete(made.vms[1])
    return made


def relabelled() -> Pools:
    made = running()
    made.world.change(made.vms[1], {"metadata": {"labels": {"app": "other"}}})
    return made


SCENES: dict[str, Callable[[], Pools]] = {
    "a new pool": lambda: Pools(3),
    "a new pool with disks": lambda: Pools(2, **DISKS),
    "more": lambda: scaled(4),
    "fewer": lambda: scaled(1),
    "fewer, the disks kept": lambda: kept(1),
    "and back": lambda: kept(3),
    "a new template": rolled,
    "a new template, at the next start": lambda: rolled(updateStrategy={"opportunistic": {}}),
    "a new template, all at once": lambda: rolled(maxUnavailable="100%"),
    "other disks": other_disks,
    "a VM is deleted": deleted_vm,
    "a VM is deleted, its disk kept": lambda: deleted_vm(
        scaleInStrategy={"opportunistic": {"statePreservation": "Offline"}}, **DISKS
    ),
    "a VM is relabelled": relabelled,
}


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_a_crash_at_any_write_changes_nothing_in_the_end(scene: Callable[[], Pools]) -> None:
    smooth = scene()
    smooth.settle()
    for rounds in range(3):
        for cut in (1, 2):
            broken = scene()
            for _ in range(rounds):
                broken.round()
            broken.visit(POOLS, cut=cut)
            broken.settle()
            assert broken.world.picture() == smooth.world.picture()
            assert sorted(broken.memories()) == sorted(smooth.memories())


def test_it_rolls_one_at_a_time() -> None:
    made = running(maxUnavailable=1)
    made.roll("64Mi")
    for _ in range(60):
        for controller in (POOLS, VMS, VMIS):
            for number in range(len(made.world.all(controller.parent))):
                made.visit(controller, number)
                assert len(made.available()) >= 2
        nature(made.world)
    assert made.memories() == ["64Mi"] * 3
    assert {each.metadata.labels[REVISION] for each in (*made.vms, *made.guests)} == {"web-2"}
    assert [each.metadata.name for each in made.world.all(ControllerRevision)] == ["web-1", "web-2"]


def test_a_bad_template_stays_where_it_is() -> None:
    """Its guests never run; when the template is taken back, they do."""
    made = running(maxUnavailable=2, updateStrategy=pools.proactive(sortPolicy="AscendingOrder"))
    made.roll("64Mi")
    for _ in range(40):  # a minute each
        for controller in (POOLS, VMS, VMIS):
            for number in range(len(made.world.all(controller.parent))):
                made.visit(controller, number)
        for pod in made.world.all(Pod):
            if pod.metadata.deletion_timestamp:
                made.world.vanish(pod)
            elif pod.status.phase == "Pending":
                end(made.world, pod, "Failed")
        made.world.now += timedelta(minutes=1)
    assert made.available() == {"web-2"}
    assert made.memories().count("128Mi") == 1
    (condition,) = (each for each in made.parent.status.conditions if each.type == "Progressing")
    assert (condition.status, condition.reason) == ("False", "ProgressDeadlineExceeded")
    assert "web-0, web-1 not Ready within 600 seconds with revision web-2" in condition.message
    made.roll("128Mi")
    made.settle()
    assert made.available() == {"web-0", "web-1", "web-2"}
    assert made.memories() == ["128Mi"] * 3


def test_disks_come_back_with_their_index() -> None:
    made = running(scaleInStrategy=KEEPING, **DISKS)
    before = made.disks()
    assert made.available() == {"web-0", "web-1", "web-2"}
    made.change(replicas=0)
    made.settle()
    assert made.vms == []
    assert made.disks() == before
    assert {each.metadata.annotations.get(KEPT) for each in made.world.all(DataVolume)} == {"web"}
    made.change(replicas=3)
    made.settle()
    assert made.disks() == before
    owners = {each.metadata.name: each.metadata.controller.name for each in made.world.all(DataVolume)}
    assert owners == {f"root-{number}": f"web-{number}" for number in range(3)}


def test_disks_go_with_their_vm() -> None:
    made = running(**DISKS)
    made.change(replicas=0)
    made.settle()
    assert made.disks() == {}


def test_at_rest_it_writes_nothing() -> None:
    made = running(**DISKS)
    before = made.world.writes
    for _ in range(5):
        made.round()
    assert made.world.writes == before


def test_few_writes_a_vm() -> None:
    """A pool's VM costs one write more than a VM; the pool's status is one for all."""
    made = Pools(8)
    made.settle()
    assert made.world.writes / 8 <= 5.5


def test_deleted_it_leaves_nothing() -> None:
    made = running(**DISKS)
    made.world.delete(made.parent)
    made.settle()
    assert made.world.picture() == []


def test_orphans_run_on_and_are_taken_in_again() -> None:
    made = running()
    guests = {each.metadata.uid for each in made.guests}
    for each in (*made.vms, *made.world.all(ControllerRevision)):  # as the garbage collector does for --cascade=orphan
        made.world.change(each, {"metadata": {"ownerReferences": []}})
    made.world.delete(made.parent)
    while made.world.all(VirtualMachinePool):
        made.visit(POOLS)
    made.settle()
    assert {each.metadata.uid for each in made.guests} == guests
    assert all("pool.kubevirt.io/finalizer" not in each.metadata.finalizers for each in made.vms)
    made.world.add(pools.pool(3, generation=1, maxUnavailable=1))
    made.settle()
    assert {each.metadata.uid for each in made.guests} == guests, "nobody is restarted"
    assert made.parent.status.ready_replicas == 3
    made.roll("64Mi")
    made.settle()
    assert made.memories() == ["64Mi"] * 3
