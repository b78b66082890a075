"""Crash tests: wherever a plan is cut off, the world settles to the same state."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers import replicaset, vm, vmi
from controllers.settings import ManagerSettings
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet
from hostler.api.objects import Pod
from hostler.runtime.conditions import stamp
from tests.unit import make
from tests.unit.world import World, end

VMIS = vmi.controller(ManagerSettings(use_emulation=True))
SETS = replicaset.CONTROLLER
BY_PARENT = {VMIS.parent: VMIS, SETS.parent: SETS}


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
    smooth = scene()
    smooth.settle()
    for kind, controller in BY_PARENT.items():
        for parent in scene().all(kind):
            steps = scene().visit(controller, parent, cut=0)
            for cut in range(steps + 1):
                broken = scene()
                broken.visit(controller, broken.get(kind, parent.metadata.name), cut)
                broken.settle()
                assert broken.picture() == smooth.picture()


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


UPSETS = ("scale", "crash", "shut down", "delete", "vanish", "relabel", "orphan", "pause", "round", "cut")
STEPS = st.lists(st.tuples(st.sampled_from(UPSETS), st.integers(0, 5)), max_size=12)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(0, 4))
def test_whatever_happens_the_set_has_its_size_and_each_vmi_one_pod(steps: list[tuple[str, int]], size: int) -> None:
    made = running(2)
    for step, number in steps:
        upset(made, step, number)
        one_pod_each(made)
    made.change(the_set(made), {"spec": {"replicas": size, "paused": None}})
    made.settle()
    one_pod_each(made)
    members = [each for each in made.all(VirtualMachineInstance) if each.metadata.controller]
    assert [each.status.phase for each in members] == ["Running"] * size
    assert the_set(made).status.replicas == the_set(made).status.ready_replicas == size  # type: ignore[union-attr]


def upset(made: World, step: str, number: int) -> None:
    vmis, pods = made.all(VirtualMachineInstance), made.all(Pod)
    some_vmi = vmis[number % len(vmis)] if vmis else None
    some_pod = pods[number % len(pods)] if pods else None
    if step == "scale":
        made.change(the_set(made), {"spec": {"replicas": number}})
    elif step == "pause":
        made.change(the_set(made), {"spec": {"paused": number % 2 == 0}})
    elif step == "round":
        made.round()
    elif step == "cut":
        made.visit(SETS, the_set(made), cut=number)
    elif some_vmi and step == "delete":
        made.delete(some_vmi)
    elif some_vmi and step == "relabel":
        made.change(some_vmi, {"metadata": {"labels": {"app": "stray" if number % 2 else "web"}}})
    elif some_vmi and step == "orphan":
        made.change(some_vmi, {"metadata": {"ownerReferences": []}})
    elif some_pod and step in ("crash", "shut down") and some_pod.status.phase == "Running":
        end(made, some_pod, "Failed" if step == "crash" else "Succeeded")
    elif some_pod and step == "vanish":
        made.vanish(some_pod)


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
