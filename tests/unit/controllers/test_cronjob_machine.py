"""A cron job through anything that can happen: clocks that jump, crashes, edits, jobs that end or vanish."""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from controllers import cronjob
from controllers.cronjob import TOO_MANY
from controllers.job_verdict import over
from hostler.api.batch import VirtualMachineCronJob, VirtualMachineJob
from hostler.runtime import conditions
from hostler.runtime.protocol import Raw
from hostler.runtime.schedule import Schedule
from tests.unit.make import NOON, cron_job
from tests.unit.world import World

EVERY = Schedule("*/5 * * * *")
CUTS = st.sampled_from([None, None, None, None, 0, 1, 2])
EDITS = st.sampled_from(
    [
        *({"concurrencyPolicy": policy} for policy in ("Allow", "Forbid", "Replace")),
        *({"suspend": suspended} for suspended in (True, False, False)),
        *({"startingDeadlineSeconds": deadline} for deadline in (None, None, 0, 20, 3600)),
        *({"successfulJobsHistoryLimit": limit} for limit in (None, 0, 1)),
        *({"failedJobsHistoryLimit": limit} for limit in (0, 2)),
    ]
)


class CronJobs(RuleBasedStateMachine):
    """One cron job, every five minutes."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World([cronjob.CONTROLLER])
        self.world.add(cron_job())
        self.made: set[str] = set()
        self.last = ""

    @property
    def cron(self) -> VirtualMachineCronJob:
        found: VirtualMachineCronJob = self.world.get(VirtualMachineCronJob, "tick")
        return found

    def jobs(self) -> list[VirtualMachineJob]:
        return self.world.all(VirtualMachineJob)

    def alive(self) -> list[VirtualMachineJob]:
        return [each for each in self.jobs() if not over(each)]

    def settled(self, job: VirtualMachineJob) -> bool:
        """The cron job's status tells of its time."""
        last = self.cron.status.last_schedule_time if self.cron.status else None
        return (cronjob.scheduled_time(self.cron, job) or "") <= (last or "")

    # what the controller does

    @rule(cut=CUTS, minutes=st.sampled_from([5, 5, 5, 10]), late=st.integers(0, 30))
    def it_is_time(self, cut: int | None, minutes: int, late: int) -> None:
        due = EVERY.last(self.world.now)
        assert due is not None
        self.world.now = due + timedelta(minutes=minutes, seconds=late)
        self.visit(cut)

    @rule(cut=CUTS)
    def visit(self, cut: int | None) -> None:
        before, cron = {each.metadata.name: each for each in self.alive()}, self.cron
        names = {each.metadata.name for each in self.jobs()}
        self.world.visit(cronjob.CONTROLLER, cron, cut)
        for job in self.jobs():
            if job.metadata.name not in names:
                self.born(cron, job, before)
        if cut is None:
            self.whole()

    def born(self, cron: VirtualMachineCronJob, job: VirtualMachineJob, before: dict[str, VirtualMachineJob]) -> None:
        """A job was made: at the right time, for the first time, and by the rules."""
        name, due = job.metadata.name, EVERY.last(self.world.now)
        assert due is not None
        assert name == cronjob.job_name(cron, due), "the last time that was due, no other"
        assert name not in self.made, "once"
        assert not cron.spec.suspend
        assert due > created(cron)
        deadline = cron.spec.starting_deadline_seconds
        assert deadline is None or self.world.now - due < timedelta(seconds=deadline)
        left = {each.metadata.name for each in self.alive() if not dying(each)} - {name}
        assert not (cron.spec.concurrency_policy == "Forbid" and before)
        assert not (cron.spec.concurrency_policy == "Replace" and left)
        self.made.add(name)

    def whole(self) -> None:
        """After a visit that was not cut short nothing that is due is left out, and nothing that is over left over."""
        cron, due = self.cron, EVERY.last(self.world.now)
        assert due is not None
        names = {each.metadata.name for each in self.jobs()}
        free = not cron.spec.suspend and cron.spec.starting_deadline_seconds is None
        if free and due > created(cron) and cron.spec.concurrency_policy != "Forbid":
            last = cron.status.last_schedule_time if cron.status else None
            assert cronjob.job_name(cron, due) in names or conditions.parse(last or "") >= due
        for kind, limit, default in (
            ("Complete", cron.spec.successful_jobs_history_limit, cronjob.SUCCESSES_KEPT),
            ("Failed", cron.spec.failed_jobs_history_limit, cronjob.FAILURES_KEPT),
        ):
            kept = [each for each in self.jobs() if each.has(kind) and not dying(each)]
            assert len(kept) <= (default if limit is None else limit)
        self.world.visit(cronjob.CONTROLLER, self.cron)  # tells of the job that it made
        assert self.world.visit(cronjob.CONTROLLER, self.cron) == 0, "at rest it costs nothing"

    # what happens to it

    @rule(seconds=st.integers(1, 900))
    def time_passes(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    @rule(minutes=st.sampled_from([-600, -30, -5, 60, 5 * TOO_MANY + 60]))
    def the_clock_is_set(self, minutes: int) -> None:
        self.world.now = max(self.world.now + timedelta(minutes=minutes), NOON)

    @precondition(lambda self: len(self.alive()) > 1)
    @rule(data=st.data(), how=st.sampled_from(["Complete", "Failed"]))
    def one_of_many_ends(self, data: st.DataObject, how: str) -> None:
        self.a_job_ends(data, how)

    @precondition(lambda self: self.alive())
    @rule(data=st.data(), how=st.sampled_from(["Complete", "Failed"]))
    def a_job_ends(self, data: st.DataObject, how: str) -> None:
        job = data.draw(st.sampled_from(self.alive()))
        end = {"type": how, "status": "True", "lastTransitionTime": conditions.stamp(self.world.now)}
        status: Any = {"conditions": [end]}
        if how == "Complete":
            status["completionTime"] = conditions.stamp(self.world.now)
        self.world.change(job, {"status": status})

    @precondition(lambda self: any(map(self.settled, self.jobs())))
    @rule(data=st.data())
    def a_job_vanishes(self, data: st.DataObject) -> None:
        """One that the status tells of: of others nobody could know, after a crash, that they were there."""
        self.world.vanish(data.draw(st.sampled_from([each for each in self.jobs() if self.settled(each)])))

    @precondition(lambda self: self.alive())
    @rule(data=st.data())
    def a_job_takes_its_time_to_go(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.alive()))
        going = {"deletionTimestamp": conditions.stamp(self.world.now), "finalizers": ["foregroundDeletion"]}
        self.world.change(job, {"metadata": going})

    @rule(change=EDITS)
    def somebody_edits(self, change: Raw) -> None:
        self.world.change(self.cron, {"spec": change})

    @invariant()
    def what_was_last_is_never_forgotten(self) -> None:
        last = (self.cron.status.last_schedule_time if self.cron.status else None) or ""
        assert last >= self.last
        self.last = last


def dying(job: VirtualMachineJob) -> bool:
    return job.metadata.deletion_timestamp is not None


def created(cron: VirtualMachineCronJob) -> datetime:
    return conditions.parse(cron.metadata.creation_timestamp or "")


TestCronJobs = CronJobs.TestCase
TestCronJobs.settings = settings(max_examples=50, stateful_step_count=50, deadline=None, derandomize=True)
