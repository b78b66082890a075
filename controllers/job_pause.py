"""Seconds between a failure and the next guest: ever longer while there is no success. Pure."""

from collections.abc import Iterable
from datetime import datetime

from controllers.job_guest import end_time, finished, phase
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 600.0  # seconds after the first failure in a row, and at most


def pause(vmis: Iterable[VMI], now: datetime) -> float:
    """Seconds until the next guest may start, by the failures since the last success."""
    ends = sorted((end_time(vmi), phase(vmi)) for vmi in vmis if finished(vmi))
    row = 0
    for _, how in reversed(ends):
        if how != "Failed":
            break
        row += 1
    return backed_off(row, ends[-1][0], now) if row else 0.0


def backed_off(failures: int, last: float, now: datetime) -> float:
    """Seconds left after so many failures in a row, of which the last was at a time of the clock."""
    wait = min(FIRST_PAUSE * 2.0 ** min(failures - 1, 16), LONGEST_PAUSE)
    return max(0.0, wait - (now.timestamp() - last))
