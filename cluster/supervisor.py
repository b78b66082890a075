"""Keeps the programs of a cluster running: in order, each again when it dies, each with a log of its own.

python -m cluster.supervisor NAME   SIGHUP: read the list of programs anew; SIGTERM: stop them all and end

Only the standard library: it lives as long as the cluster. A new supervisor finds the programs that an earlier one
left running and keeps them.
"""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from cluster import cgroups, journal, logfile, readiness, registry, spec
from cluster.errors import ClusterError
from cluster.journal import Entry, Journal
from cluster.spec import Spec

log = logging.getLogger("supervisor")

PROGRAMS, JOURNAL = "programs.json", "journal.json"
PAUSES = (0.5, 1, 2, 4, 8, 15, 30)  # seconds before the next start
LONG_ENOUGH = 60.0  # seconds: who ran that long starts again at once
CHECK_SECONDS = 0.1
GRACE_SECONDS = 4.0  # from SIGTERM to SIGKILL; an API server waits for its watches much longer
TIDY_SECONDS = 10
PR_SET_CHILD_SUBREAPER = 36


class Keeper:
    """One program, kept running until it is told to stop."""

    def __init__(self, program: Spec, supervisor: "Supervisor") -> None:
        self.spec = program
        self.ready = supervisor.ready[program.name]
        self._all = supervisor
        self._log = supervisor.logs / f"{program.name}.log"
        self.task = asyncio.create_task(self._keep())
        self.task.add_done_callback(self._tell)

    @property
    def entry(self) -> Entry:
        return self._all.journal.entry(self.spec.name)

    def _tell(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            log.error("nobody looks after %s until the next SIGHUP", self.spec.name, exc_info=task.exception())

    async def _keep(self) -> None:
        failures = 0
        if self.entry.alive and self.entry.spec != self.spec.identity:
            await self._end()  # an earlier supervisor's, and not what is wanted now
        while True:
            how, ran = await self._run()
            failures = 0 if ran > LONG_ENOUGH else failures + 1
            self.entry.died(how, ran)
            self._all.journal.write()
            await asyncio.sleep(PAUSES[min(failures, len(PAUSES)) - 1] if failures else 0)

    async def _run(self) -> tuple[str, float]:
        """Start it, unless it runs already, and wait for its end: how it ended, after how many seconds."""
        if not self.entry.alive:
            await self._dependencies()
            try:
                self.entry.started(self._start(), self.spec.identity)
            except (OSError, ClusterError) as error:
                return f"cannot be started: {error}", 0.0
            self._all.journal.write()
        begun = time.monotonic()
        checking = asyncio.create_task(self._check())
        try:
            status = await self._all.ended(self.entry.pid)
        finally:
            checking.cancel()
            self.ready.clear()
        return journal.how_ended(status), time.monotonic() - begun

    async def _dependencies(self) -> None:
        for name in self.spec.after:
            if name in self._all.keepers:
                await self._all.ready[name].wait()

    def _start(self) -> int:
        with self._log.open("ab") as output:
            output.write(f"--- {journal.now()} start {' '.join(self.spec.argv)}\n".encode())
            output.flush()
            process = subprocess.Popen(
                self.spec.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(os.environ) | self.spec.env,
                start_new_session=True,
            )
        process.returncode = 0  # `ended` waits for it, not this object
        try:
            if self.spec.cgroup:
                cgroups.enter(self.spec.cgroup, process.pid)
        except (OSError, ClusterError):
            os.kill(process.pid, signal.SIGKILL)  # outside of its group nobody would find it again
            raise
        return process.pid

    async def _check(self) -> None:
        # nobody tells us: a port or a socket can only be looked at
        while not await asyncio.to_thread(readiness.is_ready, self.spec.ready, self.entry.pid):  # noqa: ASYNC110
            await asyncio.sleep(CHECK_SECONDS)
        self.entry.state = "running"
        self._all.journal.write()
        self.ready.set()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL after a while."""
        self.task.cancel()
        await asyncio.wait([self.task])  # of what it may have ended before is told already
        if self.entry.alive:
            await self._end()
        self.entry.stopped()
        self._all.journal.write()

    async def _end(self) -> None:
        os.kill(self.entry.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                await self._all.ended(self.entry.pid)
        except TimeoutError:
            os.kill(self.entry.pid, signal.SIGKILL)
            await self._all.ended(self.entry.pid)


class Supervisor:
    """All programs of one cluster."""

    def __init__(self, state: Path) -> None:
        self.logs = state / "logs"
        self.logs.mkdir(exist_ok=True)
        self.journal = Journal(state / JOURNAL)
        self.keepers: dict[str, Keeper] = {}
        # by name, for a program outlives its keeper: who waits for it must hear of the next keeper's success
        self.ready: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._programs = state / PROGRAMS
        self._children: set[int] = set()
        self._told = asyncio.Event()
        self._end = False

    async def run(self) -> None:
        """Until SIGTERM."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self.reap)
        loop.add_signal_handler(signal.SIGHUP, self._told.set)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._tell_end)
        tidying = asyncio.create_task(self._tidy())
        while not self._end:
            digest = spec.digest(self._programs)
            await self._follow(spec.load(self._programs))
            self.journal.carried_out = digest
            self.journal.write()
            await self._told.wait()
            self._told.clear()
        tidying.cancel()
        await self._follow([])

    def _tell_end(self) -> None:
        self._end = True
        self._told.set()

    async def _follow(self, programs: list[Spec]) -> None:
        """Stop what is no longer wanted or is wanted otherwise, those that need others first; start what is new."""
        wanted = {program.name: program for program in programs}
        old = {name: keeper.spec for name, keeper in self.keepers.items()}
        leaving = [name for name, known in old.items() if wanted.get(name) != known]
        for depth in sorted({old[name].depth(old) for name in leaving}, reverse=True):
            await asyncio.gather(*(self.keepers[name].stop() for name in leaving if old[name].depth(old) == depth))
        for name in leaving:
            del self.keepers[name]
        self.journal.keep_only(set(wanted))
        kept = {name for name, keeper in self.keepers.items() if not keeper.task.done()}
        self.keepers |= {name: Keeper(program, self) for name, program in wanted.items() if name not in kept}

    async def ended(self, pid: int) -> int | None:
        """Wait for a process; its status if it is a child of ours."""
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        self._children.add(pid)
        loop.add_reader(descriptor, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            self._children.discard(pid)
        try:
            return os.waitpid(pid, os.WNOHANG)[1]  # noqa: ASYNC222 - it has ended
        except ChildProcessError:
            return None  # an earlier supervisor's child
        finally:
            self.reap()

    def reap(self) -> None:
        """Shims and pods' processes become our children when their parents end; nobody else would reap them."""
        with contextlib.suppress(ChildProcessError):
            while (info := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if info.si_pid in self._children:
                    return  # `ended` asks for its status
                os.waitpid(info.si_pid, os.WNOHANG)

    async def _tidy(self) -> None:
        """Trim logs, and write what could not be written; what fails now may not the next time."""
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            for path in self.logs.glob("*.log"):
                try:
                    logfile.trim(path)
                except OSError as error:
                    log.warning("%s is not trimmed: %s", path, error)
            if not self.journal.whole:
                self.journal.write()


def become_subreaper() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def main(name: str) -> None:
    cluster = registry.get(name)
    cgroups.create(cluster.control_cgroup)
    cgroups.enter(cluster.control_cgroup, os.getpid())
    become_subreaper()
    asyncio.run(Supervisor(cluster.state).run())


if __name__ == "__main__":
    main(sys.argv[1])
