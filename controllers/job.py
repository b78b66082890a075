"""VirtualMachineJob: guests that run to an end, as many as are to succeed."""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count, islice
from typing import Any

from controllers import job_index, job_script, job_verdict
from controllers.job_guest import dying, finished, waits_for_the_end, worth
from controllers.job_index import Start, indexed
from controllers.job_pause import pause
from controllers.job_status import Steps, events, report
from controllers.job_tally import FAILURE_TARGET, Tally, let_go, tally
from hostler.api import launcher
from hostler.api.batch import (
    CONTROLLER_UID,
    FAILURES,
    IGNORED,
    INDEX,
    JOB_NAME,
    QUEUE_LABELS,
    TRACKING,
    VirtualMachineJob,
)
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.runtime import conditions, names
from hostler.runtime.plan import Action, Controller, Create, Delete, Event, Failure, Plan, owner_reference
from hostler.runtime.protocol import Raw
from hostler.runtime.store import Store

BURST = 250  # creates, and deletes, a visit
PACE = 0.5  # seconds between visits: one status write tells of many guests


@dataclass(frozen=True)
class Seen:
    """The guests of a job, and the names taken in its namespace."""

    vmis: tuple[VMI, ...] = ()
    taken: Set[str] = frozenset()


def look(store: Store, job: VirtualMachineJob) -> Seen:
    return Seen(tuple(store.owned(VMI, job.metadata.uid)), store.names(VMI, job.metadata.namespace))


def plan(job: VirtualMachineJob, seen: Seen, now: datetime) -> Plan:
    """Count what has ended; start what is missing, end what is too much; say how it stands."""
    if job.metadata.deletion_timestamp:
        return Plan()  # the garbage collector deletes the guests; controllers/job_orphan.py lets them go
    if not job_verdict.ours(job):
        return expiry(job, now)
    if job_verdict.over(job):
        return rest(job, seen, now)
    found = tally(job, seen.vmis)
    verdict = job_verdict.verdict(job, found, now)
    if verdict:
        found = found.final()
        steps = ending(found) if verdict.target == FAILURE_TARGET else withdrawing(found, found.active)
    else:
        steps = running(job, seen, found, now)
    status = report(job, found, verdict, steps, now)
    return Plan(steps.actions, status, events(job, steps, status), wake(job, steps, now))


def ending(found: Tally) -> Steps:
    """The job has failed: its guests are deleted, and counted as failed once they go."""
    return Steps(found.done_with, tuple(map(Delete, (*found.active, *found.strays)[:BURST])))


def withdrawing(found: Tally, surplus: Iterable[VMI]) -> Steps:
    """One that is withdrawn counts neither way: its finalizer goes first."""
    gone = tuple(surplus)[:BURST]
    patches = (*found.done_with, *(let_go(vmi, "withdraw") for vmi in gone))
    return Steps(patches, tuple(map(Delete, (*found.strays, *gone))))


def running(job: VirtualMachineJob, seen: Seen, found: Tally, now: datetime) -> Steps:
    """As many guests as there should be, and no two of one index."""
    wanted = 0 if job.spec.suspend else job_verdict.wanted_active(job, found)
    surplus = too_many(job, found, max(len(found.active) - wanted, 0))
    steps = withdrawing(found, surplus)
    still_there = len(found.terminating) if waits_for_the_end(job) else 0
    missing = min(max(wanted - len(found.active) - still_there, 0), BURST)
    if surplus or not missing:
        return steps
    wait = 0.0 if job.spec.backoff_limit_per_index is not None else pause(seen.vmis, now)
    if wait:
        return replace(steps, wait=wait)
    fresh, wait_for = starts(job, seen, found, missing, now)
    creates = [guest(job, start, now) for start in fresh]
    if creates and job.spec.script is not None and not seen.vmis:
        creates.insert(0, job_script.secret(job))
    soon = 0.0 if len(fresh) == BURST else wait_for
    return replace(steps, creates=tuple(creates), wait=soon, made=tuple(start.name for start in fresh))


def too_many(job: VirtualMachineJob, found: Tally, number: int) -> list[VMI]:
    """Who goes, where there are so many too many: first those whose index another one has, or nobody has any more."""
    wrong = list(job_index.misplaced(job, found.active)) if indexed(job) else []
    others = sorted((vmi for vmi in found.active if vmi not in wrong), key=worth)
    return wrong + others[: max(number - len(wrong), 0)]


def starts(
    job: VirtualMachineJob, seen: Seen, found: Tally, missing: int, now: datetime
) -> tuple[tuple[Start, ...], float | None]:
    """So many guests, and the seconds until an index that may not run again yet."""
    if not indexed(job):
        return tuple(map(Start, islice(free_names(job, found, seen.taken), missing))), None
    waiting = islice(job_index.pending(job, found.settled, seen.vmis), missing)
    return job_index.starts(job, waiting, seen.vmis, seen.taken, now)


def free_names(job: VirtualMachineJob, found: Tally, taken: Set[str]) -> Iterator[str]:
    """<job>-<5 characters> of the job's UID and a number, so that a create whose answer was lost is found again."""
    first = found.all_succeeded + found.all_failed + len(found.active)
    slots = (f"{job.metadata.name}-{names.suffix(f'{job.metadata.uid}/{number}')}" for number in count(first))
    return (name for name in slots if name not in taken)


def guest(job: VirtualMachineJob, start: Start, now: datetime) -> Create:
    """One VMI: the template, our labels, the ports by which it says how it went, and a way to tell of a panic."""
    meta = job.spec.template.metadata
    pending = {"phase": "Pending", "phaseTransitionTimestamp": conditions.stamp(now)}
    queue = {key: value for key, value in job.metadata.labels.items() if key in QUEUE_LABELS}
    metadata = {
        "name": start.name,
        "namespace": job.metadata.namespace,
        "labels": queue | (meta.labels if meta else {}) | labels(job, start),
        "annotations": (meta.annotations if meta else {}) | annotations(job, start),
        "finalizers": [launcher.VMI_FINALIZER, TRACKING],
        "ownerReferences": [owner_reference(job)],
    }
    status = {"phase": "Pending", "phaseTransitionTimestamps": [pending]}
    return Create(VMI, {"metadata": metadata, "spec": guest_spec(job, start), "status": status})


def labels(job: VirtualMachineJob, start: Start) -> dict[str, str]:
    own = {JOB_NAME: job.metadata.name, CONTROLLER_UID: job.metadata.uid}
    return own if start.number is None else own | {INDEX: str(start.number)}


def annotations(job: VirtualMachineJob, start: Start) -> dict[str, str]:
    found = {launcher.PORTS: "true"}
    if start.number is not None:
        found[INDEX] = str(start.number)
    if job.spec.backoff_limit_per_index is not None:
        found[FAILURES] = str(start.failures)
    return found | ({IGNORED: str(start.ignored)} if start.ignored else {})


def guest_spec(job: VirtualMachineJob, start: Start) -> Raw:
    template = job.spec.template.spec
    spec: Raw = template.model_dump(mode="json", by_alias=True, exclude_unset=True) if template else {}
    domain = spec.get("domain") or {}
    devices: dict[str, Any] = domain.get("devices") or {}
    if not devices.get("panicDevices"):
        spec |= {"domain": domain | {"devices": devices | {"panicDevices": [{"model": "isa"}]}}}
    if start.number is not None:
        spec = job_script.with_index(job, start.number, start.failures, spec)
    return spec if job.spec.script is None else job_script.with_script(job, spec)


def rest(job: VirtualMachineJob, seen: Seen, now: datetime) -> Plan:
    """It is over: its guests are kept, for their logs, until it goes. Those that come late are an older manager's."""
    late = [vmi for vmi in seen.vmis if TRACKING in vmi.metadata.finalizers or not (finished(vmi) or dying(vmi))]
    actions: list[Action] = [let_go(vmi, "withdraw") for vmi in late if TRACKING in vmi.metadata.finalizers]
    actions += [Delete(vmi) for vmi in late if not finished(vmi) and not dying(vmi)]
    goes = expiry(job, now)
    return replace(goes, actions=(*actions, *goes.actions))


def expiry(job: VirtualMachineJob, now: datetime) -> Plan:
    """It goes by itself some time after its end, whoever runs it."""
    since, ttl = job_verdict.finish_time(job), job.spec.ttl_seconds_after_finished
    if since is None or ttl is None:
        return Plan()
    left = ttl - (now - since).total_seconds()
    return Plan((Delete(job),)) if left <= 0 else Plan(requeue_after=left)


def wake(job: VirtualMachineJob, steps: Steps, now: datetime) -> float | None:
    """Seconds until the clock alone is a reason for a visit."""
    left = job_verdict.time_left(job, now)
    due = [each for each in (steps.wait, left if left and left > 0 else None) if each is not None]
    return min(due) if due else None


def failed(job: VirtualMachineJob, plan: Plan, failure: Failure, now: datetime) -> Plan:
    """A guest was refused: the others are counted, and the clock goes on; those that were made are seen soon."""
    status = dict(plan.status or {"startTime": job_verdict.start_time(job, 0, now)})
    if "active" in status:
        status["active"] -= sum(isinstance(each, Create) and each.kind is VMI for each in plan.actions)
    refused = Event("FailedCreate", f"Error creating: {failure.error}", "Warning")
    return Plan(status=status, events=(*plan.events_but_creates, refused), requeue_after=wake(job, Steps(), now))


CONTROLLER = Controller(
    name="job",
    parent=VirtualMachineJob,
    children=(VMI,),
    look=look,
    plan=plan,
    failed=failed,
    pace=PACE,
    shared_status=True,  # who counts must know where it stands
)
