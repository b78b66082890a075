"""Deployments whose manager dies at any write: never above the surge, never below the floor by choice, always to the
end."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers import deployment, members, replicaset, vmi
from controllers.settings import ManagerSettings
from hostler.api.apps import VirtualMachineDeployment as Deployment
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet as ReplicaSet
from hostler.api.objects import Pod
from tests.unit import make
from tests.unit.world import World, end, nature

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


STEPS = st.one_of(
    st.tuples(st.just("deployment"), st.sampled_from([None, 0, 1, 2])),
    st.tuples(st.just("set"), st.integers(0, 3)),
    st.tuples(st.just("vmi"), st.integers(0, 9)),
    st.tuples(st.just("nature"), st.none()),
    st.tuples(st.just("roll"), st.sampled_from([64, 128, 256])),
    st.tuples(st.just("crash"), st.integers(0, 5)),
    st.tuples(st.just("delete"), st.integers(0, 5)),
    st.tuples(st.just("pause"), st.booleans()),
    st.tuples(st.just("scale"), st.integers(0, 5)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_whatever_happens(steps: list[tuple[str, Any]]) -> None:
    made = Deployments(3)
    most = 3
    for verb, what in steps:
        made.world.now += timedelta(seconds=20)
        before, rolls = kept(made), not scaling(made) and not made.parent.spec.paused
        upset(made, verb, what)
        most = max(most, made.parent.spec.replicas)
        assert sum(each.spec.replicas or 0 for each in made.sets()) <= most + SURGE
        if verb == "deployment" and rolls:
            assert kept(made) >= min(before, made.parent.spec.replicas - UNAVAILABLE)
    made.world.change(made.parent, {"spec": {"paused": None, "replicas": 3}})
    made.roll(512)
    made.settled(3, 512)


def scaling(made: Deployments) -> bool:
    """Sizes were given for another size of the deployment."""
    wanted = str(made.parent.spec.replicas)
    marks = [each.metadata.annotations["deployment.kubernetes.io/desired-replicas"] for each in made.sets()]
    return any(mark != wanted for mark in marks)


def kept(made: Deployments) -> int:
    """How many available guests the sizes that are asked for leave."""
    total = 0
    for rs in made.sets():
        own = [
            each for each in made.vmis() if each.metadata.controller and each.metadata.controller.uid == rs.metadata.uid
        ]
        total += min(rs.spec.replicas or 0, sum(members.alive(each) and members.ready(each) for each in own))
    return total


def upset(made: Deployments, verb: str, what: Any) -> None:
    world = made.world
    match verb:
        case "deployment":
            made.visit(DEPLOYMENTS, cut=what)
        case "set":
            made.visit(SETS, what)
        case "vmi":
            made.visit(VMIS, what)
        case "nature":
            nature(world)
        case "roll":
            made.roll(what)
        case "pause":
            world.change(made.parent, {"spec": {"paused": what}})
        case "scale":
            world.change(made.parent, {"spec": {"replicas": what}})
        case "crash" if pods := [each for each in world.all(Pod) if each.status.phase == "Running"]:
            end(world, pods[what % len(pods)], "Failed")
        case "delete" if found := made.vmis():
            world.delete(found[what % len(found)])
