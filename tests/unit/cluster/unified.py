"""A stand-in for the kernel's cgroup version 2: folders that refuse what it refuses."""

import errno
import os
from pathlib import Path, PosixPath
from typing import Any

FILES = {"cgroup.procs": "", "cgroup.subtree_control": "", "cgroup.freeze": "0", "cgroup.kill": ""}


class Unified(PosixPath):
    """A path in the hierarchy. A group has processes, or controllers for those below it, and never both."""

    def mkdir(self, *args: Any, **kwargs: Any) -> None:
        if not self.exists():
            super().mkdir(*args, **kwargs)
            controllers = (self.parent / "cgroup.subtree_control").read_text()
            for name, text in (FILES | {"cgroup.controllers": controllers}).items():
                Path(self / name).write_text(text)

    def write_text(self, data: str, *args: Any, **kwargs: Any) -> int:
        if self.name == "cgroup.procs":
            return self._enter(data)
        if self.name == "cgroup.subtree_control":
            return self._hand_down(data.removeprefix("+"))
        assert self.exists(), f"the kernel makes files, not we: {self}"
        return Path(self).write_text(data)

    def _enter(self, pid: str) -> int:
        if (self.parent / "cgroup.subtree_control").read_text():
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(self))
        with Path(self).open("a") as file:
            return file.write(f"{pid}\n")

    def _hand_down(self, controller: str) -> int:
        if (self.parent / "cgroup.procs").read_text():
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(self))
        assert controller in (self.parent / "cgroup.controllers").read_text().split()
        words = {*self.read_text().split(), controller}
        return Path(self).write_text(" ".join(sorted(words)))


def host(root: Path) -> None:
    """The root of the hierarchy, on a host with nothing else."""
    root.mkdir()
    for name, text in {
        "cgroup.procs": "",
        "cgroup.subtree_control": "",
        "cgroup.controllers": "cpu memory pids",
    }.items():
        (root / name).write_text(text)
