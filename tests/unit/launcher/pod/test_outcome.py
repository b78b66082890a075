"""What a guest says of its end, and what it can make PID 1 believe."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.pod.ending import STOPPED
from launcher.pod.guard import report
from launcher.pod.outcome import CODE_ROOM, PIPE, RESULT_ROOM, Outcome, number
from launcher.pod.places import Places

SHUTDOWN = (0, "Shutdown", "the guest shut itself down")
CRASHED = (1, "Crashed", "QEMU ended unexpectedly")


class Guest:
    """Both ports of a guest, as QEMU has them open."""

    def __init__(self, places: Places) -> None:
        Path(places.private).mkdir(parents=True)
        for fifo in (places.exit_fifo, places.result_fifo):
            os.mkfifo(fifo)
        self.outcome = Outcome(places)
        self.exit = os.open(places.exit_fifo, os.O_WRONLY | os.O_NONBLOCK)
        self.result = os.open(places.result_fifo, os.O_WRONLY | os.O_NONBLOCK)

    def says(self, data: bytes, port: int | None = None) -> None:
        os.write(self.exit if port is None else port, data)
        self.outcome.drain()


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    found = Guest(Places(str(tmp_path)))
    yield found
    for handle in (found.exit, found.result, found.outcome.exit.source, found.outcome.result.source):
        os.close(handle)


@pytest.mark.parametrize(
    ("said", "verdict", "expected"),
    [
        pytest.param([], SHUTDOWN, (SHUTDOWN, None), id="power-off is success"),
        pytest.param([b"0\n"], SHUTDOWN, (SHUTDOWN, 0), id="so is 0"),
        pytest.param([b"3\n"], SHUTDOWN, ((3, "NonZeroExitCode"), 3), id="anything else is failure"),
        pytest.param([b"3"], SHUTDOWN, ((3, "NonZeroExitCode"), 3), id="a line without its end"),
        pytest.param([b"3\r\n"], SHUTDOWN, ((3, "NonZeroExitCode"), 3), id="a line of another system"),
        pytest.param([b"3\n", b"0\n"], SHUTDOWN, (SHUTDOWN, 0), id="the last word counts"),
        pytest.param([b"1", b"2\n"], SHUTDOWN, ((12, "NonZeroExitCode"), 12), id="in pieces"),
        pytest.param([b"256\n"], SHUTDOWN, ((1, "NonZeroExitCode"), 256), id="never 0 by overflow"),
        pytest.param([b"-1\n"], SHUTDOWN, ((255, "NonZeroExitCode"), -1), id="negative"),
        pytest.param([b"3221225477\n"], SHUTDOWN, ((5, "NonZeroExitCode"), 3221225477), id="an NTSTATUS"),
        pytest.param([b"0\n"], CRASHED, (CRASHED, 0), id="a crash is a crash"),
        pytest.param([b"3\n"], CRASHED, (CRASHED, 3), id="... whatever the guest says"),
        pytest.param([b"3\n"], (0, "Migrated", "x"), ((0, "Migrated", "x"), 3), id="it lives on elsewhere"),
        pytest.param([b"zero\n"], SHUTDOWN, ((1, "ExitCodeInvalid"), None), id="no number"),
        pytest.param([b"\xb2\n"], SHUTDOWN, ((1, "ExitCodeInvalid"), None), id="no digit of ours"),
        pytest.param([b"9" * 40], SHUTDOWN, ((1, "ExitCodeInvalid"), None), id="too large"),
        pytest.param([b"x" * 60000, b"\n7\n"], SHUTDOWN, ((7, "NonZeroExitCode"), 7), id="after much noise"),
    ],
)
def test_judge(guest: Guest, said: list[bytes], verdict: tuple[int, str, str], expected: tuple[object, int]) -> None:
    for each in said:
        guest.says(each)
    found, code = guest.outcome.judge(verdict)
    wanted = expected[0]
    assert isinstance(wanted, tuple)
    assert (found[: len(wanted)], code) == expected


@pytest.mark.parametrize(
    ("said", "verdict", "expected"),
    [
        pytest.param([], SHUTDOWN, (0, "ShutdownRequested"), id="who says nothing may not have been done"),
        pytest.param([b"0\n"], SHUTDOWN, (0, "Shutdown"), id="who says that it was is believed"),
        pytest.param([b"3\n"], SHUTDOWN, (3, "NonZeroExitCode"), id="... or that it failed"),
        pytest.param([], CRASHED, CRASHED[:2], id="a crash is a crash"),
        pytest.param([], STOPPED, (1, "Destroyed"), id="it did not end in time"),
        pytest.param([b"0\n"], STOPPED, (0, "Destroyed"), id="... but had said that it was done"),
        pytest.param([b"3\n"], STOPPED, (3, "NonZeroExitCode"), id="... or that it failed"),
    ],
)
def test_a_guest_that_was_told_to_end(
    guest: Guest, said: list[bytes], verdict: tuple[int, str, str], expected: tuple[int, str]
) -> None:
    for each in said:
        guest.says(each)
    found, _ = guest.outcome.judge(verdict, asked=True)
    assert found[:2] == expected


def test_the_end_of_a_long_result_is_kept(guest: Guest) -> None:
    for number_ in range(1000):
        guest.says(b"line %d\n" % number_, guest.result)
    text = guest.outcome.text()
    assert text.endswith("line 999\n")
    assert len(text) == RESULT_ROOM
    assert len(guest.outcome.exit.kept) <= CODE_ROOM


def test_a_result_is_text_for_people(guest: Guest) -> None:
    guest.says("caf\u00e9\t1\n\x1b[31mred\x00\u202e".encode() + b"\xff\xc3", guest.result)
    assert guest.outcome.text() == "caf\u00e9\t1\n[31mred"


def test_a_port_that_never_ends_does_not_hold_us(guest: Guest) -> None:
    taken = []
    guest.outcome.exit.read = lambda: taken.append(1) or 65536  # type: ignore[method-assign, func-returns-value]
    guest.outcome.drain()
    assert len(taken) == PIPE // 65536


@pytest.mark.parametrize(("line", "code"), [(b"", None), (b"-", None), (b"--1", None), (b"1.5", None), (b"042", 42)])
def test_number(line: bytes, code: int | None) -> None:
    assert number(line) == code


def test_report(tmp_path: Path) -> None:
    places = Places(str(tmp_path))
    (tmp_path / "dev").mkdir()
    assert report(places, (3, "NonZeroExitCode", "why"), 3, "r\u00e9sult\n") == 3
    line, _, result = Path(places.termination_log).read_text().partition("\n")
    assert json.loads(line) == {"reason": "NonZeroExitCode", "message": "why", "exitCode": 3}
    assert result == "r\u00e9sult\n"
    report(places, (1, "x", "y" * 9000), 3, "z" * 9000)
    assert Path(places.termination_log).stat().st_size == 4096
