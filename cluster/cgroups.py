"""The cgroups of a cluster: where its nodes keep their pods, and by which all that it started is found again.

With cgroup version 1 a path exists in each controller's own hierarchy, with version 2 in one. There a group has either
processes or controllers for the groups below it (the kernel answers EBUSY to the other): processes enter leaves only.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cluster.errors import ClusterError

MOUNTS = Path("/proc/self/mountinfo")
ROOT = Path("/sys/fs/cgroup")  # version 2 itself, or a folder with version 1's hierarchies
INHERITED = ("cpuset.cpus", "cpuset.mems")  # version 1: empty in a new group, and then no process may enter it
TRACKING = ("pids", "freezer", "devices", "cpu")  # version 1: the first of them that there is has our own processes
GONE_SECONDS = 15


def hierarchies() -> list[Path]:
    """Where version 2 is mounted if it is the host's, else where version 1 is."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]  # as runc and the kubelet see it: a hierarchy of version 1 beside it is somebody else's
    roots = _mounted("cgroup") or _mounted("cgroup2")
    if not roots:
        raise ClusterError("no cgroups are mounted below /sys/fs/cgroup: pods cannot run here")
    return roots


def _mounted(kind: str) -> list[Path]:
    halves = (line.partition(" - ") for line in MOUNTS.read_text().splitlines())
    return list(dict.fromkeys(Path(before.split()[4]) for before, _, after in halves if after.split()[0] == kind))


def _everywhere() -> list[Path]:
    """Both versions: where both are mounted, runc puts containers into both."""
    return _mounted("cgroup") + _mounted("cgroup2")


def create(group: str) -> None:
    """The group in every hierarchy, ready for processes and for groups below it."""
    for root in hierarchies():
        here = root
        for part in group.strip("/").split("/"):
            _delegate(here)
            here = here / part
            here.mkdir(exist_ok=True)
            _inherit(here)


def _inherit(group: Path) -> None:
    for name in INHERITED:
        file = group / name
        if file.exists() and not file.read_text().strip() and not (group / "cgroup.controllers").exists():
            file.write_text((group.parent / name).read_text())


def _delegate(group: Path) -> None:
    """Version 2: controllers are handed down one by one, as far as they are there."""
    control = group / "cgroup.subtree_control"
    if control.exists():
        for name in (group / "cgroup.controllers").read_text().split():
            try:
                control.write_text(f"+{name}")
            except OSError:
                continue  # one that cannot be handed down here; a kubelet names those that it misses


def enter(group: str, pid: int) -> None:
    """Put a process into the group, where `processes` finds it and all its children."""
    (_tracking() / group.strip("/") / "cgroup.procs").write_text(str(pid))


def _tracking() -> Path:
    by_name = {root.name: root for root in hierarchies()}
    return next((by_name[name] for name in TRACKING if name in by_name), hierarchies()[0])


def processes(group: str) -> set[int]:
    """All pids in the group and below it, in any hierarchy."""
    pids: set[int] = set()
    for folder in _folders(group):
        try:
            pids |= {int(line) for line in (folder / "cgroup.procs").read_text().split()}
        except OSError:
            continue  # it went away meanwhile
    return pids - {0, os.getpid()}


def kill(group: str) -> None:
    """SIGKILL all in the group until none is left, thawed; ClusterError names those that do not go."""
    deadline = time.monotonic() + GONE_SECONDS
    while True:
        pids = processes(group)
        _signal(group, pids)
        # what is frozen dies as it thaws, before it does anything else; an empty group is thawed, too
        for folder in _folders(group):
            _thaw(folder)
        if not pids:
            return
        if time.monotonic() > deadline:
            raise ClusterError(f"processes in {group} do not end: {sorted(pids)}")
        time.sleep(0.05)


def _signal(group: str, pids: set[int]) -> None:
    for folder in (root / group.strip("/") for root in _mounted("cgroup2")):
        if os.getpid() not in _below(folder):
            _write(folder / "cgroup.kill", "1")  # version 2: all at once, and who is born meanwhile
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def freeze(group: str) -> None:
    """Stop all in the group and below it where they are."""
    freezer = next((root for root in hierarchies() if root.name == "freezer"), None)
    if freezer is None:
        for root in _mounted("cgroup2"):
            _write(root / group.strip("/") / "cgroup.freeze", "1")
        return
    folder = freezer / group.strip("/")
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + GONE_SECONDS
    while True:
        (folder / "freezer.state").write_text("FROZEN")
        # version 1: programs are in another hierarchy than this one; those that fork meanwhile come with the next round
        strangers = processes(group) - _below(folder)
        if not strangers and (folder / "freezer.state").read_text().strip() == "FROZEN":
            return
        if time.monotonic() > deadline:
            raise ClusterError(f"{group} does not freeze")
        for pid in strangers:
            with suppress(OSError):  # it ended meanwhile
                (folder / "cgroup.procs").write_text(str(pid))
        time.sleep(0.02)


def thaw(group: str) -> None:
    """Undo `freeze`."""
    for root in _everywhere():
        _thaw(root / group.strip("/"))


def _thaw(folder: Path) -> None:
    """Itself only: a group below it that is frozen on its own stays so."""
    _write(folder / "freezer.state", "THAWED")
    _write(folder / "cgroup.freeze", "0")


def _write(file: Path, value: str) -> None:
    """Nothing where the hierarchy has no such file, or the group has gone."""
    with suppress(OSError):
        if file.exists():
            file.write_text(value)


def _below(folder: Path) -> set[int]:
    pids: set[int] = set()
    for here, _, _ in os.walk(folder):
        with suppress(OSError):
            pids |= {int(line) for line in (Path(here) / "cgroup.procs").read_text().split()}
    return pids


def remove(group: str) -> None:
    """Remove the group and those below it; nobody is in them."""
    deadline = time.monotonic() + GONE_SECONDS
    while folders := list(_folders(group)):
        for folder in folders:
            try:
                folder.rmdir()
            except OSError as error:
                if time.monotonic() > deadline:
                    raise ClusterError(f"cgroup {folder} cannot be removed: {error}") from error
        time.sleep(0.02)


def remove_empty(group: str) -> None:
    """Remove the group itself where it has no other groups in it."""
    for root in _everywhere():
        folder = root / group.strip("/")
        if folder.exists() and not any(path.is_dir() for path in folder.iterdir()):
            folder.rmdir()


def _folders(group: str) -> Iterator[Path]:
    """The group's folders in all hierarchies, deepest first."""
    for root in _everywhere():
        for here, _, _ in os.walk(root / group.strip("/"), topdown=False):
            yield Path(here)
