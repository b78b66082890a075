"""How far a disk is: percent of the source's bytes, or what qemu-img prints."""

import re

QEMU_IMG = re.compile(rb"\((\d{1,3}\.\d\d)/100%\)")
UNKNOWN = "N/A"
WHOLE = "100.0%"


def percent(done: int, total: int | None) -> float | None:
    """None where nobody knows the whole."""
    return min(done * 100 / total, 100.0) if total else None


def text(value: float | None) -> str:
    """As CDI shows it: 34.50%."""
    return UNKNOWN if value is None else f"{value:.2f}%"


def qemu_img(output: bytes) -> float | None:
    """The last percentage in a piece of what `qemu-img convert -p` prints."""
    found = QEMU_IMG.findall(output)
    return min(float(found[-1]), 100.0) if found else None


def part(value: float | None, begin: float, end: float) -> float | None:
    """The percent of one step, as percent of the whole of which it is the part from `begin` to `end`."""
    return None if value is None else begin + value * (end - begin) / 100
