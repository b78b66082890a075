"""The indexes of an indexed job: how often each has failed, and which start next. Pure."""

from collections.abc import Iterable, Iterator, Set
from datetime import datetime
from itertools import count
from typing import NamedTuple

from controllers import job_policy
from controllers.job_guest import dying, end_time, failures, ignored_failures, index, leaving, lost, phase, tries, worth
from controllers.job_pause import backed_off
from hostler.api.batch import TRACKING, VirtualMachineJob
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.runtime import names


class Start(NamedTuple):
    """A guest that is to be made: of which index, if it is to have one, and how often that has failed."""

    name: str
    number: int | None = None
    failures: int = 0
    ignored: int = 0


def indexed(job: VirtualMachineJob) -> bool:
    return job.spec.completion_mode == "Indexed"


def last_failures(job: VirtualMachineJob, vmis: Iterable[VMI]) -> dict[int, VMI]:
    """Of each index, the guest that failed last. One that was withdrawn has not failed."""
    found: dict[int, VMI] = {}
    for vmi in vmis:
        number = index(job, vmi)
        failed = lost(job, vmi) if TRACKING in vmi.metadata.finalizers else phase(vmi) == "Failed" and not dying(vmi)
        if failed and number is not None:
            found[number] = max(found.get(number, vmi), vmi, key=lambda vmi: (tries(vmi), end_time(vmi)))
    return found


def index_failed(job: VirtualMachineJob, vmi: VMI) -> bool:
    """Whether the failure of this guest is the last that its index may have."""
    limit = job.spec.backoff_limit_per_index
    action = job_policy.action(job, vmi)
    if action in ("FailIndex", "Ignore"):
        return action == "FailIndex"
    return limit is not None and failures(vmi) >= limit


def misplaced(job: VirtualMachineJob, active: Iterable[VMI]) -> Iterator[VMI]:
    """Guests of no index, and all but one of those that share one."""
    taken: set[int] = set()
    for vmi in sorted(active, key=worth, reverse=True):
        number = index(job, vmi)
        if number is None or number in taken:
            yield vmi
        else:
            taken.add(number)


def pending(job: VirtualMachineJob, settled: Set[int], vmis: Iterable[VMI]) -> Iterator[int]:
    """The indexes that are to run, lowest first. One whose guest may still run waits, whatever replaces a guest."""
    busy = {
        index(job, vmi) for vmi in vmis if leaving(vmi) or not (dying(vmi) or phase(vmi) in ("Succeeded", "Failed"))
    }
    return (number for number in range(job.completions or 0) if number not in settled and number not in busy)


def starts(
    job: VirtualMachineJob, waiting: Iterable[int], vmis: tuple[VMI, ...], taken: Set[str], now: datetime
) -> tuple[tuple[Start, ...], float | None]:
    """Guests for indexes that are due, and the seconds until the next of those that are not."""
    before = last_failures(job, vmis)
    each_waits = job.spec.backoff_limit_per_index is not None
    due, waits = [], []
    for number in waiting:
        last = before.get(number)
        wait = backed_off(tries(last), end_time(last), now) if last and each_waits else 0.0
        if wait:
            waits.append(wait)
        else:
            due.append(start(job, number, last, taken))
    return tuple(due), min(waits, default=None)


def start(job: VirtualMachineJob, number: int, last: VMI | None, taken: Set[str]) -> Start:
    """<job>-<index>-<5 characters>: they follow from the index and its tries, so a create without answer is found."""
    first = tries(last) if last else 0
    seeds = (f"{job.metadata.uid}/{number}/{attempt}" for attempt in count(first))
    slots = (f"{job.metadata.name}-{number}-{names.suffix(seed)}" for seed in seeds)
    name = next(slot for slot in slots if slot not in taken)
    if last is None:
        return Start(name, number)
    ignored = job_policy.ignored(job, last)
    return Start(name, number, failures(last) + (not ignored), ignored_failures(last) + ignored)
