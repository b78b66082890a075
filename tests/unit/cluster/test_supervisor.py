"""The supervisor with real processes: it is run as the cluster runs it, on a folder of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster import journal, logfile, spec, supervisor
from cluster.journal import Page
from cluster.spec import Ready, Spec

RUN = """
import asyncio, sys
from pathlib import Path
from cluster import supervisor
supervisor.TIDY_SECONDS = 0.2
{more}
supervisor.become_subreaper()
asyncio.run(supervisor.Supervisor(Path(sys.argv[1])).run())
"""
# the keeper of a program ends of an error when there is a file for it
BREAKABLE = """
class Breakable(supervisor.Keeper):
    async def _run(self):
        running, file = asyncio.ensure_future(super()._run()), Path(sys.argv[1]) / f"break-{self.spec.name}"
        while not running.done():
            if file.exists():
                file.unlink()
                running.cancel()
                raise OSError("broken")
            await asyncio.sleep(0.02)
        return running.result()

supervisor.Keeper = Breakable
"""
SLEEP = ("sleep", "600")


class World:
    """A state folder, and supervisors that follow it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.more = ""  # code that changes the supervisor
        self.process: subprocess.Popen[bytes] | None = None

    def want(self, *programs: Spec) -> None:
        """Tell the supervisor, which is started if there is none; returns once it follows."""
        spec.save(self.state / supervisor.PROGRAMS, programs)
        if self.process is None:
            self.process = subprocess.Popen([sys.executable, "-c", RUN.replace("{more}", self.more), str(self.state)])
        else:
            self.process.send_signal(signal.SIGHUP)
        wanted = spec.digest(self.state / supervisor.PROGRAMS)
        me = self.process.pid
        until(lambda: self.page.carried_out == wanted and self.page.supervisor.pid == me)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None

    @property
    def page(self) -> Page:
        return journal.read(self.state / supervisor.JOURNAL)

    def pid(self, name: str) -> int:
        """The program's pid, once it runs."""
        until(lambda: (entry := self.page.entries.get(name)) is not None and entry.state == "running")
        return self.page.entries[name].pid

    def break_keeper(self, name: str) -> None:
        (file := self.state / f"break-{name}").touch()
        until(lambda: not file.exists())

    def log(self, name: str) -> str:
        return (self.state / "logs" / f"{name}.log").read_text()


def until(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    return journal.start_ticks(pid) != 0


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    if made.process is None:
        made.want()
    made.stop()


def test_what_dies_starts_again_and_is_remembered(world):
    world.want(Spec("it", SLEEP))
    first = world.pid("it")
    os.kill(first, signal.SIGKILL)
    until(lambda: world.page.entries["it"].deaths)
    second = world.pid("it")
    assert second != first
    entry = world.page.entries["it"]
    assert (entry.starts, [death["how"] for death in entry.deaths]) == (2, ["killed by SIGKILL"])


def test_what_ends_at_once_is_not_started_in_a_rush(world):
    world.want(Spec("it", ("sh", "-c", "echo said; exit 3")))
    until(lambda: "it" in world.page.entries and len(world.page.entries["it"].deaths) == 3)
    deaths = world.page.entries["it"].deaths
    assert {death["how"] for death in deaths} == {"exit code 3"}
    assert world.log("it").count("said\n") == 3
    time.sleep(1)  # the pause is 2 s by now
    assert len(world.page.entries["it"].deaths) == 3


def test_order(world, tmp_path):
    listener = tmp_path / "first.sock"
    serve = f"s = socket.socket(socket.AF_UNIX); s.bind({str(listener)!r}); s.listen()"
    program = f"import socket, time; time.sleep(0.5); {serve}; time.sleep(600)"
    world.want(
        Spec("second", ("sh", "-c", f"test -S {listener} && echo yes; exec sleep 600"), after=("first",)),
        Spec("first", (sys.executable, "-c", program), ready=Ready(socket=str(listener))),
    )
    assert alive(world.pid("second"))
    assert "yes" in world.log("second")


def test_a_port_makes_it_ready(world):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    world.want(
        Spec("it", (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"), ready=Ready(port=port))
    )
    world.pid("it")
    socket.create_connection(("127.0.0.1", port), 5).close()


def test_the_list_changes(world):
    world.want(Spec("stays", SLEEP), Spec("changes", SLEEP), Spec("goes", SLEEP))
    stays, changes, goes = (world.pid(name) for name in ("stays", "changes", "goes"))
    world.want(Spec("stays", SLEEP), Spec("changes", SLEEP, stamp="new"), Spec("comes", SLEEP))
    assert world.pid("stays") == stays
    assert world.pid("changes") != changes
    assert alive(world.pid("comes"))
    assert not alive(goes)
    assert set(world.page.entries) == {"stays", "changes", "comes"}


def test_a_new_supervisor_keeps_what_runs_and_looks_after_it(world):
    world.want(Spec("it", SLEEP), Spec("other", SLEEP))
    first, other = world.pid("it"), world.pid("other")
    world.stop(signal.SIGKILL)
    assert alive(first)
    world.want(Spec("it", SLEEP), Spec("other", ("sleep", "601")))
    assert world.pid("it") == first
    until(lambda: not alive(other))  # what runs otherwise than it should is started anew
    os.kill(first, signal.SIGKILL)
    until(lambda: world.page.entries["it"].deaths)
    assert world.pid("it") != first


def test_orphans_of_programs_are_reaped(world):
    world.want(Spec("it", ("sh", "-c", "(sleep 0.2 & echo orphan $! >&2) & exec sleep 600")))
    world.pid("it")
    until(lambda: "\norphan " in world.log("it"))
    orphan = int(world.log("it").split("\norphan ")[1].split()[0])
    until(lambda: not Path(f"/proc/{orphan}").exists())


def test_the_end_ends_all_in_order_even_who_does_not_listen(world):
    stubborn = ("sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.2; done")
    world.want(Spec("base", SLEEP), Spec("stubborn", stubborn, after=("base",)))
    pids = [world.pid("base"), world.pid("stubborn")]
    until(lambda: "deaf" in world.log("stubborn"))
    world.stop()
    assert not any(alive(pid) for pid in pids)


def test_what_cannot_be_started_is_told_and_disturbs_nobody(world):
    world.want(Spec("absent", ("/nonexistent/program",)), Spec("it", SLEEP))
    assert alive(world.pid("it"))
    until(lambda: world.page.entries["absent"].deaths)
    assert "No such file" in world.page.entries["absent"].deaths[0]["how"]


def test_what_cannot_enter_its_group_is_told_and_does_not_run_outside(world):
    world.want(Spec("it", SLEEP, cgroup="/hostler-absent"))
    until(lambda: "it" in world.page.entries and world.page.entries["it"].deaths)
    assert "cannot be started" in world.page.entries["it"].deaths[0]["how"]
    world.want()
    me = world.process.pid
    until(lambda: not Path(f"/proc/{me}/task/{me}/children").read_text(), 5)


def test_a_full_disk_stops_no_program_and_is_caught_up_with(world):
    world.want(Spec("it", SLEEP))
    first = world.pid("it")
    (full := world.state / f".{supervisor.JOURNAL}").mkdir()  # the journal cannot be written
    os.kill(first, signal.SIGKILL)
    until(lambda: world.log("it").count("start sleep") == 2)
    full.rmdir()
    until(lambda: world.page.entries["it"].deaths)
    assert world.pid("it") != first


def test_what_nobody_looks_after_is_looked_after_again(world):
    world.more = BREAKABLE
    world.want(Spec("base", SLEEP))
    base = world.pid("base")
    world.break_keeper("base")
    world.want(Spec("base", SLEEP), Spec("other", SLEEP))
    assert world.pid("other")
    assert world.pid("base") == base, "it ran on"
    os.kill(base, signal.SIGKILL)
    until(lambda: world.page.entries["base"].deaths)
    assert world.pid("base") != base


def test_who_waits_hears_of_what_is_looked_after_again(world):
    world.more = BREAKABLE
    (file := world.state / "break-base").touch()
    wanted = (Spec("base", SLEEP), Spec("later", SLEEP, after=("base",)))
    world.want(*wanted)
    until(lambda: not file.exists())
    world.want(*wanted)
    assert alive(world.pid("later"))


def test_what_nobody_looks_after_can_be_stopped(world):
    world.more = BREAKABLE
    world.want(Spec("goes", SLEEP), Spec("stays", SLEEP))
    goes = world.pid("goes")
    world.break_keeper("goes")
    world.want(Spec("stays", SLEEP))
    assert not alive(goes)
    assert alive(world.pid("stays"))


def test_logs_are_trimmed_though_one_cannot_be(world):
    world.want(Spec("it", SLEEP))
    bad = world.state / "logs" / "bad.log"
    bad.symlink_to("absent")
    time.sleep(1)  # some rounds
    (large := world.state / "logs" / "large.log").touch()
    os.truncate(large, logfile.LARGEST + 1)
    until(lambda: large.stat().st_size == 0)
