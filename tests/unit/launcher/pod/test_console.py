"""The console's way from QEMU's FIFO to the container's log."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.pod.console import ROOM, Console


class Ends:
    """A Console, the end that QEMU writes to, and the end that the container runtime reads."""

    def __init__(self, folder: Path) -> None:
        fifo = folder / "fifo"
        os.mkfifo(fifo)
        self.runtime, out = os.pipe()
        os.set_blocking(self.runtime, False)
        self.console = Console(str(fifo), out)
        self.qemu = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)

    def shown(self) -> bytes:
        """What the container runtime gets, if it reads all that there is."""
        found = b""
        while True:
            try:
                found += os.read(self.runtime, 1 << 20)
            except BlockingIOError:
                return found
            self.console.write()


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[Ends]:
    found = Ends(tmp_path)
    yield found
    for handle in (found.runtime, found.console.out, found.console.source, found.qemu):
        os.close(handle)


def test_pipes_of_many_guests_fit_into_the_users_quota(ends: Ends) -> None:
    """64 MiB in all: with a megabyte each, the 65th guest's pipes held 8 KiB."""
    assert 65536 < fcntl.fcntl(ends.console.source, fcntl.F_GETPIPE_SZ) <= 131072


def test_bytes_pass_unchanged(ends: Ends) -> None:
    os.write(ends.qemu, b"\x1b[0mlogin:\r\n\xff\x00")
    ends.console.read()
    assert ends.shown() == b"\x1b[0mlogin:\r\n\xff\x00"
    assert not ends.console.waiting


def test_nothing_to_read_is_no_end(ends: Ends) -> None:
    ends.console.read()
    assert ends.shown() == b""


def test_a_reader_that_sleeps_never_blocks_the_guest(ends: Ends) -> None:
    total = 0
    for number in range(64):
        total += os.write(ends.qemu, b"%05d\n" % number * 4096)
        ends.console.read()
    assert len(ends.console.waiting) <= ROOM
    shown = ends.shown()
    kept = shown[: shown.index(b"\r\n[hostler: ")]
    assert kept.startswith(b"00000\n")
    assert shown.endswith(b"[hostler: %d bytes of console output were dropped]\r\n" % (total - len(kept)))


def test_a_reader_that_is_gone_is_no_error(ends: Ends) -> None:
    other, out = os.pipe()
    os.close(other)
    ends.console.out, before = out, ends.console.out
    os.write(ends.qemu, b"into the void\n")
    ends.console.read()
    os.close(out)
    ends.console.out = before
    assert not ends.console.waiting


def test_last_words(ends: Ends) -> None:
    os.write(ends.qemu, b"reboot: Power down\n")
    ends.console.drain()
    assert ends.shown() == b"reboot: Power down\n"
