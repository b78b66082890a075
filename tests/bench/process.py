"""What a process has cost so far, from /proc."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mib(pid: int) -> float:
    """The most memory that was ever resident."""
    return _kib(Path(f"/proc/{pid}/status").read_text(), "VmHWM:") / 1024


def resident_mib(pid: int) -> float:
    return _kib(Path(f"/proc/{pid}/status").read_text(), "VmRSS:") / 1024


def proportional_mib(pid: int) -> float:
    """PSS: shared pages are divided among those that share them."""
    return _kib(Path(f"/proc/{pid}/smaps_rollup").read_text(), "Pss:") / 1024


def _kib(text: str, key: str) -> int:
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(key))
