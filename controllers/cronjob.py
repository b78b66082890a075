"""VirtualMachineCronJob: a job whenever the clock says so."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from controllers.job_verdict import over
from hostler.api.batch import SCHEDULED, VirtualMachineCronJob, VirtualMachineJob
from hostler.runtime import conditions
from hostler.runtime.plan import CREATED, Action, Controller, Create, Delete, Event, Failure, Plan, owner_reference
from hostler.runtime.protocol import Raw
from hostler.runtime.schedule import Schedule, UnknownTimeZone
from hostler.runtime.store import Store

SUCCESSES_KEPT, FAILURES_KEPT = 3, 1
TOO_MANY = 100  # times missed in a row that are worth a warning
LOOK = 600.0  # seconds between looks at the clock at most: somebody may have set it
LONGEST = 10 * 365 * 86400  # seconds: a longer deadline is as good as none
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
    alive = [job for job in seen.jobs if active(cron, job)]
    turn = clock(cron, seen, alive, now)
    old = tuple(history(cron, seen))
    told = (*(saw(cron, seen)), *turn.events, *(deleted(each) for each in (*old, *turn.actions)))
    replaced = [each.target for each in turn.actions if isinstance(each, Delete)]
    left = [job for job in alive if job not in replaced]
    return Plan((*old, *turn.actions), status(cron, seen, left), tuple(filter(None, told)), turn.wait)


def active(cron: VirtualMachineCronJob, job: VirtualMachineJob) -> bool:
    """It is not over; one that is being deleted still runs, but one that was replaced does not count any more."""
    dying = job.metadata.deletion_timestamp is not None
    return not over(job) and not (dying and cron.spec.concurrency_policy == "Replace")


def clock(cron: VirtualMachineCronJob, seen: Seen, alive: list[VirtualMachineJob], now: datetime) -> Turn:
    zone, text = cron.spec.time_zone, cron.spec.schedule
    try:
        schedule = Schedule(text, zone)
    except UnknownTimeZone as error:
        return Turn(events=(Event("UnknownTimeZone", f"invalid timeZone: {json.dumps(zone)}: {error}", "Warning"),))
    except ValueError as error:
        if cron.spec.suspend:
            return Turn()
        note = f"unparseable schedule: {json.dumps(text)} : {error}"
        return Turn(events=(Event("UnparseableSchedule", note, "Warning"),))
    if cron.spec.suspend:
        return Turn()
    since = begin(cron)
    due, upcoming = schedule.last(now), schedule.next(max(now, since))
    wait = None if upcoming is None else min((upcoming - now).total_seconds() + SOON, LOOK)
    from_when = earliest(cron, since, now)
    if due is None or due <= from_when or job_name(cron, due) in {job.metadata.name for job in seen.jobs}:
        return Turn(wait=wait)
    missed = too_many() if schedule.count(from_when, now, TOO_MANY + 1) > TOO_MANY else ()
    turn = start(cron, schedule, due, alive)
    return Turn(turn.actions, (*missed, *turn.events), wait)


def earliest(cron: VirtualMachineCronJob, since: datetime, now: datetime) -> datetime:
    """What was due until then is settled, or too late: as in batch/v1, nobody is told of what was too late."""
    deadline = cron.spec.starting_deadline_seconds
    return since if deadline is None else max(since, now - timedelta(seconds=min(deadline, LONGEST)))


def too_many() -> tuple[Event, ...]:
    note = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
    return (Event("TooManyMissedTimes", note, "Warning"),)


def start(cron: VirtualMachineCronJob, schedule: Schedule, due: datetime, alive: list[VirtualMachineJob]) -> Turn:
    """It is time, unless another one runs."""
    if alive and cron.spec.concurrency_policy == "Forbid":
        note = "Not starting job because prior execution is running and concurrency policy is Forbid"
        return Turn(events=(Event("JobAlreadyActive", note),))
    replaced = tuple(map(Delete, alive)) if cron.spec.concurrency_policy == "Replace" else ()
    made = create(cron, schedule, due)
    return Turn((*replaced, made), (Event(CREATED, f"Created job {made.body['metadata']['name']}"),))


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
        ended = [job for job in seen.jobs if job.has(kind) and job.metadata.deletion_timestamp is None]
        yield from map(Delete, ended[: max(len(ended) - most, 0)])


def born(job: VirtualMachineJob) -> tuple[str, str]:
    started = job.status.start_time if job.status else None
    return started or job.metadata.creation_timestamp or "", job.metadata.name


def status(cron: VirtualMachineCronJob, seen: Seen, alive: list[VirtualMachineJob]) -> Raw:
    """Told of the jobs that are there: one that is being made is told of when it is seen."""
    done = [job.status.completion_time for job in seen.jobs if job.status and job.has("Complete")]
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
    """When it was due, of a job that we made: it says so, and its name does. Others have any number in their names."""
    try:
        due = conditions.parse(job.metadata.annotations.get(SCHEDULED, "")).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return conditions.stamp(due) if job.metadata.name == job_name(cron, due) else None


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
    """Jobs that have ended since the status was written, or that somebody took away."""
    there = {job.metadata.uid: job for job in seen.jobs}
    for known in cron.status.active if cron.status else ():
        job = there.get(known.uid or "")
        if job is None:
            yield Event("MissingJob", f"Active job went missing: {known.name}")
        elif over(job):
            how = "Complete" if job.has("Complete") else "Failed"
            yield Event("SawCompletedJob", f"Saw completed job: {job.metadata.name}, condition: {how}")


def deleted(action: Action) -> Event | None:
    return (
        Event("SuccessfulDelete", f"Deleted job {action.target.metadata.name}") if isinstance(action, Delete) else None
    )


def failed(_cron: VirtualMachineCronJob, plan: Plan, failure: Failure, _now: datetime) -> Plan:
    """The job was refused: what is known of the others is told all the same."""
    refused = Event("FailedCreate", f"Error creating job: {failure.error}", "Warning")
    return Plan(status=plan.status, events=(*plan.events_but_creates, refused))


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
