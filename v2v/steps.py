"""Decisions about a disk on its way: pure."""

import json
from typing import Any, Literal

from hostler.runtime.errors import Terminal

LONGEST_ANSWER = 1 << 20  # bytes of JSON that qemu-img may print
DOWNLOAD_SHARE = 70.0  # percent of the progress, where converting follows

Step = Literal["stream", "convert"]


def steps(disk_format: str) -> tuple[Step, ...]:
    """raw goes straight to its place; qcow2 is put down first, since its tables lie anywhere in it."""
    return ("stream",) if disk_format == "raw" else ("stream", "convert")


def virtual_size(answer: bytes, room: int) -> int:
    """The bytes of the disk in a qcow2 image, from `qemu-img info`; Terminal for an image that is not to be trusted."""
    found = json.loads(answer) if len(answer) <= LONGEST_ANSWER else None
    if not isinstance(found, dict) or not isinstance(found.get("virtual-size"), int):
        raise Terminal("ImageInvalid", "qemu-img cannot make sense of the disk")
    refuse_dependent(found)
    size: int = found["virtual-size"]
    if size > room:
        raise Terminal(
            "VolumeTooSmall",
            f"the disk is {size} bytes, the volume has {room} bytes for it: "
            "ask for more in spec.storage.resources.requests.storage",
        )
    return size


def refuse_dependent(found: dict[str, Any]) -> None:
    """An image must stand alone: else it could name any file or address that the worker can reach."""
    specific = found.get("format-specific")
    data = specific.get("data") if isinstance(specific, dict) else None
    if "backing-filename" in found or "full-backing-filename" in found:
        raise Terminal("ImageInvalid", "the disk has a backing file; flatten it (qemu-img convert)")
    if isinstance(data, dict) and "data-file" in data:
        raise Terminal("ImageInvalid", "the disk keeps its data in another file; flatten it (qemu-img convert)")
    if found.get("encrypted"):
        raise Terminal("ImageInvalid", "the disk is encrypted; decrypt it first (qemu-img convert)")
