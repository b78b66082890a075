"""libvirtd, kept up: QEMU lives on when it dies, and the next one finds it again."""

import os
import signal
from contextlib import suppress

from .logs import say
from .places import Places, environment

RESTART = 1.0  # seconds between two starts
RETRY = 5.0  # seconds until it is tried again where the node had no process or no memory left for it
STEADY = 10.0  # a libvirtd that lived this long did start
GIVE_UP = 5  # starts that may fail in a row
WORDS = 8192  # bytes of libvirtd's last words that are kept


class Daemon:
    """The pod's libvirtd.

    What it says is kept, not shown: on a good day it complains of a dozen things that a pod does not have, and the
    container's log belongs to the guest's console. `words` are for a bad day.
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        self.pid = 0  # 0 while there is none
        self.born = 0.0
        self.due = 0.0
        self.failures = 0
        self.words = b""
        self.source, self.sink = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    @property
    def hopeless(self) -> bool:
        return not self.pid and self.failures >= GIVE_UP

    def keep(self, now: float) -> None:
        """Start it if there is none and it is time."""
        if self.pid or now < self.due:
            return
        try:
            self.pid = spawn(self.places, "libvirtd", output=self.sink)
            self.born = now
        except OSError as error:
            say(f"cannot start libvirtd: {error}")
            self.failures += 1
            self.due = now + RETRY

    def listen(self) -> None:
        """Take what it said."""
        with suppress(BlockingIOError):
            self.words = (self.words + os.read(self.source, WORDS))[-WORDS:]

    def bury(self, now: float) -> None:
        """It has died."""
        self.failures = 1 if now - self.born > STEADY else self.failures + 1
        self.pid = 0
        self.due = max(now, self.born + RESTART)


def spawn(places: Places, *command: str, output: int | None) -> int:
    """Start a program in a session of its own; all that it says goes to one descriptor, or nowhere. Its process id."""
    nowhere = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    return os.posix_spawnp(
        command[0],
        command,
        environment(places),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            nowhere if output is None else (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),  # Python ignores these; nobody else expects that
    )
