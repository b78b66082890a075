"""Counting the guests of a job, each exactly once, whenever the manager dies. Pure.

A VMI carries the finalizer TRACKING until it is counted. One that has ended is first named in the status
(uncountedTerminated); then its finalizer is taken away; then, in one write, its UID gives way to one more in the
counter. So a UID in the status is not in the counter, and a VMI without the finalizer is never named again.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from controllers import job_policy
from controllers.job_guest import dying, finished, index, leaving, lost, phase
from controllers.job_index import index_failed, indexed, last_failures
from controllers.job_ranges import parse, text
from hostler.api.batch import TRACKING, UncountedTerminated, VirtualMachineJob
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.runtime.plan import Patch
from hostler.runtime.protocol import Raw

FAILURE_TARGET, SUCCESS = "FailureTarget", "SuccessCriteriaMet"  # conditions: how it will end is decided
MOST = 500  # UIDs in the status at once, as many as batch/v1's


@dataclass(frozen=True)
class Tally:
    """The guests of a job, and what its counters will say."""

    vmis: tuple[VMI, ...]  # all of them, the counted included
    succeeded: int  # counted once `named` are let go
    failed: int
    named: tuple[VMI, ...]  # in the status already, and their finalizers still there
    ended_well: tuple[VMI, ...]  # not named yet
    ended_badly: tuple[VMI, ...]
    passed_over: tuple[VMI, ...]  # ended, and count for nothing
    active: tuple[VMI, ...]
    terminating: tuple[VMI, ...]  # being deleted, and their guests not seen to have ended
    strays: tuple[VMI, ...]  # that run, and have lost their finalizer: we were about to delete them
    completed: frozenset[int] | None = None  # indexes, those of `ended_well` included; None if the job has none
    failed_indexes: frozenset[int] | None = None  # None if it has no limit for each
    kept: frozenset[str] = frozenset()  # UIDs of those that tell the next guest of their index how often it failed

    @property
    def all_succeeded(self) -> int:
        return self.succeeded + len(self.ended_well) if self.completed is None else len(self.completed)

    @property
    def all_failed(self) -> int:
        return self.failed + len(self.ended_badly)

    @property
    def settled(self) -> frozenset[int]:
        """Indexes that need no guest any more."""
        return (self.completed or frozenset()) | (self.failed_indexes or frozenset())

    @property
    def quiet(self) -> bool:
        """Nothing runs, ends or is to be counted."""
        return not (self.active or self.terminating or self.strays or self.ended_well or self.ended_badly)

    @property
    def done_with(self) -> tuple[Patch, ...]:
        """Finalizers that may go: of those that are counted by this, and of those that never will be."""
        over = (vmi for vmi in self.passed_over if vmi.metadata.uid not in self.kept)
        return (*(let_go(vmi, "count") for vmi in self.named), *(let_go(vmi, "pass over") for vmi in over))

    def final(self) -> "Tally":
        """The same when the job is over: there is no next guest, and whoever never had an end counts as failed."""
        return replace(self, kept=frozenset())


def tally(job: VirtualMachineJob, vmis: Iterable[VMI]) -> Tally:
    status = job.status
    uncounted = (status and status.uncounted_terminated) or UncountedTerminated()
    known = {*uncounted.succeeded, *uncounted.failed}
    everyone = tuple(vmis)
    tracked = [vmi for vmi in everyone if TRACKING in vmi.metadata.finalizers]
    others = [vmi for vmi in everyone if TRACKING not in vmi.metadata.finalizers]
    before = completed_before(job) if indexed(job) else None
    fates: dict[str, list[VMI]] = defaultdict(list)
    for vmi in tracked:
        fates["named" if vmi.metadata.uid in known else fate(job, vmi, before)].append(vmi)
    found = Tally(
        vmis=everyone,
        succeeded=((status and status.succeeded) or 0) + len(uncounted.succeeded),
        failed=((status and status.failed) or 0) + len(uncounted.failed),
        named=tuple(fates["named"]),
        ended_well=tuple(fates["well"]),
        ended_badly=tuple(fates["badly"]),
        passed_over=tuple(fates["passed over"]),
        active=tuple(fates["active"]),
        terminating=tuple(vmi for vmi in everyone if leaving(vmi)),
        strays=tuple(vmi for vmi in others if not dying(vmi) and not finished(vmi)),
    )
    return found if before is None else by_index(job, found, before)


def completed_before(job: VirtualMachineJob) -> frozenset[int]:
    return parse(job.status.completed_indexes if job.status else None, job.completions or 0)


def fate(job: VirtualMachineJob, vmi: VMI, completed: frozenset[int] | None) -> str:
    """What becomes of a guest that is not named yet; `completed` are the indexes that the status names."""
    number = index(job, vmi)
    nowhere = completed is not None and number is None
    if phase(vmi) == "Succeeded":
        counted = completed is not None and number in completed
        return "passed over" if nowhere else "named" if counted else "well"
    if lost(job, vmi):
        return "passed over" if nowhere or job_policy.ignored(job, vmi) else "badly"
    return "leaving" if dying(vmi) else "active"


def by_index(job: VirtualMachineJob, found: Tally, completed: frozenset[int]) -> Tally:
    """Successes count by their index, so that none counts twice; an index may run out of failures."""
    completed |= {number for vmi in found.ended_well if (number := index(job, vmi)) is not None}
    if job.spec.backoff_limit_per_index is None:
        return replace(found, completed=completed)
    failed = parse(job.status.failed_indexes if job.status else None, job.completions or 0)
    ended = (*found.ended_badly, *found.passed_over)
    if not (job.has(FAILURE_TARGET) or job.has(SUCCESS)):  # else it was told to go, and its index has not failed
        failed |= {number for vmi in ended if (number := index(job, vmi)) is not None and index_failed(job, vmi)}
    busy = {index(job, vmi) for vmi in found.active}
    kept = {
        vmi.metadata.uid
        for number, vmi in last_failures(job, ended).items()
        if number not in completed | failed and number not in busy
    }
    return replace(found, completed=completed, failed_indexes=failed, kept=frozenset(kept))


def counters(found: Tally) -> Raw:
    """The part of the status that counts: what was named is counted, what has ended since is named."""
    ended = [vmi.metadata.uid for vmi in found.ended_badly if vmi.metadata.uid not in found.kept]
    well = [vmi.metadata.uid for vmi in found.ended_well if found.completed is None][:MOST]
    badly = ended[: MOST - len(well)]
    status: Raw = {
        "succeeded": found.succeeded,
        "failed": found.failed,
        "uncountedTerminated": {"succeeded": well, "failed": badly},
    }
    if found.completed is not None:
        status |= {"succeeded": len(found.completed), "completedIndexes": text(found.completed) or None}
    return status if found.failed_indexes is None else status | {"failedIndexes": text(found.failed_indexes)}


def let_go(vmi: VMI, why: str) -> Patch:
    """Take the finalizer away."""
    left = [each for each in vmi.metadata.finalizers if each != TRACKING]
    return Patch(vmi, {"metadata": {"finalizers": left}}, why)
