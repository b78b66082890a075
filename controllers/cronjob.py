"""VirtualMachineCronJob: a job whenever the clock says so."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from controllers.job_verdict import over, true
from hostler.api.batch import SCHEDULED, VirtualMachineCronJob, VirtualMachineJob
from hostler.runtime import conditions
from hostler.runtime.plan import Action, Controller, Create, Delete, Event, Failure, Plan, owner_reference
from hostler.runtime.protocol import Raw
from hostler.runtime.schedule import Schedule, UnknownTimeZone
from hostler.runtime.store import Store

SUCCESSES_KEPT, FAILURES_KEPT = 3, 1
TOO_MANY = 100  # times missed in a row that are worth a warning
LOOK = 600.0  # seconds between looks at the clock at most: somebody may have set it
SOON = 0.1  # seconds after the time, so that it is not before it


@dataclass(frozen=True)
class Seen:
    """The jobs that are there, oldest first."""

    jobs: tuple[VirtualMachineJob, ...] = ()


class Turn(NamedTuple):
    """What the clock brings."""

    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    wait: float | None = None  # seconds until the next look


def look(store: Store, cron: VirtualMachineCronJob) -> Seen:
    return Seen(tuple(sorted(store.owned(VirtualMachineJob, cron.metadata.uid), key=born)))


def plan(cron: VirtualMachineCronJob, seen: Seen, now: datetime) -> Plan:
    """Start a job when it is time, forget old ones, say what runs. A job's name holds its time: it is made once."""
    if cron.metadata.deletion_timestamp:
        return Plan()
    alive = [job for job in seen.jobs if not over(job) and job.metadata.deletion_timestamp is None]
    turn = clock(cron, seen, alive, now)
    old = tuple(history(cron, seen))
    told = (*(saw(cron, seen)), *turn.events, *(deleted(each) for each in (*old, *turn.actions)))
    return Plan((*old, *turn.actions), status(cron, seen, alive), tuple(filter(None, told)), turn.wait)


def clock(cron: VirtualMachineCronJob, seen: Seen, alive: list[VirtualMachineJob], now: datetime) -> Turn:
    if cron.spec.suspend:
        return Turn()
    try:
        schedule = Schedule(cron.spec.schedule, cron.spec.time_zone)
    except UnknownTimeZone as error:
        return Turn(events=(Event("UnknownTimeZone", str(error), "Warning"),))
    except ValueError as error:
        return Turn(events=(Event("UnparseableSchedule", f"unparseable schedule: {error}", "Warning"),))
    due, upcoming = schedule.last(now), schedule.next(now)
    wait = None if upcoming is None else min((upcoming - now).total_seconds() + SOON, LOOK)
    since = begin(cron)
    if due is None or due <= since or job_name(cron, due) in {job.metadata.name for job in seen.jobs}:
        return Turn(wait=wait)
    return start(cron, schedule, due, alive, now)._replace(wait=wait)


def start(
    cron: VirtualMachineCronJob, schedule: Schedule, due: datetime, alive: list[VirtualMachineJob], now: datetime
) -> Turn:
    """It is time, unless it is too late or another one runs."""
    deadline = cron.spec.starting_deadline_seconds
    if deadline is not None and (now - due).total_seconds() > deadline:
        note = f"Missed scheduled time to start a job: {conditions.stamp(due)}"
        return Turn(events=(Event("MissSchedule", note, "Warning"),))
    if alive and cron.spec.concurrency_policy == "Forbid":
        note = "Not starting job because prior execution is running and concurrency policy is Forbid"
        return Turn(events=(Event("JobAlreadyActive", note),))
    replaced = tuple(map(Delete, alive)) if cron.spec.concurrency_policy == "Replace" else ()
    made = create(cron, schedule, due)
    events = [Event("SuccessfulCreate", f"Created job {made.body['metadata']['name']}")]
    if deadline is None and schedule.count(begin(cron), now, TOO_MANY + 1) > TOO_MANY:
        note = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        events.append(Event("TooManyMissedTimes", note, "Warning"))
    return Turn((*replaced, made), tuple(events))


def begin(cron: VirtualMachineCronJob) -> datetime:
    """What was due until then is settled."""
    last = cron.status.last_schedule_time if cron.status else None
    return conditions.parse(last or cron.metadata.creation_timestamp or "")


def job_name(cron: VirtualMachineCronJob, due: datetime) -> str:
    return f"{cron.metadata.name}-{int(due.timestamp()) // 60}"


def create(cron: VirtualMachineCronJob, schedule: Schedule, due: datetime) -> Create:
    template = cron.spec.job_template
    meta = template.metadata
    scheduled = schedule.local(due).isoformat().replace("+00:00", "Z")
    metadata = {
        "name": job_name(cron, due),
        "namespace": cron.metadata.namespace,
        "labels": meta.labels if meta else {},
        "annotations": (meta.annotations if meta else {}) | {SCHEDULED: scheduled},
        "ownerReferences": [owner_reference(cron)],
    }
    spec = template.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return Create(VirtualMachineJob, {"metadata": metadata, "spec": spec})


def history(cron: VirtualMachineCronJob, seen: Seen) -> Iterator[Delete]:
    """The oldest of those that are over, where there are more than are kept."""
    spec = cron.spec
    kept = {
        "Complete": SUCCESSES_KEPT
        if spec.successful_jobs_history_limit is None
        else spec.successful_jobs_history_limit,
        "Failed": FAILURES_KEPT if spec.failed_jobs_history_limit is None else spec.failed_jobs_history_limit,
    }
    for kind, most in kept.items():
        ended = [job for job in seen.jobs if true(job, kind) and job.metadata.deletion_timestamp is None]
        yield from map(Delete, ended[: max(len(ended) - most, 0)])


def born(job: VirtualMachineJob) -> tuple[str, str]:
    started = job.status.start_time if job.status else None
    return started or job.metadata.creation_timestamp or "", job.metadata.name


def status(cron: VirtualMachineCronJob, seen: Seen, alive: list[VirtualMachineJob]) -> Raw:
    """Told of the jobs that are there: one that is being made is told of when it is seen."""
    done = [job.status.completion_time for job in seen.jobs if job.status and true(job, "Complete")]
    before = cron.status
    successes = [each for each in (*done, before and before.last_successful_time) if each]
    times = [each for job in seen.jobs if (each := scheduled_time(cron, job))]
    schedules = [each for each in (*times, before and before.last_schedule_time) if each]
    return {
        "active": [reference(job) for job in alive],
        "activeJobs": len(alive),
        "lastScheduleTime": max(schedules, default=None),
        "lastSuccessfulTime": max(successes, default=None),
    }


def scheduled_time(cron: VirtualMachineCronJob, job: VirtualMachineJob) -> str | None:
    """The time that is in the name that we gave it."""
    minutes = job.metadata.name.removeprefix(f"{cron.metadata.name}-")
    if not minutes.isdigit() or len(minutes) > 10:
        return None
    return conditions.stamp(datetime.fromtimestamp(int(minutes) * 60, tz=UTC))


def reference(job: VirtualMachineJob) -> Raw:
    meta = job.metadata
    return {
        "apiVersion": job.group_version,
        "kind": job.kind(),
        "name": meta.name,
        "namespace": meta.namespace,
        "uid": meta.uid,
    }


def saw(cron: VirtualMachineCronJob, seen: Seen) -> Iterator[Event]:
    """Jobs that have ended since the status was written."""
    known = {each.uid for each in cron.status.active} if cron.status else set()
    for job in seen.jobs:
        if job.metadata.uid in known and over(job):
            how = "Complete" if true(job, "Complete") else "Failed"
            yield Event("SawCompletedJob", f"Saw completed job: {job.metadata.name}, condition: {how}")


def deleted(action: Action) -> Event | None:
    return (
        Event("SuccessfulDelete", f"Deleted job {action.target.metadata.name}") if isinstance(action, Delete) else None
    )


def failed(_cron: VirtualMachineCronJob, _plan: Plan, failure: Failure, _now: datetime) -> Plan:
    return Plan(events=(Event("FailedCreate", f"Error creating job: {failure.error}", "Warning"),))


CONTROLLER = Controller(
    name="cronjob",
    parent=VirtualMachineCronJob,
    children=(VirtualMachineJob,),
    look=look,
    plan=plan,
    failed=failed,
    shared_status=True,
    workers=2,
)
