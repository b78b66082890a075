"""Counting the guests of a job, each exactly once, whenever the manager dies. Pure.

A VMI carries the finalizer TRACKING until it is counted. One that has ended is first named in the status
(uncountedTerminated); then its finalizer is taken away; then, in one write, its UID gives way to one more in the
counter. So a UID in the status is not in the counter, and a VMI without the finalizer is never named again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from hostler.api.batch import TRACKING, UncountedTerminated, VirtualMachineJob
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.runtime.plan import Patch
from hostler.runtime.protocol import Raw

FINAL = ("Succeeded", "Failed")
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
    active: tuple[VMI, ...]
    terminating: tuple[VMI, ...]  # being deleted, and their guests not seen to have ended
    strays: tuple[VMI, ...]  # that run, and have lost their finalizer: we were about to delete them

    @property
    def all_succeeded(self) -> int:
        return self.succeeded + len(self.ended_well)

    @property
    def all_failed(self) -> int:
        return self.failed + len(self.ended_badly)

    @property
    def quiet(self) -> bool:
        """Nothing runs, ends or is to be counted."""
        return not (self.active or self.terminating or self.strays or self.ended_well or self.ended_badly)


def tally(job: VirtualMachineJob, vmis: Iterable[VMI]) -> Tally:
    status = job.status
    uncounted = (status and status.uncounted_terminated) or UncountedTerminated()
    known = {*uncounted.succeeded, *uncounted.failed}
    everyone = tuple(vmis)
    tracked = [vmi for vmi in everyone if TRACKING in vmi.metadata.finalizers]
    others = [vmi for vmi in everyone if TRACKING not in vmi.metadata.finalizers]
    fresh = [vmi for vmi in tracked if vmi.metadata.uid not in known]
    return Tally(
        vmis=everyone,
        succeeded=((status and status.succeeded) or 0) + len(uncounted.succeeded),
        failed=((status and status.failed) or 0) + len(uncounted.failed),
        named=tuple(vmi for vmi in tracked if vmi.metadata.uid in known),
        ended_well=tuple(vmi for vmi in fresh if phase(vmi) == "Succeeded"),
        ended_badly=tuple(vmi for vmi in fresh if lost(vmi)),
        active=tuple(vmi for vmi in fresh if phase(vmi) != "Succeeded" and not lost(vmi)),
        terminating=tuple(vmi for vmi in (*tracked, *others) if dying(vmi) and not finished(vmi)),
        strays=tuple(vmi for vmi in others if not dying(vmi) and not finished(vmi)),
    )


def counters(found: Tally) -> Raw:
    """The part of the status that counts: what was named is counted, what has ended since is named."""
    well = [vmi.metadata.uid for vmi in found.ended_well][:MOST]
    badly = [vmi.metadata.uid for vmi in found.ended_badly][: MOST - len(well)]
    return {
        "succeeded": found.succeeded,
        "failed": found.failed,
        "uncountedTerminated": {"succeeded": well, "failed": badly},
    }


def let_go(vmi: VMI, why: str) -> Patch:
    """Take the finalizer away."""
    left = [each for each in vmi.metadata.finalizers if each != TRACKING]
    return Patch(vmi, {"metadata": {"finalizers": left}}, why)


def phase(vmi: VMI) -> str:
    return (vmi.status and vmi.status.phase) or ""


def finished(vmi: VMI) -> bool:
    return phase(vmi) in FINAL


def dying(vmi: VMI) -> bool:
    return vmi.metadata.deletion_timestamp is not None


def lost(vmi: VMI) -> bool:
    """Failed, or deleted before it could end well: that counts as a failure, as in batch/v1."""
    return phase(vmi) == "Failed" or (dying(vmi) and phase(vmi) != "Succeeded")
