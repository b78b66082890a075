"""Disk images: look at a tenant's, make our own. Whatever comes out of an image is hostile."""

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

from .errors import PrepareError

SECONDS = 30  # for one qemu-img; honest images take 0.05 s
MEMORY = 1 << 30  # bytes of address space: a header that asks for more is an attack
ANSWER = 1 << 20  # bytes of JSON that qemu-img may print
QCOW2 = b"QFI\xfb"
# Formats that QEMU would guess and follow to other files, and packed images that no guest could boot from.
REFUSED = {
    b"KDMV": "vmdk",
    b"COWD": "vmdk",
    b"# Disk DescriptorFile": "vmdk",
    b"vhdxfile": "vhdx",
    b"conectix": "vpc",
    b"QED\0": "qed",
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
VDI_MAGIC = b"\x7f\x10\xda\xbe"
VDI_OFFSET = 0x40


def only_disk(image: Path, volume: str) -> str:
    """The path, inside a containerDisk's image, of the only file in its /disk folder."""
    folder = inside(image, "disk", volume)
    try:
        names = [entry.name for entry in folder.iterdir() if entry.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        raise PrepareError(f"volume {volume}: the image has no /disk folder; put the disk there or set path") from None
    if len(names) != 1:
        raise PrepareError(f"volume {volume}: /disk holds {len(names)} files; name one with containerDisk.path")
    return f"disk/{names[0]}"


def inside(image: Path, path: str, volume: str) -> Path:
    """`path` below `image`, which no symbolic link and no ".." may leave."""
    full = image.joinpath(path.lstrip("/")).resolve()
    if not full.is_relative_to(image.resolve()):
        raise PrepareError(f"volume {volume}: {path} leaves the image")
    return full


def regular(image: Path, path: str, volume: str) -> Path:
    """`inside`, and a regular file."""
    full = inside(image, path, volume)
    if not full.is_file():
        raise PrepareError(f"volume {volume}: the image has no file {path}")
    return full


def image_format(path: Path, volume: str) -> str:
    """raw or qcow2; refuses every other format, and a qcow2 that needs another file or a password."""
    with path.open("rb") as file:
        head = file.read(512)
    for magic, name in REFUSED.items():
        if head.startswith(magic):
            raise PrepareError(f"volume {volume}: the disk is in {name} format; hostler takes raw and qcow2")
    if head[VDI_OFFSET : VDI_OFFSET + 4] == VDI_MAGIC:
        raise PrepareError(f"volume {volume}: the disk is in vdi format; hostler takes raw and qcow2")
    if not head.startswith(QCOW2):
        return "raw"
    refuse_dependent(info(path, volume), volume)
    return "qcow2"


def info(path: Path, volume: str) -> dict[str, Any]:
    """What qemu-img says of a qcow2 image."""
    answer = qemu_img("info", "-f", "qcow2", "--output=json", str(path), volume=volume)
    found = json.loads(answer) if len(answer) <= ANSWER else None
    if not isinstance(found, dict):
        raise PrepareError(f"volume {volume}: qemu-img cannot make sense of the disk")
    return found


def refuse_dependent(found: dict[str, Any], volume: str) -> None:
    """An image must stand alone: else it could name any file or address that this pod can reach."""
    specific = found.get("format-specific")
    data = specific.get("data") if isinstance(specific, dict) else None
    if "backing-filename" in found or "full-backing-filename" in found:
        raise PrepareError(f"volume {volume}: the disk has a backing file; flatten it (qemu-img convert)")
    if isinstance(data, dict) and "data-file" in data:
        raise PrepareError(f"volume {volume}: the disk keeps its data in another file; flatten it (qemu-img convert)")
    if found.get("encrypted"):
        raise PrepareError(f"volume {volume}: the disk is encrypted; hostler cannot ask for its key")


def overlay(base: Path, path: Path, volume: str) -> None:
    """A qcow2 image at `path` that reads through to `base` and keeps all writes."""
    qemu_img("create", "-q", "-f", "qcow2", "-F", image_format(base, volume), "-b", str(base), str(path), volume=volume)


def empty(path: Path, size: int, volume: str) -> None:
    """A qcow2 image of `size` bytes, all zero."""
    qemu_img("create", "-q", "-f", "qcow2", str(path), str(size), volume=volume)


def claim(path: Path, size: int, volume: str) -> None:
    """Keep the raw image on a filesystem PVC, or make a sparse one of `size` bytes."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return sparse(path, size, volume, os.O_CREAT | os.O_EXCL)
    if not stat.S_ISREG(found.st_mode):
        raise PrepareError(f"volume {volume}: disk.img on the claim is not a regular file")
    if not found.st_size:  # who made it was stopped half-way
        sparse(path, size, volume)
    return None


def sparse(path: Path, size: int, volume: str, create: int = 0) -> None:
    """A file of `size` bytes that takes no room yet; a size the file system lacks is refused, less 10 %.

    One without bytes is none yet, to us and to the node's agent. It gets its length in one call, in its place: were it
    replaced by another, of two pods that find it at once the later would take the disk from the earlier.
    """
    room = os.statvfs(path.parent)
    free = room.f_bavail * room.f_frsize
    if free < size * 0.9:  # KubeVirt's tolerance: a file system never offers all of its volume
        raise PrepareError(f"volume {volume}: the claim has {free} bytes free, its disk needs {size}")
    handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | create, 0o660)
    try:
        now = os.fstat(handle)
        if stat.S_ISREG(now.st_mode) and not now.st_size:  # a tenant's folder: it may be another than a moment ago
            os.ftruncate(handle, min(size, free) // 512 * 512)
    finally:
        os.close(handle)


def qemu_img(*arguments: str, volume: str) -> bytes:
    """Run qemu-img with bounds on time and memory; its standard output."""
    limits = ("prlimit", f"--as={MEMORY}", f"--cpu={SECONDS}", "--core=0")
    try:
        done = subprocess.run((*limits, "qemu-img", *arguments), capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise PrepareError(f"volume {volume}: qemu-img {arguments[0]} took more than {SECONDS} s") from None
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip()[-400:] or f"it ended with {done.returncode}"
        raise PrepareError(f"volume {volume}: qemu-img {arguments[0]} failed: {why}")
    return done.stdout
