"""Deployments whose manager dies at any write: never above the surge, never below the floor by choice, always to the
end."""

from datetime import timedelta
from typing import Any

import pytest

from controllers import deployment, members, replicaset, vmi
from controllers.settings import ManagerSettings
from hostler.api.apps import VirtualMachineDeployment as Deployment
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet as ReplicaSet
from tests.unit import make
from tests.unit.world import World, nature

VMIS = vmi.controller(ManagerSettings(use_emulation=True))
SETS = replicaset.CONTROLLER
DEPLOYMENTS = deployment.CONTROLLER
SURGE, UNAVAILABLE = 1, 1


def rolling(surge: int = SURGE, unavailable: int = UNAVAILABLE) -> Any:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


class Deployments:
    """A world with one deployment in it."""

    def __init__(self, replicas: int = 3, **spec: Any) -> None:
        self.world = World((DEPLOYMENTS, SETS, VMIS))
        self.world.add(make.workload(Deployment, replicas=replicas, **({"strategy": rolling()} | spec)))

    @property
    def parent(self) -> Any:
        (found,) = self.world.all(Deployment)
        return found

    def sets(self) -> list[ReplicaSet]:
        return self.world.all(ReplicaSet)

    def vmis(self) -> list[VMI]:
        return self.world.all(VMI)

    def available(self) -> int:
        return sum(members.alive(each) and members.ready(each) for each in self.vmis())

    def visit(self, controller: Any, number: int = 0, cut: int | None = None) -> None:
        found = self.world.all(controller.parent)
        if found:
            self.world.visit(controller, found[number % len(found)], cut)

    def roll(self, memory: int) -> None:
        change = {"template": {"spec": {"domain": {"memory": {"guest": f"{memory}Mi"}}}}}
        self.world.change(self.parent, {"spec": change})

    def memories(self) -> set[str]:
        return {str(each.spec.domain.memory.guest) for each in self.vmis() if each.spec.domain.memory}  # type: ignore[union-attr]

    def settled(self, replicas: int, memory: int) -> None:
        self.world.settle()
        status = self.parent.status
        assert (status.replicas, status.updated_replicas, status.available_replicas) == (replicas,) * 3
        assert len(self.vmis()) == replicas
        assert self.memories() <= {f"{memory}Mi"}
        assert {each.type: each.status for each in status.conditions}["Progressing"] == "True"


def test_it_rolls_without_falling_below_its_floor() -> None:
    made = Deployments(4, strategy=rolling(1, 0))
    made.settled(4, 128)
    made.roll(64)
    for _ in range(200):
        before = made.world.picture()
        for controller in (DEPLOYMENTS, SETS, VMIS):
            for each in made.world.all(controller.parent):
                if each.metadata.name in [now.metadata.name for now in made.world.all(controller.parent)]:
                    made.world.visit(controller, made.world.get(controller.parent, each.metadata.name))
                assert made.available() >= 4
                assert sum(members.alive(vmi) for vmi in made.vmis()) <= 5
        nature(made.world)
        made.world.now += timedelta(seconds=10)
        if before == made.world.picture() and made.memories() == {"64Mi"}:
            break
    made.settled(4, 64)


def test_recreate_never_mixes() -> None:
    made = Deployments(3, strategy={"type": "Recreate"})
    made.settled(3, 128)
    made.roll(64)
    for _ in range(30):
        made.world.round()
        assert len(made.memories()) <= 1
    made.settled(3, 64)


@pytest.mark.parametrize("cut", range(4))
@pytest.mark.parametrize("rounds", range(5))
def test_a_crash_at_any_write_changes_nothing_in_the_end(rounds: int, cut: int) -> None:
    made = Deployments(3)
    made.settled(3, 128)
    made.roll(64)
    for _ in range(rounds):
        made.world.round()
    made.visit(DEPLOYMENTS, cut=cut)
    made.settled(3, 64)
    made.roll(128)
    made.visit(DEPLOYMENTS, cut=cut)
    made.settled(3, 128)
    assert len(made.sets()) == 2, "the old set was found again"
    assert {each.metadata.annotations["deployment.kubernetes.io/revision"] for each in made.sets()} == {"2", "3"}


def test_at_rest_it_writes_nothing() -> None:
    made = Deployments(3)
    made.settled(3, 128)
    before = made.world.writes
    for _ in range(5):
        made.world.round()
    assert made.world.writes == before


def test_deleted_it_leaves_nothing() -> None:
    made = Deployments(3)
    made.settled(3, 128)
    made.world.delete(made.parent)
    made.world.settle()
    assert made.world.picture() == []
