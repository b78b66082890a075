"""The state that changes: sessions, power, tasks, snapshots, views."""

import itertools
import secrets
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from v2v.simulator.machines import Disk, Inventory, Machine

SHUTDOWN_SECONDS = 0.5  # that a guest takes to shut down


@dataclass
class Task:
    """One asynchronous operation; ours are done when they are asked for."""

    id: str
    name: str
    entity: str
    error: object | None = None  # a vSphere fault
    result: object | None = None


@dataclass
class World:
    """All mutable state, guarded by one lock; times are of the monotonic clock."""

    folder: Path
    inventory: Inventory
    user: str = "administrator@vsphere.local"
    password: str = "password"  # noqa: S105 - a simulator's
    sessions: dict[str, str] = field(default_factory=dict)  # cookie -> session key
    power: dict[str, str] = field(default_factory=dict)  # machine id -> power state
    going_down: dict[str, float] = field(default_factory=dict)  # machine id -> when its guest is down
    tasks: dict[str, Task] = field(default_factory=dict)
    views: dict[str, str] = field(default_factory=dict)  # view id -> type that it shows
    pages: dict[str, list[object]] = field(default_factory=dict)  # token -> objects still to be told
    lock: threading.RLock = field(default_factory=threading.RLock)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        for machine in self.inventory.machines:
            self.power.setdefault(machine.id, machine.power)

    def login(self, user: str, password: str) -> str | None:
        """A new session's cookie, or None."""
        right = secrets.compare_digest(user, self.user) and secrets.compare_digest(password, self.password)
        if not right:
            return None
        cookie = secrets.token_hex(20)
        self.sessions[cookie] = secrets.token_hex(16)
        return cookie

    def machine(self, identity: str) -> Machine | None:
        return next((each for each in self.inventory.machines if each.id == identity), None)

    def power_state(self, identity: str) -> str:
        """on, off or suspended; a guest that was asked to shut down is off a little later."""
        down = self.going_down.get(identity)
        if down is not None and time.monotonic() >= down:
            del self.going_down[identity]
            self.power[identity] = "poweredOff"
        return self.power[identity]

    def shut_down(self, identity: str) -> None:
        self.going_down.setdefault(identity, time.monotonic() + SHUTDOWN_SECONDS)

    def new_task(self, name: str, entity: str, error: object | None = None, result: object | None = None) -> Task:
        task = Task(self.new_id("task"), name, entity, error, result)
        self.tasks[task.id] = task
        return task

    def new_id(self, kind: str) -> str:
        return f"{kind}-{next(self._numbers)}"

    def path(self, disk: Disk) -> Path:
        """The file with a disk's bytes."""
        return self.folder / disk.datastore / disk.file

    def size(self, disk: Disk) -> int:
        """Bytes; a disk whose file is missing has none."""
        path = self.path(disk)
        return path.stat().st_size if path.is_file() else 0
