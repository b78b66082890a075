"""The guest's serial console, from QEMU's log FIFO to the container's log.

QEMU blocks its guest when the FIFO is full, and the container runtime may stop reading our standard output: so the
FIFO is always read, and what cannot be passed on is dropped and counted.
"""

import fcntl
import os
from contextlib import suppress

CHUNK = 65536
ROOM = 262144  # bytes kept for a slow reader before dropping
# PID 1 may be busy for a moment. All pods of a node share what Linux allows one user's pipes, 64 MiB: when that is used
# up, new pipes hold 8 KiB.
PIPE_BYTES = 131072


class Console:
    """Copies `fifo` to the descriptor `out`; neither ever blocks."""

    def __init__(self, fifo: str, out: int = 1) -> None:
        # Read and write, so that there is no end of file between two QEMUs, and QEMU's open never waits.
        self.source = os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        with suppress(OSError):  # it is used up: what the pipe has will do
            fcntl.fcntl(self.source, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.out = out
        os.set_blocking(out, False)
        self.waiting = bytearray()
        self.dropped = 0

    def read(self) -> None:
        """Take what the guest printed, and pass it on as far as that goes."""
        try:
            data = os.read(self.source, CHUNK)
        except BlockingIOError:
            return
        if len(self.waiting) + len(data) > ROOM:
            self.dropped += len(data)
        else:
            self.waiting += data
        self.write()

    def write(self) -> None:
        """Pass on what waits; a reader that is gone for good is no reason to keep it."""
        try:
            while self.waiting:
                del self.waiting[: os.write(self.out, self.waiting)]
        except BlockingIOError:
            return
        except OSError:
            self.waiting.clear()
        if self.dropped:
            self.waiting += b"\r\n[hostler: %d bytes of console output were dropped]\r\n" % self.dropped
            self.dropped = 0
            self.write()

    def drain(self) -> None:
        """The last words of the guest, without waiting."""
        for _ in range(PIPE_BYTES // CHUNK):  # as much as the pipe can hold; QEMU may still be printing
            self.read()
