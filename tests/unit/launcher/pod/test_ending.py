"""How the end of a guest is told from libvirt's log and QEMU's wait status."""

import signal
from pathlib import Path

import pytest

from launcher.pod.ending import SETTLE, Ending, last_reason, verdict
from launcher.pod.places import Places

STARTED = b"2026-11-23 21:40:01.000+0000: starting up libvirt version: 11.3.0\n-msg timestamp=on\n"


def ended(reason: str) -> bytes:
    return f"2026-11-23 21:40:23.324+0000: shutting down, reason={reason}\n".encode()


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        pytest.param(b"", None, id="nothing yet"),
        pytest.param(STARTED, None, id="running"),
        pytest.param(STARTED + b"terminating on signal 15\n" + ended("shutdown"), "shutdown", id="ended"),
        pytest.param(STARTED + ended("failed") + STARTED, None, id="the second start is on its way"),
        pytest.param(STARTED + ended("failed") + STARTED + ended("crashed"), "crashed", id="the last one counts"),
        pytest.param(STARTED + b"guest: shutting down, reason=shutdown\n", None, id="QEMU's own words do not count"),
        pytest.param(STARTED + ended("shutdown")[:30], None, id="half a line"),
    ],
)
def test_last_reason(log: bytes, expected: str | None) -> None:
    assert last_reason(log) == expected


@pytest.mark.parametrize(
    ("reason", "status", "asked", "expected"),
    [
        pytest.param("shutdown", 0, False, (0, "Shutdown"), id="the guest powered off"),
        pytest.param("shutdown", 0, True, (0, "Shutdown"), id="... as we asked"),
        pytest.param("destroyed", 0, True, (1, "Destroyed"), id="destroyed after its grace"),
        pytest.param("destroyed", 0, False, (1, "Destroyed"), id="destroyed by somebody"),
        pytest.param("crashed", signal.SIGSEGV, False, (1, "Crashed"), id="QEMU crashed"),
        pytest.param("crashed", 0, False, (1, "Panicked"), id="libvirt ended a panicked guest"),
        pytest.param("crashed", signal.SIGKILL, True, (1, "Destroyed"), id="we killed it at last"),
        pytest.param("crashed", signal.SIGSEGV, True, (1, "Crashed"), id="crashed while shutting down"),
        pytest.param("crashed", None, False, (1, "Crashed"), id="nobody saw QEMU die"),
        pytest.param("migrated", 0, False, (0, "Migrated"), id="moved away"),
        pytest.param("migrated", signal.SIGKILL, True, (0, "Migrated"), id="moved away, though it was to end"),
        pytest.param("shutdown", signal.SIGKILL, True, (0, "Shutdown"), id="it shut down, and QEMU took its time"),
        pytest.param("daemon", 256, False, (1, "Crashed"), id="libvirt does not know: by exit code"),
        pytest.param(None, signal.SIGKILL, False, (1, "Crashed"), id="libvirt says nothing: by signal"),
        pytest.param(None, 0, True, (1, "Destroyed"), id="libvirt says nothing, but we asked"),
    ],
)
def test_verdict(reason: str | None, status: int | None, asked: bool, expected: tuple[int, str]) -> None:
    found = verdict(reason, status, asked)
    assert found is not None
    assert found[:2] == expected


def test_the_message_says_how_qemu_died() -> None:
    assert verdict("crashed", signal.SIGSEGV, False) == (1, "Crashed", "QEMU ended unexpectedly (signal 11)")
    assert verdict(None, 256, False) == (1, "Crashed", "QEMU ended unexpectedly (exit code 1)")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = Places(str(tmp_path))
    for path in (found.domain_log("d"), found.domain_pid("d")):
        Path(path).parent.mkdir(parents=True)
    return found


class Told:
    """An Ending with its two files."""

    def __init__(self, places: Places) -> None:
        self.log, self.pid = Path(places.domain_log("d")), Path(places.domain_pid("d"))
        self.ending = Ending(places, "d")


@pytest.fixture
def told(places: Places) -> Told:
    return Told(places)


def test_a_probe_of_libvirt_is_no_end(told: Told) -> None:
    told.ending.reaped(0, 77, 0)
    assert told.ending.look(0, asked=False) is None
    assert told.ending.look(SETTLE + 1, asked=False) is None
    assert not told.ending.dead


def test_libvirt_tells_a_moment_later(told: Told) -> None:
    told.log.write_bytes(STARTED)
    told.pid.write_text("77")
    told.ending.reaped(0, 77, 0)
    assert told.ending.look(0, asked=False) is None
    told.log.write_bytes(STARTED + ended("shutdown"))
    assert told.ending.look(told.ending.due, asked=False) == (0, "Shutdown", "the guest shut itself down")


def test_waits_grow_and_end(told: Told) -> None:
    told.pid.write_text("77")
    told.ending.reaped(0, 77, int(signal.SIGKILL))
    looks = 0
    while not (found := told.ending.look(told.ending.due, asked=False)):
        looks += 1
    assert found[:2] == (1, "Crashed")
    assert SETTLE <= told.ending.due <= 2 * SETTLE
    assert looks < 15


def test_a_failed_start_is_forgotten(told: Told) -> None:
    told.log.write_bytes(STARTED + ended("failed"))
    told.pid.write_text("77")
    told.ending.reaped(0, 77, 256)
    assert told.ending.look(0, asked=False) is None
    assert told.ending.look(2 * SETTLE, asked=False) is None


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "99999999"])
def test_a_process_id_that_is_none(told: Told, text: str) -> None:
    told.pid.write_text(text)
    assert told.ending.qemu() >= 0
    assert not told.ending.running()


def test_no_link_is_followed(told: Told, tmp_path: Path) -> None:
    tmp_path.joinpath("other").write_bytes(STARTED + ended("shutdown"))
    told.log.symlink_to(tmp_path / "other")
    assert told.ending.look(0, asked=False) is None
