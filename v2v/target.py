"""The disk on a volume: `disk.img` in a folder, or a block device; written in order, zeros not at all."""

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hostler.runtime.errors import Terminal

IMAGE = "disk.img"
MODE = 0o660
BLOCK = 64 << 10  # bytes; what is all zero in such a block is left out
ZEROS = bytes(1 << 20)
KEEP_SIZE_PUNCH_HOLE = 0x01 | 0x02  # of fallocate(2)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class Target:
    """Where a disk is written to. `size` bytes are there for it."""

    def __init__(self, handle: int, size: int, *, device: bool) -> None:
        self.handle = handle
        self.size = size
        self.device = device
        self.position = 0

    def start(self, position: int = 0) -> None:
        """Go on at `position`; what is there from an earlier try stays only before it."""
        if not self.device:
            os.ftruncate(self.handle, position)
        self.position = position

    def write(self, data: bytes) -> None:
        """The next bytes of the disk."""
        if self.position + len(data) > self.size:
            raise too_small(self.position + len(data), self.size)
        view = memoryview(data)
        while view:
            # blocks are those of the disk, not of the data: else holes would depend on how it arrives
            length = min(BLOCK - self.position % BLOCK, len(view))
            piece, view = view[:length], view[length:]
            if piece != ZEROS[:length]:
                self._write(piece)
            elif self.device:
                self.zero(self.position, length)
            self.position += length

    def finish(self) -> None:
        """What was not written is zero; the disk is as large as it may be, and safe on its volume."""
        if self.device:
            self.zero(self.position, self.size - self.position)
        else:
            os.ftruncate(self.handle, self.size)
        self.sync()

    def hold(self) -> None:
        """All up to here is safe, and the file is as long, even where it ends in zeros."""
        if not self.device and self.length() < self.position:
            os.ftruncate(self.handle, self.position)
        self.sync()

    def length(self) -> int:
        return os.fstat(self.handle).st_size

    def sync(self) -> None:
        os.fsync(self.handle)

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """What was written."""
        while start < end:
            piece = os.pread(self.handle, min(len(ZEROS), end - start), start)
            if not piece:
                raise OSError(errno.EIO, "the disk is shorter than what was written to it")
            yield piece
            start += len(piece)

    def zero(self, start: int, length: int) -> None:
        """A hole where the volume can have one."""
        if length <= 0 or punch(self.handle, start, length):
            return
        while length > 0:
            length -= (done := os.pwrite(self.handle, ZEROS[:length], start))
            start += done

    def _write(self, piece: memoryview) -> None:
        at = self.position
        while piece:
            try:
                done = os.pwrite(self.handle, piece, at)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise Terminal("VolumeFull", f"the volume is full after {at} bytes of the disk") from error
                raise
            piece, at = piece[done:], at + done


def punch(handle: int, start: int, length: int) -> bool:
    """Make a hole; False where there are no holes."""
    return bool(_libc.fallocate(handle, KEEP_SIZE_PUNCH_HOLE, start, length) == 0)


def too_small(needed: int, size: int) -> Terminal:
    return Terminal(
        "VolumeTooSmall",
        f"the disk needs more than the {size} bytes that the volume has for it (at least {needed}): "
        "ask for more in spec.storage.resources.requests.storage",
    )


@contextmanager
def opened(place: Path, size: int) -> Iterator[Target]:
    """The device at `place`, or disk.img in the folder there, which is made if it is missing; no link is followed."""
    device = not place.is_dir()
    path = place if device else place / IMAGE
    flags = os.O_RDWR | os.O_CLOEXEC | (0 if device else os.O_CREAT | os.O_NOFOLLOW)
    handle = os.open(path, flags, MODE)
    try:
        yield Target(handle, room(handle, path, size), device=device)
    finally:
        os.close(handle)


def room(handle: int, path: Path, size: int) -> int:
    """Bytes for the disk: all of a device, `size` in a file system."""
    mode = os.fstat(handle).st_mode
    if stat.S_ISBLK(mode):
        return os.lseek(handle, 0, os.SEEK_END)
    if not stat.S_ISREG(mode):
        raise Terminal("VolumeInvalid", f"{path.name} on the volume is not a regular file")
    os.fchmod(handle, MODE)
    return size
