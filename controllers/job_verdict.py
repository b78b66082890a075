"""When a job is over, or rests: its conditions, deadlines and pauses, as batch/v1 has them. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from controllers.job_tally import Tally, finished, phase
from hostler.api.batch import VirtualMachineJob
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.runtime import conditions

BACKOFF_LIMIT = 6
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 360.0  # seconds after the first failure in a row, and at most

FAILURE_TARGET, SUCCESS = "FailureTarget", "SuccessCriteriaMet"
FINAL = {FAILURE_TARGET: "Failed", SUCCESS: "Complete"}


class Verdict(NamedTuple):
    """How a job ends: first as a target, and when its last guest is gone as the final condition of the same reason."""

    target: str
    reason: str
    message: str


COMPLETE = Verdict(SUCCESS, "CompletionsReached", "Reached expected number of succeeded virtual machine instances")
TOO_MANY_FAILURES = Verdict(FAILURE_TARGET, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
TOO_LATE = Verdict(FAILURE_TARGET, "DeadlineExceeded", "Job was active longer than specified deadline")


def true(job: VirtualMachineJob, kind: str) -> bool:
    return job.status is not None and any(c.type == kind and c.status == "True" for c in job.status.conditions)


def over(job: VirtualMachineJob) -> bool:
    return true(job, "Complete") or true(job, "Failed")


def parallelism(job: VirtualMachineJob) -> int:
    return 1 if job.spec.parallelism is None else job.spec.parallelism


def completions(job: VirtualMachineJob) -> int | None:
    """None: any success will do, and nothing is started after it."""
    if job.spec.completions is None and job.spec.parallelism is None:
        return 1
    return job.spec.completions


def verdict(job: VirtualMachineJob, found: Tally, now: datetime) -> Verdict | None:
    """What was decided stays decided; else failure comes before success."""
    for decided in job.status.conditions if job.status else ():
        if decided.type in FINAL and decided.status == "True":
            return Verdict(decided.type, decided.reason or "", decided.message or "")
    limit = BACKOFF_LIMIT if job.spec.backoff_limit is None else job.spec.backoff_limit
    if found.all_failed > limit:
        return TOO_MANY_FAILURES
    left = time_left(job, now)
    if left is not None and left <= 0:
        return TOO_LATE
    wanted = completions(job)
    if wanted is None:
        return COMPLETE if found.all_succeeded and not found.active else None
    return COMPLETE if found.all_succeeded >= wanted else None


def wanted_active(job: VirtualMachineJob, found: Tally) -> int:
    """How many guests are to run."""
    wanted = completions(job)
    if wanted is None:
        return len(found.active) if found.all_succeeded else parallelism(job)
    return max(min(wanted - found.all_succeeded, parallelism(job)), 0)


def start_time(job: VirtualMachineJob, now: datetime) -> str | None:
    """When it was first, or last, let run; a job that is suspended has none."""
    if job.spec.suspend:
        return None
    known = job.status.start_time if job.status else None
    return conditions.stamp(now) if known is None or true(job, "Suspended") else known


def time_left(job: VirtualMachineJob, now: datetime) -> float | None:
    """Seconds until the deadline; None if there is none."""
    started = start_time(job, now)
    if job.spec.active_deadline_seconds is None or job.spec.suspend or started is None:
        return None
    return job.spec.active_deadline_seconds - (now - conditions.parse(started)).total_seconds()


def pause(vmis: Iterable[VMI], now: datetime) -> float:
    """Seconds until the next guest may start: ever longer with the failures since the last success."""
    ends = sorted((end_time(vmi), phase(vmi)) for vmi in vmis if finished(vmi))
    row = 0
    for _, how in reversed(ends):
        if how != "Failed":
            break
        row += 1
    if not row:
        return 0.0
    wait = min(FIRST_PAUSE * 2.0 ** min(row - 1, 16), LONGEST_PAUSE)
    return max(0.0, wait - (now.timestamp() - ends[-1][0]))


def end_time(vmi: VMI) -> float:
    """When its guest ended; 0 if nobody wrote it down."""
    passed = vmi.status.phase_transition_timestamps if vmi.status else ()
    times = [each.phase_transition_timestamp for each in passed if each.phase in ("Succeeded", "Failed")]
    return conditions.parse(times[-1]).timestamp() if times and times[-1] else 0.0


def finish_time(job: VirtualMachineJob) -> datetime | None:
    """When it was over."""
    for kind in FINAL.values():
        for each in job.status.conditions if job.status else ():
            if each.type == kind and each.status == "True" and each.last_transition_time:
                return conditions.parse(each.last_transition_time)
    return None
