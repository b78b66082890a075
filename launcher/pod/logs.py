"""Two logs that may neither hold up PID 1 nor fill the node: the container's, and what QEMU says into its domain's."""

import fcntl
import os
import sys
from contextlib import suppress

MOST = 4 << 20  # bytes of a domain's log before all but its end is given up
KEPT = 65536  # bytes of that end: as much as ending.py reads
PUNCH = 0x4030582B  # FS_IOC_UNRESVSP64, linux/falloc.h: a hole in a file, for which Python's os has no call


def say(what: str) -> None:
    """One line to the container's log; never waits (pid1.py sees to that): what does not fit is lost."""
    with suppress(OSError):
        os.write(2, f"hostler: {what}\n".encode())


def trim(path: str) -> None:
    """Give up the room of all but the end of a log that others write.

    By a hole: libvirt appends to it at any moment, and its word of the guest's end would get lost in a truncation
    between our reading and our writing. Where there are no holes, the volume's size limit is left.
    """
    with suppress(OSError):
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(handle)
            if found.st_blocks * 512 > MOST:
                # struct space_resv: two zeros for "from the start of the file", where, how long, and what is not used
                fcntl.ioctl(handle, PUNCH, bytes(16) + (found.st_size - KEPT).to_bytes(8, sys.byteorder) + bytes(24))
        finally:
            os.close(handle)
