"""Crash tests: wherever a plan is cut off, the world settles to the same state."""

from collections.abc import Callable
from typing import Any

import pytest

from controllers import replicaset, vm, vmi
from controllers.settings import ManagerSettings
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet
from hostler.api.objects import Pod
from hostler.runtime.conditions import stamp
from tests.unit import make
from tests.unit.world import World, end, survives

VMIS = vmi.controller(ManagerSettings(use_emulation=True))
SETS = replicaset.CONTROLLER


def world(*objects: Any) -> World:
    made = World([SETS, VMIS])
    for each in objects:
        made.add(each)
    return made


def running(replicas: int = 3) -> World:
    made = world(make.replica_set(replicas))
    made.settle()
    return made


def scaled(replicas: int) -> World:
    made = running()
    made.change(the_set(made), {"spec": {"replicas": replicas}})
    return made


def deleted_vmi() -> World:
    made = running(1)
    made.delete(made.all(VirtualMachineInstance)[0])
    return made


def crashed() -> World:
    made = running(2)
    end(made, made.all(Pod)[0], "Failed")
    return made


def the_set(made: World) -> VirtualMachineInstanceReplicaSet:
    (found,) = made.all(VirtualMachineInstanceReplicaSet)
    return found  # type: ignore[no-any-return]


SCENES: dict[str, Callable[[], World]] = {
    "a new set": lambda: world(make.replica_set(3)),
    "a new VMI without finalizer": lambda: world(make.vmi(phase="", finalizers=[])),
    "more members": lambda: scaled(5),
    "fewer members": lambda: scaled(1),
    "a VMI is deleted": deleted_vmi,
    "a guest crashed": crashed,
}


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_a_crash_at_any_write_changes_nothing_in_the_end(scene: Callable[[], World]) -> None:
    survives(scene)


def test_a_set_at_rest_writes_nothing() -> None:
    made = running(5)
    before = made.writes
    for _ in range(5):
        made.round()
    assert made.writes == before


def test_few_writes_a_member() -> None:
    """A VMI and its pod are ours; the agent's report is not counted here; the set's status is one for all."""
    made = running(20)
    assert made.writes / 20 <= 2.2


def test_deleting_a_set_leaves_nothing() -> None:
    made = running(3)
    made.delete(the_set(made))
    made.settle()
    assert made.picture() == []


def one_pod_each(made: World) -> None:
    """Never two pods for one VMI, and no pod without one."""
    owners = [pod.metadata.controller.uid for pod in made.all(Pod)]
    assert len(owners) == len(set(owners))
    assert set(owners) <= {each.metadata.uid for each in made.all(VirtualMachineInstance)}


VMS = vm.controller(ManagerSettings())


def machine(strategy: str) -> World:
    made = World([VMS, VMIS])
    made.add(make.vm(strategy))
    made.settle()
    return made


def the_vm(made: World) -> Any:
    (found,) = made.all(VirtualMachine)
    return found


def ended(strategy: str, phase: str) -> World:
    made = machine(strategy)
    end(made, made.all(Pod)[0], phase)
    return made


def restarted() -> World:
    made = machine("Manual")
    made.change(the_vm(made), {"status": {"stateChangeRequests": [{"action": "Start"}]}})
    made.settle()
    uid = made.all(VirtualMachineInstance)[0].metadata.uid
    made.change(
        the_vm(made), {"status": {"stateChangeRequests": [{"action": "Stop", "uid": uid}, {"action": "Start"}]}}
    )
    return made


def turned(strategy: str, to: str) -> World:
    made = machine(strategy)
    made.change(the_vm(made), {"spec": {"runStrategy": to}})
    return made


def removed() -> World:
    made = machine("Always")
    made.delete(the_vm(made))
    return made


def fresh(strategy: str) -> World:
    made = World([VMS, VMIS])
    made.add(make.vm(strategy))
    return made


MACHINES: dict[str, tuple[Callable[[], World], str]] = {
    "a new VM": (lambda: fresh("Always"), "Running"),
    "it powered off": (lambda: ended("Always", "Succeeded"), "Running"),
    "it crashed": (lambda: ended("RerunOnFailure", "Failed"), "Running"),
    "it shut down": (lambda: ended("RerunOnFailure", "Succeeded"), "Stopped"),
    "Once is enough": (lambda: ended("Once", "Failed"), "Stopped"),
    "restart": (restarted, "Running"),
    "halt": (lambda: turned("Always", "Halted"), "Stopped"),
    "start": (lambda: turned("Halted", "RerunOnFailure"), "Running"),
    "deleted": (removed, ""),
}


@pytest.mark.parametrize(("scene", "word"), MACHINES.values(), ids=MACHINES)
def test_a_vm_comes_to_rest_wherever_its_plan_is_cut(scene: Callable[[], World], word: str) -> None:
    for rounds in range(3):
        for cut in range(4):
            made = scene()
            for _ in range(rounds):
                made.round()
            if found := made.all(VirtualMachine):
                made.visit(VMS, found[0], cut)
            made.settle()
            assert [each.status.printable_status for each in made.all(VirtualMachine)] == ([word] if word else [])
            one_pod_each(made)


def test_few_writes_a_vm() -> None:
    """Its instance and its pod, and twice its status: Starting and Running."""
    made = machine("Always")
    assert made.writes <= 4
    before = made.writes
    made.round()
    assert made.writes == before


def test_a_start_that_fails_is_tried_ever_later() -> None:
    made = machine("Always")
    starts = []
    for _ in range(30):
        made.round()
        for pod in made.all(Pod):
            made.vanish(pod)
        for each in made.all(VirtualMachineInstance):
            if each.status.phase == "Running":
                passed = [{"phase": "Failed", "phaseTransitionTimestamp": stamp(made.now)}]
                made.change(each, {"status": {"phase": "Failed", "phaseTransitionTimestamps": passed}})
        failure = the_vm(made).status.start_failure
        starts.append(failure.consecutive_fail_count if failure else 0)
    assert 3 <= starts[-1] <= 12
