"""What the supervisor remembers about each program, on disk: what runs, what died, when, how often."""

import json
import logging
import os
import signal
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

log = logging.getLogger("journal")

DEATHS_KEPT = 20


@dataclass
class Entry:
    """One program."""

    state: str = "waiting"  # waiting | starting | running | failed (starts again soon) | stopped
    pid: int = 0
    ticks: int = 0  # when the kernel started that pid: another process may get the same number
    since: str = ""
    spec: str = ""  # the identity of what was started
    starts: int = 0
    deaths: list[dict[str, Any]] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        return bool(self.pid) and start_ticks(self.pid) == self.ticks

    def started(self, pid: int, spec: str) -> None:
        self.pid, self.ticks, self.since, self.spec = pid, start_ticks(pid), now(), spec
        self.starts += 1
        self.state = "starting"

    def died(self, how: str, seconds: float) -> None:
        self.deaths = [*self.deaths, {"when": now(), "how": how, "after": round(seconds, 1)}][-DEATHS_KEPT:]
        self.pid, self.state, self.since = 0, "failed", now()

    def stopped(self) -> None:
        self.pid, self.state, self.since = 0, "stopped", now()


class Journal:
    """All entries, written to disk whole whenever one changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries = read(path).entries
        self.carried_out = ""  # the digest of the list of programs that is followed now
        self.whole = True  # whether the disk has all that we know

    def entry(self, name: str) -> Entry:
        return self.entries.setdefault(name, Entry())

    def keep_only(self, names: set[str]) -> None:
        self.entries = {name: entry for name, entry in self.entries.items() if name in names}

    def write(self) -> None:
        """A disk that is full costs the record and nothing else: programs are looked after all the same."""
        try:
            self._write()
        except OSError as error:
            log.warning("%s is not written: %s", self._path, error)
            self.whole = False
        else:
            self.whole = True

    def _write(self) -> None:
        fresh = self._path.with_name(f".{self._path.name}")
        programs = {name: asdict(entry) for name, entry in self.entries.items()}
        me = {"pid": os.getpid(), "ticks": start_ticks(os.getpid())}
        content = {"supervisor": me, "carried_out": self.carried_out, "programs": programs}
        fresh.write_text(json.dumps(content, indent=1))
        fresh.replace(self._path)


@dataclass(frozen=True)
class Page:
    """What a journal says: the supervisor itself, the list of programs that it follows, and each of them by name."""

    supervisor: Entry = field(default_factory=Entry)
    carried_out: str = ""
    entries: dict[str, Entry] = field(default_factory=dict)


def read(path: Path) -> Page:
    """Nothing if there is no journal or half of one."""
    try:
        content = json.loads(path.read_text())
        entries = {name: Entry(**entry) for name, entry in content["programs"].items()}
        return Page(Entry(state="running", **content["supervisor"]), content.get("carried_out", ""), entries)
    except (OSError, ValueError, TypeError, KeyError):
        return Page()


def start_ticks(pid: int) -> int:
    """When the process started, in ticks since boot; 0 if there is none or it has ended."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if state in "ZX" else int(fields[18])


def how_ended(status: int | None) -> str:
    """An exit status as one says it; None: somebody else's child, whose status nobody tells us."""
    if status is None:
        return "ended"
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exit code {os.WEXITSTATUS(status)}"


def told(death: dict[str, Any]) -> str:
    return f"{death['when']} {death['how']} after {death['after']} s"


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
