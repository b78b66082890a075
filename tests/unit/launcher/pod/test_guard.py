"""What PID 1 does while a guest runs, and what SIGTERM sets off."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.pod import daemon, guard
from launcher.pod.guard import LIBVIRT_FAILED, Guard, stopping
from launcher.pod.places import Places

YEARS = 10.0 * 365 * 86400


@pytest.mark.parametrize(
    ("grace", "expected"),
    [
        pytest.param(0, [(0, "destroy"), (5, "kill"), (7, "leave")], id="no grace"),
        pytest.param(3, [(0, "shutdown"), (3, "destroy"), (8, "kill"), (10, "leave")], id="one press"),
        pytest.param(
            12,
            [(0, "shutdown"), (5, "shutdown"), (10, "shutdown"), (12, "destroy"), (17, "kill"), (19, "leave")],
            id="pressed again every 5 seconds",
        ),
    ],
)
def test_stopping(grace: float, expected: list[tuple[float, str]]) -> None:
    assert list(stopping(grace)) == expected


def test_a_grace_of_years_takes_no_room() -> None:
    steps = stopping(YEARS)
    assert [next(steps), next(steps)] == [(0, "shutdown"), (5, "shutdown")]


class NoRoom:
    """A node that has no process left, for so many starts."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.started: list[str] = []

    def __call__(self, places: Places, *command: str, output: int | None = 2) -> int:
        if self.times:
            self.times -= 1
            raise BlockingIOError(11, "Resource temporarily unavailable")
        self.started.append(command[0])
        return 4194305  # above what Linux gives


@pytest.fixture
def guarding(tmp_path: Path) -> Iterator[Guard]:
    places = Places(str(tmp_path))
    Path(places.private).mkdir(parents=True)
    for fifo in (places.serial_log, places.exit_fifo, places.result_fifo):
        os.mkfifo(fifo)
    out = os.open(os.devnull, os.O_WRONLY)
    before = os.dup(1)
    os.dup2(out, 1)  # PID 1 may make its standard output so that it never waits
    found = Guard(places, "default_web", YEARS)
    yield found
    os.dup2(before, 1)
    for handle in (out, before, found.console.source, found.outcome.exit.source, found.outcome.result.source):
        os.close(handle)
    for handle in (found.daemon.source, found.daemon.sink):
        os.close(handle)


def no_room(monkeypatch: pytest.MonkeyPatch, times: int) -> NoRoom:
    node = NoRoom(times)
    monkeypatch.setattr(daemon, "spawn", node)
    monkeypatch.setattr(guard, "spawn", node)
    return node


def test_libvirtd_is_started_later_where_there_was_no_room(guarding: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    node = no_room(monkeypatch, 2)
    seen = [(now, guarding.step(now), bool(guarding.daemon.pid)) for now in (0, 1, 5, 9, 10)]
    assert seen == [(0, None, False), (1, None, False), (5, None, False), (9, None, False), (10, None, True)]
    assert node.started == ["libvirtd"]


@pytest.mark.parametrize("running", [True, False])
def test_no_room_for_libvirtd_is_no_end_of_a_guest(
    guarding: Guard, monkeypatch: pytest.MonkeyPatch, running: bool
) -> None:
    no_room(monkeypatch, 100)
    monkeypatch.setattr(guarding.ending, "running", lambda: running)
    assert [guarding.step(5.0 * i) for i in range(5)] == [None] * 5
    assert guarding.step(25) == (None if running else LIBVIRT_FAILED)


def test_a_libvirtd_that_runs_again_is_not_hopeless(guarding: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    no_room(monkeypatch, 7)
    monkeypatch.setattr(guarding.ending, "running", lambda: True)
    assert [guarding.step(5.0 * i) for i in range(8)] == [None] * 8
    monkeypatch.setattr(guarding.ending, "running", lambda: False)
    assert guarding.step(40) is None


def test_virsh_is_started_later_where_there_was_no_room(guarding: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    node = no_room(monkeypatch, 0)
    monkeypatch.setattr(guard.time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(guarding.ending, "running", lambda: True)
    monkeypatch.setattr(guarding, "reap", lambda now: None)
    guarding.warm = True
    guarding.step(100)
    node.times = 1
    guarding.hear(bytes([signal.SIGTERM]))
    assert [guarding.step(100), guarding.virsh, guarding.step(105)] == [None, 0, None]
    assert node.started == ["libvirtd", "virsh"]
    assert guarding.patience(105) == 5001
    guarding.virsh = 0


def test_qemus_log_is_looked_at_every_half_minute(guarding: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    no_room(monkeypatch, 0)
    looks: list[str] = []
    monkeypatch.setattr(guard, "trim", looks.append)
    for now in range(61):
        guarding.step(now)
    assert looks == [guarding.ending.log] * 3
