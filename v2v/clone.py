"""A disk from another claim of the namespace: shared blocks where the file system can, else a copy of what has data."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from hostler.runtime.errors import Terminal
from v2v import progress
from v2v.target import IMAGE, ZEROS, Target, opened, too_small
from v2v.work import Work

FICLONE = 0x40049409  # ioctl: this file has the blocks of that one


class Clone(Work):
    """spec.source.pvc."""

    def make(self) -> None:
        place = self.job.source
        handle = open_source(place if self.job.source_device else place / IMAGE)
        try:
            size = os.lseek(handle, 0, os.SEEK_END)
            with opened(self.job.target, self.job.size) as target:
                if size > target.size:
                    raise too_small(size, target.size)
                self._copy(handle, size, target)
                target.position = size
                target.finish()
        finally:
            os.close(handle)

    def _copy(self, handle: int, size: int, target: Target) -> None:
        target.start()
        if not target.device and shared(handle, target.handle):
            return
        for start, end in extents(handle, size):
            if target.device:
                target.zero(target.position, start - target.position)
            target.position = start
            self.tell(percent=progress.percent(start, size), doing="copying")
            for piece in read(handle, start, end):
                target.write(piece)
                self.tell(percent=progress.percent(target.position, size))
        if target.device:
            target.zero(target.position, size - target.position)


def open_source(path: Path) -> int:
    """The disk on the source; no link is followed: a guest's owner could have put one there."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            raise Terminal("CloneSourceInvalid", f"spec.source.pvc: the claim has no disk ({path.name})") from error
        raise
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
        os.close(handle)
        raise Terminal("CloneSourceInvalid", f"spec.source.pvc: {path.name} is not a disk")
    return handle


def shared(source: int, target: int) -> bool:
    """Whether the file system let the copy share the original's blocks."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError:
        return False
    return True


def extents(handle: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, end) of what may have data; all of it where the file system cannot tell."""
    position = 0
    while position < size:
        try:
            start = os.lseek(handle, position, os.SEEK_DATA)
            end = os.lseek(handle, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            start, end = position, size
        yield start, min(end, size)
        position = end


def read(handle: int, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        piece = os.pread(handle, min(len(ZEROS), end - start), start)
        if not piece:
            raise OSError(errno.EIO, "the source became shorter while it was copied")
        yield piece
        start += len(piece)
