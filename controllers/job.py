"""VirtualMachineJob: guests that run to an end, as many as are to succeed."""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from datetime import datetime
from itertools import count, islice
from typing import Any

from controllers import job_script, job_verdict
from controllers.job_status import Steps, events, report
from controllers.job_tally import Tally, dying, finished, let_go, tally
from controllers.job_verdict import FAILURE_TARGET
from hostler.api import launcher
from hostler.api.batch import CONTROLLER_UID, JOB_NAME, TRACKING, VirtualMachineJob
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
    if job_verdict.over(job):
        return rest(job, seen, now)
    found = tally(job, seen.vmis)
    verdict = job_verdict.verdict(job, found, now)
    steps = ending(found) if verdict and verdict.target == FAILURE_TARGET else running(job, seen, found, now)
    status = report(job, found, verdict, steps, now)
    return Plan(steps.actions, status, events(job, steps, status), wake(job, steps, now))


def ending(found: Tally) -> Steps:
    """The job has failed: its guests are deleted, and counted as failed once they go."""
    patches = tuple(let_go(vmi, "count") for vmi in found.named)
    return Steps(patches, tuple(map(Delete, (*found.active, *found.strays)[:BURST])))


def running(job: VirtualMachineJob, seen: Seen, found: Tally, now: datetime) -> Steps:
    """As many guests as there should be. One that is withdrawn counts neither way: its finalizer goes first."""
    wanted = 0 if job.spec.suspend else job_verdict.wanted_active(job, found)
    surplus = sorted(found.active, key=worth)[: max(len(found.active) - wanted, 0)][:BURST]
    patches = [let_go(vmi, "count") for vmi in found.named] + [let_go(vmi, "withdraw") for vmi in surplus]
    deletes = [Delete(vmi) for vmi in (*found.strays, *surplus)]
    missing = min(max(wanted - len(found.active), 0), BURST)
    wait = job_verdict.pause(seen.vmis, now) if missing else 0.0
    if not missing or wait:
        return Steps(tuple(patches), tuple(deletes), wait=wait or None)
    fresh = tuple(islice(free_names(job, found, seen.taken), missing))
    creates = [guest(job, name, now) for name in fresh]
    if job.spec.script is not None and not seen.vmis:
        creates.insert(0, job_script.secret(job))
    return Steps(tuple(patches), tuple(deletes), tuple(creates), 0.0 if missing == BURST else None, fresh)


def worth(vmi: VMI) -> tuple[bool, float, str]:
    """Who goes first when there are too many: who does not run yet, then the youngest."""
    born = conditions.parse(vmi.metadata.creation_timestamp or "").timestamp()
    return vmi.status is not None and vmi.status.phase == "Running", -born, vmi.metadata.name


def free_names(job: VirtualMachineJob, found: Tally, taken: Set[str]) -> Iterator[str]:
    """<job>-<5 characters> of the job's UID and a number, so that a create whose answer was lost is found again."""
    first = found.all_succeeded + found.all_failed + len(found.active)
    slots = (f"{job.metadata.name}-{names.suffix(f'{job.metadata.uid}/{number}')}" for number in count(first))
    return (name for name in slots if name not in taken)


def guest(job: VirtualMachineJob, name: str, now: datetime) -> Create:
    """One VMI: the template, our labels, the ports by which it says how it went, and a way to tell of a panic."""
    template = job.spec.template
    meta = template.metadata
    pending = {"phase": "Pending", "phaseTransitionTimestamp": conditions.stamp(now)}
    metadata = {
        "name": name,
        "namespace": job.metadata.namespace,
        "labels": (meta.labels if meta else {}) | labels(job),
        "annotations": (meta.annotations if meta else {}) | {launcher.PORTS: "true"},
        "finalizers": [launcher.VMI_FINALIZER, TRACKING],
        "ownerReferences": [owner_reference(job)],
    }
    status = {"phase": "Pending", "phaseTransitionTimestamps": [pending]}
    return Create(VMI, {"metadata": metadata, "spec": guest_spec(job), "status": status})


def labels(job: VirtualMachineJob) -> dict[str, str]:
    return {JOB_NAME: job.metadata.name, CONTROLLER_UID: job.metadata.uid}


def guest_spec(job: VirtualMachineJob) -> Raw:
    template = job.spec.template.spec
    spec: Raw = template.model_dump(mode="json", by_alias=True, exclude_unset=True) if template else {}
    domain = spec.get("domain") or {}
    devices: dict[str, Any] = domain.get("devices") or {}
    if not devices.get("panicDevices"):
        spec |= {"domain": domain | {"devices": devices | {"panicDevices": [{"model": "isa"}]}}}
    return spec if job.spec.script is None else job_script.with_script(job, spec)


def rest(job: VirtualMachineJob, seen: Seen, now: datetime) -> Plan:
    """It is over: its guests are kept, for their logs, until it goes. Those that come late are an older manager's."""
    late = [vmi for vmi in seen.vmis if TRACKING in vmi.metadata.finalizers or not (finished(vmi) or dying(vmi))]
    actions: list[Action] = [let_go(vmi, "withdraw") for vmi in late if TRACKING in vmi.metadata.finalizers]
    actions += [Delete(vmi) for vmi in late if not finished(vmi) and not dying(vmi)]
    since, ttl = job_verdict.finish_time(job), job.spec.ttl_seconds_after_finished
    if since is None or ttl is None:
        return Plan(tuple(actions))
    left = ttl - (now - since).total_seconds()
    return Plan((*actions, Delete(job))) if left <= 0 else Plan(tuple(actions), requeue_after=left)


def wake(job: VirtualMachineJob, steps: Steps, now: datetime) -> float | None:
    """Seconds until the clock alone is a reason for a visit."""
    left = job_verdict.time_left(job, now)
    due = [each for each in (steps.wait, left if left and left > 0 else None) if each is not None]
    return min(due) if due else None


def failed(job: VirtualMachineJob, _plan: Plan, failure: Failure, now: datetime) -> Plan:
    """A guest was refused. What is to be counted stays to be counted: the next visit does it."""
    status = {"startTime": job_verdict.start_time(job, now)}
    return Plan(status=status, events=(Event("FailedCreate", f"Error creating: {failure.error}", "Warning"),))


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
