"""What the status of a VirtualMachineJob says, and the events that tell of it, in batch/v1's words. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from controllers import job_verdict
from controllers.job_guest import end_time, finished
from controllers.job_tally import FAILURE_TARGET, Tally, counters
from controllers.job_verdict import Verdict, parallelism
from hostler.api.batch import VirtualMachineJob
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.runtime import conditions
from hostler.runtime.conditions import Condition
from hostler.runtime.plan import CREATED, Action, Create, Delete, Event, Patch
from hostler.runtime.protocol import Raw

MOST_RESULTS = 10  # in a job's status; each VMI's own has its own


@dataclass(frozen=True)
class Steps:
    """What a visit does, in this order."""

    patches: tuple[Patch, ...] = ()
    deletes: tuple[Delete, ...] = ()
    creates: tuple[Create, ...] = ()
    wait: float | None = None  # seconds until more may be done
    made: tuple[str, ...] = ()  # names of new guests

    @property
    def actions(self) -> tuple[Action, ...]:
        return self.patches + self.deletes + self.creates


def report(job: VirtualMachineJob, found: Tally, verdict: Verdict | None, steps: Steps, now: datetime) -> Raw:
    """What will be true when the steps are done."""
    leaving = {step.target.metadata.uid for step in steps.deletes}
    active = len(steps.made) + sum(vmi.metadata.uid not in leaving for vmi in found.active)
    final = verdict is not None and found.quiet and not steps.made
    status: Raw = counters(found) | {
        "active": active,
        "ready": sum(map(ready, found.active)),
        "terminating": len(found.terminating),
        "startTime": job_verdict.start_time(job, active, now),
        "completionTime": conditions.stamp(now) if final and verdict and verdict.target != FAILURE_TARGET else None,
        "conditions": told(job, verdict, final, now),
        "results": results(job, found.vmis),
    }
    return status | {"printable": printable(job, status, now)}


def ready(vmi: VMI) -> bool:
    return vmi.status is not None and any(c.type == "Ready" and c.status == "True" for c in vmi.status.conditions)


def told(job: VirtualMachineJob, verdict: Verdict | None, final: bool, now: datetime) -> list[Raw]:
    wanted: dict[str, Condition | None] = {}
    if verdict:
        wanted[verdict.target] = Condition(True, verdict.reason, verdict.message)
        if final:
            wanted[job_verdict.FINAL[verdict.target]] = wanted[verdict.target]
    elif job.spec.suspend:
        wanted["Suspended"] = Condition(True, "JobSuspended", "Job suspended")
    elif job.has("Suspended"):
        wanted["Suspended"] = Condition(False, "JobResumed", "Job resumed")
    return conditions.update(job.status.conditions if job.status else (), wanted, now)


def results(job: VirtualMachineJob, vmis: Sequence[VMI]) -> list[Raw]:
    """What the last guests left, those of deleted ones included."""
    said = [vmi for vmi in vmis if finished(vmi) and spoke(vmi)]
    before = job.status.results if job.status else ()
    known = {each.name: each.model_dump(mode="json", by_alias=True, exclude_unset=True) for each in before}
    for vmi in sorted(said, key=lambda vmi: (end_time(vmi), vmi.metadata.name)):
        status = vmi.status
        left = {"exitCode": status and status.exit_code, "result": status and status.result}
        known[vmi.metadata.name] = {"name": vmi.metadata.name} | {k: v for k, v in left.items() if v is not None}
    return list(known.values())[-MOST_RESULTS:]


def spoke(vmi: VMI) -> bool:
    return vmi.status is not None and (vmi.status.exit_code is not None or bool(vmi.status.result))


def printable(job: VirtualMachineJob, status: Raw, now: datetime) -> Raw:
    """The columns that kubectl itself computes for batch/v1."""
    is_true = {each["type"] for each in status["conditions"] if each["status"] == "True"}
    order = ("Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet")
    wanted = job.completions
    of = str(wanted) if wanted is not None else "1" if parallelism(job) < 2 else f"1 of {parallelism(job)}"
    shown = {
        "status": next((each for each in order if each in is_true), "Running"),
        "completions": f"{status['succeeded']}/{of}",
    }
    if status["completionTime"] and status["startTime"]:
        shown["duration"] = short(int((now - conditions.parse(status["startTime"])).total_seconds()))
    return shown


def short(seconds: int) -> str:
    """As kubectl writes it, roughly: 42s, 3m7s, 2h5m."""
    minutes, hours = seconds // 60, seconds // 3600
    if hours:
        return f"{hours}h{minutes % 60}m"
    return f"{minutes}m{seconds % 60}s" if minutes else f"{seconds}s"


def events(job: VirtualMachineJob, steps: Steps, status: Raw) -> tuple[Event, ...]:
    made = [Event(CREATED, f"Created virtual machine instance: {name}") for name in steps.made]
    gone = [
        Event("SuccessfulDelete", f"Deleted virtual machine instance: {each.target.metadata.name}")
        for each in steps.deletes
    ]
    return (*made, *gone, *turns(job, status))


def turns(job: VirtualMachineJob, status: Raw) -> Iterator[Event]:
    """Told once, when a condition turns."""
    before = {each.type: each.status for each in job.status.conditions} if job.status else {}
    for each in status["conditions"]:
        if before.get(each["type"]) == each["status"]:
            continue
        match each["type"], each["status"]:
            case "Suspended", "True":
                yield Event("Suspended", "Job suspended")
            case "Suspended", _:
                yield Event("Resumed", "Job resumed")
            case "Complete", _:
                yield Event("Completed", "Job completed")
            case "Failed", _:
                yield Event(each["reason"], each["message"], "Warning")
