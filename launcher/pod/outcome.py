"""What the guest says of its own end, on two virtio-serial ports: an exit code, and a few lines of result.

Both come through FIFOs that QEMU writes to. They are always read, so that a guest can never be held up by them, and
only the last bytes are kept. All of it is hostile.
"""

import os

from .ending import STOPPED, Verdict
from .places import Places

CHUNK = 65536
PIPE = 1048576  # bytes that a FIFO can hold at most
CODE_ROOM = 64  # bytes: the last line is the exit code, and this is more than any number needs
RESULT_ROOM = 3584  # bytes: with reason and message in front it fits the kubelet's 4096
REQUESTED: Verdict = (0, "ShutdownRequested", "the guest shut down as it was told to")
LOWEST, HIGHEST = -(2**31), 2**32 - 1  # exit codes of all operating systems


class Port:
    """The last bytes that the guest wrote to one port."""

    def __init__(self, fifo: str, room: int) -> None:
        # Read and write, so that there is no end of file between two QEMUs, and libvirt's open never waits.
        self.source = os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        self.room = room
        self.kept = b""

    def read(self) -> int:
        """Take what there is; how many bytes it was."""
        try:
            data = os.read(self.source, CHUNK)
        except BlockingIOError:
            return 0
        self.kept = (self.kept + data)[-self.room :]
        return len(data)


class Outcome:
    """Both ports."""

    def __init__(self, places: Places) -> None:
        self.exit = Port(places.exit_fifo, CODE_ROOM)
        self.result = Port(places.result_fifo, RESULT_ROOM)

    def drain(self) -> None:
        """The last words, without waiting for more."""
        for port in (self.exit, self.result):
            taken = 0
            while taken < PIPE and (count := port.read()):
                taken += count

    def text(self) -> str:
        """The result: what people can read of it."""
        said = self.result.kept.decode(errors="ignore")
        return "".join(letter for letter in said if letter in "\n\t" or letter.isprintable())

    def judge(self, verdict: Verdict, asked: bool = False) -> tuple[Verdict, int | None]:
        """The verdict once the guest's word is heard, and its exit code.

        Believed is who ended in good order, and who had said how it went before it was destroyed: it only was slow to
        shut down when its pod had to go. `asked` is whether we told the guest to end: one that says nothing then may
        not have been done.
        """
        lines = self.exit.kept.split()
        code = number(lines[-1]) if lines else None
        if verdict[:2] == (0, "Shutdown") and not lines and asked:
            return REQUESTED, code
        if not lines or (verdict[:2] != (0, "Shutdown") and verdict != STOPPED):
            return verdict, code
        if code == 0:
            return (0, *verdict[1:]), code
        if code is None:
            said = ascii(lines[-1].decode(errors="replace"))
            return (1, "ExitCodeInvalid", f"the guest wrote {said} where a decimal exit code belongs"), None
        # a container's exit code has 8 bits, and 0 is success
        return (code & 0xFF or 1, "NonZeroExitCode", f"the guest ended with exit code {code}"), code


def number(line: bytes) -> int | None:
    """An exit code as the guest wrote it; None if it is none."""
    digits = line.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > len(str(HIGHEST)):
        return None
    value = int(line)
    return value if LOWEST <= value <= HIGHEST else None
