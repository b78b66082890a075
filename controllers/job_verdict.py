"""When a job is over, or rests: its conditions and deadlines, as batch/v1 has them. Pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from controllers import job_policy
from controllers.job_tally import FAILURE_TARGET, SUCCESS, Tally
from hostler.api.batch import CONTROLLER_NAME, VirtualMachineJob
from hostler.runtime import conditions

BACKOFF_LIMIT = 6
NO_LIMIT = 2**31 - 1

FINAL = {FAILURE_TARGET: "Failed", SUCCESS: "Complete"}


class Verdict(NamedTuple):
    """How a job ends: first as a target, and when its last guest is gone as the final condition of the same reason."""

    target: str
    reason: str
    message: str


COMPLETE = Verdict(SUCCESS, "CompletionsReached", "Reached expected number of succeeded virtual machine instances")
TOO_MANY_FAILURES = Verdict(FAILURE_TARGET, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
TOO_LATE = Verdict(FAILURE_TARGET, "DeadlineExceeded", "Job was active longer than specified deadline")
TOO_MANY_INDEXES = Verdict(
    FAILURE_TARGET,
    "MaxFailedIndexesExceeded",
    "Job has exceeded the specified maximal number of failed indexes",
)
FAILED_INDEXES = Verdict(FAILURE_TARGET, "FailedIndexes", "Job has failed indexes")


def over(job: VirtualMachineJob) -> bool:
    return job.has("Complete") or job.has("Failed")


def parallelism(job: VirtualMachineJob) -> int:
    return 1 if job.spec.parallelism is None else job.spec.parallelism


def ours(job: VirtualMachineJob) -> bool:
    """Whether nobody else has been asked to run it."""
    return job.spec.managed_by in (None, CONTROLLER_NAME)


def verdict(job: VirtualMachineJob, found: Tally, now: datetime) -> Verdict | None:
    """What was decided stays decided; else failure comes before success."""
    for decided in job.status.conditions if job.status else ():
        if decided.type in FINAL and decided.status == "True":
            return Verdict(decided.type, decided.reason or "", decided.message or "")
    return next(reasons(job, found, now), None)


def reasons(job: VirtualMachineJob, found: Tally, now: datetime) -> Iterator[Verdict]:
    """Why it is over, the first of all that are true."""
    if message := job_policy.job_failure(job, found.vmis):
        yield Verdict(FAILURE_TARGET, "PodFailurePolicy", message)
    if found.all_failed > backoff_limit(job):
        yield TOO_MANY_FAILURES
    left = time_left(job, now)
    if left is not None and left <= 0:
        yield TOO_LATE
    wanted, succeeded = job.completions, found.all_succeeded
    if lost := len(found.failed_indexes or ()):
        most = job.spec.max_failed_indexes
        if most is not None and lost > most:
            yield TOO_MANY_INDEXES
        if lost + succeeded >= (wanted or 0):
            yield FAILED_INDEXES
    if message := job_policy.success(job, found.completed or frozenset()):
        yield Verdict(SUCCESS, "SuccessPolicy", message)
    if succeeded >= wanted if wanted is not None else succeeded and not found.active:
        yield COMPLETE


def backoff_limit(job: VirtualMachineJob) -> int:
    """Failures that are borne."""
    if job.spec.backoff_limit is not None:
        return job.spec.backoff_limit
    return BACKOFF_LIMIT if job.spec.backoff_limit_per_index is None else NO_LIMIT


def wanted_active(job: VirtualMachineJob, found: Tally) -> int:
    """How many guests are to run."""
    wanted = job.completions
    if wanted is None:
        return len(found.active) if found.all_succeeded else parallelism(job)
    return max(min(wanted - found.all_succeeded, parallelism(job)), 0)


def start_time(job: VirtualMachineJob, active: int, now: datetime) -> str | None:
    """When it was last let run; none while it sleeps, so that it may be sent elsewhere before it runs again."""
    known = job.status.start_time if job.status else None
    if job.spec.suspend:
        return known if active else None
    return conditions.stamp(now) if known is None or job.has("Suspended") else known


def time_left(job: VirtualMachineJob, now: datetime) -> float | None:
    """Seconds until the deadline; None if there is none."""
    if job.spec.active_deadline_seconds is None or job.spec.suspend:
        return None
    started = conditions.parse(start_time(job, 0, now) or conditions.stamp(now))
    return job.spec.active_deadline_seconds - (now - started).total_seconds()


def finish_time(job: VirtualMachineJob) -> datetime | None:
    """When it was over."""
    for kind in FINAL.values():
        for each in job.status.conditions if job.status else ():
            if each.type == kind and each.status == "True" and each.last_transition_time:
                return conditions.parse(each.last_transition_time)
    return None
