"""Indexed jobs in a world that does as it likes: no index runs twice at once, and nothing counts twice."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controllers import job, job_orphan, vmi
from controllers.job_guest import dying, finished, index, leaving
from controllers.job_ranges import parse
from controllers.settings import ManagerSettings
from hostler.api import launcher
from hostler.api.batch import FAILURES, INDEX, TRACKING, VirtualMachineJob
from hostler.api.fencing import NODE_FENCED
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.objects import Pod
from tests.unit import make
from tests.unit.world import World, end, nature

VMIS = vmi.controller(ManagerSettings(use_emulation=True))
COMPLETIONS, TRIES = 4, 2
EVICTED = {"type": launcher.DISRUPTION, "status": "True", "reason": "EvictionByEvictionAPI"}
IGNORE = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": launcher.DISRUPTION}]}]}
PLAIN = {"completionMode": "Indexed", "completions": COMPLETIONS, "parallelism": 2, "backoffLimit": 1000}
EACH = PLAIN | {"backoffLimitPerIndex": TRIES - 1}
FORGIVING = EACH | {"podFailurePolicy": IGNORE}
SPECS = (PLAIN, EACH, EACH | {"podReplacementPolicy": "Failed"}, FORGIVING, FORGIVING)
GUESTS = st.integers(0, 7)
EDITS = (
    {"parallelism": 3},
    {"parallelism": 1},
    {"parallelism": 4, "suspend": False},
    {"suspend": True},
    {"suspend": False},
    {"parallelism": 0},
)


class IndexedJob(RuleBasedStateMachine):
    """One job; `truth` is what really became of each of its guests that the job is to count."""

    @initialize(spec=st.sampled_from(SPECS))
    def begin(self, spec: Any) -> None:
        self.world = World((job.CONTROLLER, job_orphan.CONTROLLER, VMIS))
        self.world.add(make.job(spec=spec))
        self.truth: dict[str, tuple[int, str]] = {}
        self.forgiving = "podFailurePolicy" in spec

    @property
    def job(self) -> Any:
        (found,) = self.world.all(VirtualMachineJob)
        return found

    def vmis(self) -> list[VMI]:
        return self.world.all(VMI)

    def ended(self, vmi: VMI, how: str) -> None:
        number = index(self.job, vmi)
        if TRACKING in vmi.metadata.finalizers and vmi.metadata.uid not in self.truth and number is not None:
            self.truth[vmi.metadata.uid] = number, how

    def running(self, number: int) -> tuple[VMI, Pod] | None:
        """A guest that nobody has told to go, and its pod."""
        pods = [pod for pod in self.world.all(Pod) if pod.status.phase == "Running"]
        pods = [pod for pod in pods if not pod.metadata.deletion_timestamp]
        if not pods:
            return None
        pod = pods[number % len(pods)]
        vmi = next(each for each in self.vmis() if each.metadata.name == pod.metadata.annotations[launcher.DOMAIN])
        return None if dying(vmi) or finished(vmi) else (vmi, pod)

    @rule(cut=st.sampled_from([None, None, 0, 1, 2, 3]), twice=st.booleans())
    def visit(self, cut: int | None, twice: bool) -> None:
        """The manager looks; it may die after so many writes, or be called twice for one change."""
        before = sum(not (dying(vmi) or finished(vmi)) for vmi in self.vmis())
        for _ in range(1 + twice):
            self.world.visit(job.CONTROLLER, self.job, cut)
        after = sum(not (dying(vmi) or finished(vmi)) for vmi in self.vmis())
        spec = self.job.spec
        assert after <= max(before, 0 if spec.suspend else spec.parallelism), "above parallelism"

    @rule(minutes=st.sampled_from([0, 1, 7]))
    def others(self, minutes: int) -> None:
        """Everybody else's turn: pods come up, and what is deleted goes."""
        for controller in (VMIS, job_orphan.CONTROLLER):
            for each in self.vmis():
                if any(each.metadata.uid == now.metadata.uid for now in self.vmis()):
                    self.world.visit(controller, self.world.get(VMI, each.metadata.name))
        nature(self.world)
        self.world.now += timedelta(minutes=minutes)

    @rule(rounds=st.integers(1, 3))
    def all_is_well(self, rounds: int) -> None:
        """Everybody does what there is to do."""
        for _ in range(rounds):
            self.visit(None, twice=False)
            self.others(1)

    @rule(number=GUESTS, phase=st.sampled_from(["Succeeded", "Failed"]))
    def guest_ends(self, number: int, phase: str) -> None:
        if found := self.running(number):
            vmi, pod = found
            self.ended(vmi, phase)
            end(self.world, pod, phase)
            self.world.visit(VMIS, vmi)

    @rule(number=GUESTS)
    def node_is_lost(self, number: int) -> None:
        if found := self.running(number):
            vmi, pod = found
            self.ended(vmi, "ignored" if self.forgiving else "Failed")
            self.world.change(vmi, {"status": {"phase": "Failed", "reason": NODE_FENCED}})
            self.world.vanish(pod)

    @rule(number=GUESTS)
    def evicted(self, number: int) -> None:
        if found := self.running(number):
            vmi, pod = found
            self.ended(vmi, "ignored" if self.forgiving else "Failed")
            told = [each.model_dump(by_alias=True, exclude_unset=True) for each in pod.status.conditions]
            self.world.change(pod, {"status": {"conditions": [*told, EVICTED]}})
            self.world.delete(self.world.get(Pod, pod.metadata.name))
            self.world.visit(VMIS, vmi)
            self.world.vanish(self.world.get(Pod, pod.metadata.name))
            self.world.visit(VMIS, self.world.get(VMI, vmi.metadata.name))

    @precondition(lambda self: self.vmis())
    @rule(number=GUESTS)
    def user_deletes(self, number: int) -> None:
        """One of the guests, whatever state it is in."""
        victim = self.vmis()[number % len(self.vmis())]
        if not finished(victim) and not dying(victim):
            self.ended(victim, "Failed")
        self.world.delete(victim)

    @rule(edit=st.sampled_from(EDITS))
    def user_edits(self, edit: dict[str, Any]) -> None:
        self.world.change(self.job, {"spec": edit})

    @invariant()
    def one_guest_of_an_index(self) -> None:
        alive = [vmi for vmi in self.vmis() if leaving(vmi) or not (dying(vmi) or finished(vmi))]
        assert len({index(self.job, vmi) for vmi in alive}) == len(alive), self.world.picture()

    @invariant()
    def nothing_counts_twice(self) -> None:
        status = self.job.status
        if status is None:
            return
        done = {number for number, how in self.truth.values() if how == "Succeeded"}
        failed = Counter(number for number, how in self.truth.values() if how == "Failed")
        assert parse(status.completed_indexes, COMPLETIONS) <= done
        assert status.succeeded == len(parse(status.completed_indexes, COMPLETIONS))
        assert (status.failed or 0) <= failed.total()
        assert all(failed[number] >= TRIES for number in parse(status.failed_indexes, COMPLETIONS))

    def teardown(self) -> None:
        """From now on everything goes well, and all is counted."""
        if not hasattr(self, "world"):
            return
        self.world.change(self.job, {"spec": {"suspend": False, "parallelism": 3}})
        for _ in range(40):
            self.others(7)
            self.visit(None, twice=False)
            self.guest_ends(0, "Succeeded")
            self.one_guest_of_an_index()
            self.nothing_counts_twice()
            if self.over():
                break
        assert self.over(), f"never over: {self.world.picture()} {self.job.status}"
        done = {number for number, how in self.truth.values() if how == "Succeeded"}
        lost = parse(self.job.status.failed_indexes, COMPLETIONS)
        assert parse(self.job.status.completed_indexes, COMPLETIONS) == done
        assert done | lost == set(range(COMPLETIONS))
        assert self.over() == ("Failed" if lost else "Complete")
        assert self.job.status.failed == sum(how == "Failed" for _, how in self.truth.values())
        assert not [vmi for vmi in self.vmis() if TRACKING in vmi.metadata.finalizers]

    def over(self) -> str:
        true = [each.type for each in self.job.status.conditions if each.status == "True"] if self.job.status else []
        return next((kind for kind in ("Complete", "Failed") if kind in true), "")


IndexedJob.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestIndexedJob = IndexedJob.TestCase


@pytest.mark.parametrize("cut", range(1, 6))
def test_a_manager_that_dies_after_so_many_writes_each_time(cut: int) -> None:
    """Index 1 fails twice and passes: all come to the same end."""
    world = World((job.CONTROLLER, VMIS))
    world.add(make.job(spec=PLAIN | {"backoffLimitPerIndex": 2}))
    for _ in range(300):
        (the_job,) = world.all(VirtualMachineJob)
        if the_job.status and the_job.status.completion_time:
            break
        world.visit(job.CONTROLLER, the_job, cut)
        for each in world.all(VMI):
            world.visit(VMIS, each)
        nature(world)
        world.now += timedelta(seconds=15)
        for pod in world.all(Pod):
            if pod.status.phase == "Running":
                marks = pod.metadata.annotations
                fails = marks[INDEX] == "1" and marks[FAILURES] != "2"
                end(world, pod, "Failed" if fails else "Succeeded")
    status = the_job.status
    assert (status.completed_indexes, status.succeeded, status.failed) == ("0-3", 4, 2)
    assert (status.failed_indexes, status.uncounted_terminated.failed) == ("", ())
    tries = Counter(vmi.metadata.annotations[INDEX] for vmi in world.all(VMI))
    assert tries == {"0": 1, "1": 3, "2": 1, "3": 1}
    assert not [vmi for vmi in world.all(VMI) if TRACKING in vmi.metadata.finalizers]
