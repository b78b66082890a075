"""Finds the programs of a cluster: a given folder, PATH, the cache, an official release, or a build, in this order.

python -m cluster.programs [NAME...]  makes sure of them and prints a folder that has them all
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from cluster import catalog, download, durable, gobuild
from cluster.catalog import PROGRAMS, Program, Release
from cluster.errors import ClusterError
from cluster.failure import told

Say = Callable[[str], None]


def locate(name: str) -> Path:
    """Where the program is; it is downloaded or built first if there is none yet."""
    return find([name])[name]


def find(names: Iterable[str], folder: Path | None = None, say: Say | None = None) -> dict[str, Path]:
    """Name -> path of each program; `say` is told of what takes long. ClusterError if one cannot be had."""
    folder = folder or _given()
    return {name: _find(_known(name), folder, say or _stderr) for name in names}


def links(programs: dict[str, Path], folder: Path) -> Path:
    """A folder with a link to each program, for PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in programs.items():
        link = folder / name
        if not link.is_symlink() or link.readlink() != path:
            fresh = folder / f".{name}.{os.getpid()}"
            fresh.symlink_to(path)
            fresh.replace(link)
    return folder


def cache() -> Path:
    """Where things are kept that can be made again: programs and images."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hostler"


def _given() -> Path | None:
    given = os.environ.get("HOSTLER_PROGRAMS")
    return Path(given) if given else None


def _known(name: str) -> Program:
    try:
        return PROGRAMS[name]
    except KeyError:
        raise ClusterError(f"no program named {name}; there are {', '.join(PROGRAMS)}") from None


def _find(program: Program, folder: Path | None, say: Say) -> Path:
    if folder is not None and os.access(given := folder / program.name, os.X_OK):
        return given.absolute()  # who names a folder answers for its versions
    if (installed := shutil.which(program.name)) and says_version(Path(installed), program):
        return Path(installed).absolute()
    cached = cache() / "programs" / f"{program.name}-{program.version}-{gobuild.recipe(program)}" / program.name
    if not durable.whole(cached):
        with _locked(cached.parent.parent / ".lock"):
            if not durable.whole(cached):  # another run may have made it while this one waited
                _make(program, cached, say)
    return cached


def says_version(path: Path, program: Program) -> bool:
    """Whether an installed program says that it is the pinned version."""
    try:
        said = subprocess.run([path, *program.ask], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    words = f"{said.stdout} {said.stderr}".replace(",", " ").replace('"', " ").split()
    return any(word.removeprefix("CoreDNS-").removeprefix("v").partition("+")[0] == program.number for word in words)


def _make(program: Program, dest: Path, say: Say) -> None:
    """Download or build, and put the whole thing in place at once."""
    dest.parent.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=dest.parent.parent, prefix=".new-") as scratch:
        fresh = Path(scratch) / "install" / program.name
        fresh.parent.mkdir()
        start = time.monotonic()
        how = _fetch_or_build(program, fresh, say)
        fresh.chmod(0o755)
        shutil.rmtree(dest.parent, ignore_errors=True)  # with an empty program in it
        durable.replace(fresh.parent, dest.parent)
    say(f"{program.name} {program.version}: {how} in {time.monotonic() - start:.0f} s")


def _fetch_or_build(program: Program, dest: Path, say: Say) -> str:
    why = ""
    if program.release is not None:
        try:
            _download(program.release, dest)
            return "downloaded"
        except download.Unreachable as error:  # the modules may be within reach where the releases are not
            why = f"not downloaded ({error})"
    say(f"{program.name} {program.version}: {f'{why}: ' if why else ''}building, minutes the first time ...")
    try:
        gobuild.build(program, dest)
    except ClusterError as error:
        raise ClusterError(f"{error}\n{program.name} {program.version} was {why}" if why else str(error)) from error
    return "built"


def _download(release: Release, dest: Path) -> None:
    if (machine := os.uname().machine) != catalog.MACHINE:
        raise download.Unreachable(f"releases are for {catalog.MACHINE}, this machine is {machine}")
    download.fetch(release, dest)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(names: list[str]) -> int:
    try:
        found = find(names or [*catalog.CONTROL, *catalog.NODE, *catalog.EXTRA])
    except (ClusterError, OSError) as error:
        print(f"error: {told(error)}", file=sys.stderr)
        return 1
    key = hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()[:8]
    print(links(found, cache() / "bin" / key))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
