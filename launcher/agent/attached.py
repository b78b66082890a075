"""The disk that an attachment pod brings: found in the pod's own file system, and opened.

What is there is a tenant's: no symbolic link is followed, and what is opened is a file or a device of a volume, never
something of the pod's image or of the node.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from hostler.api import launcher
from launcher.agent.places import Intruder, pod_of, process, walk

FOLDER = PurePosixPath(launcher.HOTPLUG).parts[1:]
DEVICE = PurePosixPath(launcher.HOTPLUG_DEVICE).parts[1:]


def open_disk(uid: str, *, block: bool, read_only: bool, proc: Path = Path("/proc")) -> int | None:
    """A descriptor of the disk in the pod with this UID, for who closes it; None while it is not there yet."""
    for pid in processes(uid, proc):
        with suppress(FileNotFoundError, ProcessLookupError):
            handle, network, root = process(pid, uid)
            try:
                return opened(root, block=block, read_only=read_only)
            except FileNotFoundError:
                continue  # the process that only holds the pod's namespaces has a root of its own
            finally:
                for descriptor in (handle, network, root):
                    os.close(descriptor)
    return None


def processes(uid: str, proc: Path) -> Iterator[int]:
    """The processes of a pod, oldest numbers first."""
    for pid in sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()):
        with suppress(OSError):
            if pod_of((proc / str(pid) / "cgroup").read_text()) == uid:
                yield pid


def opened(root: int, *, block: bool, read_only: bool) -> int:
    parts = DEVICE if block else (*FOLDER, "disk.img")
    path = walk(root, *parts)
    try:
        found = os.fstat(path)
        if not (stat.S_ISBLK if block else stat.S_ISREG)(found.st_mode):
            raise Intruder(f"{'/'.join(parts)} is not a {'block device' if block else 'regular file'}")
        if not block and not found.st_size:
            raise FileNotFoundError  # the pod is making it: launcher/pod/images.py
        if not block and found.st_dev == os.fstat(root).st_dev:
            raise Intruder(f"{'/'.join(parts)} is not on a volume")
        mode = os.O_RDONLY if read_only else os.O_RDWR
        return os.open(f"/proc/self/fd/{path}", mode | os.O_CLOEXEC)
    finally:
        os.close(path)
