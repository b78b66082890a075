"""Jobs whose manager dies at any write: each guest is counted once, and none runs that should not."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers import job, job_orphan, vmi
from controllers.job_guest import finished
from controllers.settings import ManagerSettings
from hostler.api import launcher
from hostler.api.batch import TRACKING, VirtualMachineJob
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.objects import Pod
from tests.unit import make
from tests.unit.world import World, end, nature

VMIS = vmi.controller(ManagerSettings(use_emulation=True))
CONTROLLERS = (job.CONTROLLER, job_orphan.CONTROLLER, VMIS)
COMPLETIONS, PARALLELISM = 4, 2


class Jobs:
    """A world with one job in it, and what really happened to its guests."""

    def __init__(self, **spec: Any) -> None:
        self.world = World(CONTROLLERS)
        whole = {"completions": COMPLETIONS, "parallelism": PARALLELISM, "backoffLimit": 1000} | spec
        self.world.add(make.job(spec=whole))
        self.truth: dict[str, str] = {}

    @property
    def job(self) -> Any:
        (found,) = self.world.all(VirtualMachineJob)
        return found

    def vmis(self) -> list[VMI]:
        return self.world.all(VMI)

    def running(self) -> list[VMI]:
        """Guests that run, and that nobody has told to stop."""
        return [each for each in self.vmis() if not finished(each) and not each.metadata.deletion_timestamp]

    def visit(self, cut: int | None = None) -> int:
        return self.world.visit(job.CONTROLLER, self.job, cut)

    def others(self) -> None:
        """Everybody but the job's controller: pods come up, and what is deleted goes."""
        for controller in (VMIS, job_orphan.CONTROLLER):
            for each in self.vmis():
                if any(each.metadata.uid == now.metadata.uid for now in self.vmis()):
                    self.world.visit(controller, self.world.get(VMI, each.metadata.name))
        nature(self.world)

    def end(self, number: int, phase: str) -> None:
        """One of the running guests ends."""
        pods = [
            pod for pod in self.world.all(Pod) if pod.status.phase == "Running" and not pod.metadata.deletion_timestamp
        ]
        if not pods:
            return
        pod = pods[number % len(pods)]
        owner = next(each for each in self.vmis() if each.metadata.name == pod.metadata.annotations[launcher.DOMAIN])
        if owner.metadata.deletion_timestamp or finished(owner):
            return
        end(self.world, pod, phase)
        self.world.visit(VMIS, owner)
        if TRACKING in owner.metadata.finalizers:
            self.truth[owner.metadata.uid] = phase

    def delete(self, number: int) -> None:
        """A user deletes one of the guests, whatever state it is in."""
        found = self.vmis()
        if not found:
            return
        victim = found[number % len(found)]
        if not finished(victim) and not victim.metadata.deletion_timestamp and TRACKING in victim.metadata.finalizers:
            self.truth[victim.metadata.uid] = "Failed"
        self.world.delete(victim)

    def suspend(self, asleep: bool) -> None:
        self.world.change(self.job, {"spec": {"suspend": asleep}})

    def counted(self, phase: str) -> int:
        status = self.job.status
        if status is None:
            return 0
        number = (status.succeeded if phase == "Succeeded" else status.failed) or 0
        return int(number)

    def true(self, phase: str) -> int:
        return sum(how == phase for how in self.truth.values())

    def holds(self) -> None:
        for phase in ("Succeeded", "Failed"):
            assert self.counted(phase) <= self.true(phase), "somebody was counted twice"
        assert self.true("Succeeded") <= COMPLETIONS
        assert len(self.running()) <= PARALLELISM

    def settle(self) -> None:
        """Every guest that runs from now on succeeds."""
        for _ in range(100):
            self.world.now += timedelta(minutes=7)
            self.visit()
            self.holds()
            self.others()
            self.end(0, "Succeeded")
            if self.job.status.completion_time:
                return
        raise AssertionError(f"never complete: {self.world.picture()} {self.job.status}")


STEPS = st.one_of(
    st.tuples(st.just("visit"), st.sampled_from([None, 0, 1, 2, 3])),
    st.tuples(st.just("others"), st.none()),
    st.tuples(st.just("succeed"), st.integers(0, 5)),
    st.tuples(st.just("fail"), st.integers(0, 5)),
    st.tuples(st.just("delete"), st.integers(0, 9)),
    st.tuples(st.just("suspend"), st.booleans()),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_each_guest_counts_once(steps: list[tuple[str, Any]]) -> None:
    jobs = Jobs()
    for verb, what in steps:
        jobs.world.now += timedelta(seconds=20)
        match verb:
            case "visit":
                jobs.visit(what)
            case "others":
                jobs.others()
            case "succeed":
                jobs.end(what, "Succeeded")
            case "fail":
                jobs.end(what, "Failed")
            case "delete":
                jobs.delete(what)
            case "suspend":
                jobs.suspend(what)
        jobs.holds()
    jobs.suspend(False)
    jobs.settle()
    assert jobs.counted("Succeeded") == COMPLETIONS == jobs.true("Succeeded")
    assert jobs.counted("Failed") == jobs.true("Failed")
    assert not [each for each in jobs.vmis() if TRACKING in each.metadata.finalizers]


def failing(jobs: Jobs) -> None:
    jobs.end(0, "Failed")


def late(jobs: Jobs) -> None:
    jobs.world.now += timedelta(hours=1)


@pytest.mark.parametrize(
    ("spec", "trouble", "reason"),
    [
        pytest.param({"backoffLimit": 0}, failing, "BackoffLimitExceeded", id="too many failures"),
        pytest.param({"activeDeadlineSeconds": 600}, late, "DeadlineExceeded", id="too late"),
    ],
)
@pytest.mark.parametrize("cut", range(6))
def test_a_failed_job_ends_its_guests_and_counts_them(spec: Any, trouble: Any, reason: str, cut: int) -> None:
    jobs = Jobs(**spec)
    jobs.visit()
    jobs.others()
    jobs.visit()
    trouble(jobs)
    jobs.visit(cut)  # the manager dies after so many writes
    for _ in range(6):
        jobs.visit()
        jobs.others()
    final = {each.type: each.reason for each in jobs.job.status.conditions if each.status == "True"}
    assert final == {"FailureTarget": reason, "Failed": reason}
    assert jobs.counted("Failed") == PARALLELISM
    assert jobs.running() == []


@pytest.mark.parametrize("cut", range(6))
def test_a_job_that_is_deleted_takes_all_with_it(cut: int) -> None:
    jobs = Jobs(script="true")
    jobs.visit()
    jobs.others()
    jobs.end(0, "Succeeded")
    jobs.visit(cut)
    jobs.world.delete(jobs.job)
    jobs.world.settle()
    assert jobs.world.picture() == []


@pytest.mark.parametrize("asleep", [False, True])
def test_a_job_at_rest_costs_nothing(asleep: bool) -> None:
    jobs = Jobs(suspend=asleep)
    for _ in range(3):
        jobs.visit()
        jobs.others()
    jobs.visit()
    assert jobs.visit() == 0


def test_a_job_runs_to_its_end_in_few_writes() -> None:
    jobs = Jobs(completions=1, parallelism=1)
    before = jobs.world.writes
    jobs.visit()
    jobs.others()
    jobs.end(0, "Succeeded")
    own = jobs.world.writes
    jobs.visit()
    jobs.visit()
    assert jobs.job.status.completion_time
    assert jobs.world.writes - own == 3, "its name, its finalizer, its count"
    assert own - before <= 5
