"""What the system or a program refused, in words for the person who asked for it."""

import errno
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from cluster import layout

FULL = (errno.ENOSPC, errno.EDQUOT)


def told(error: Exception) -> str:
    """What could not be done, where, and why; our own errors say so themselves."""
    if isinstance(error, subprocess.CalledProcessError):
        return _command(error)
    if not isinstance(error, OSError):
        return str(error)
    if error.errno in FULL:
        return _disk(error)
    text = f"{error.filename}: {error.strerror}" if error.filename else str(error) or type(error).__name__
    return f"{text} (this may need root)" if isinstance(error, PermissionError) and os.geteuid() != 0 else text


def _command(error: subprocess.CalledProcessError) -> str:
    words = [error.cmd] if isinstance(error.cmd, str | bytes | os.PathLike) else error.cmd
    said = error.stderr.decode(errors="replace") if isinstance(error.stderr, bytes) else error.stderr or ""
    how = f"signal {-error.returncode}" if error.returncode < 0 else f"exit code {error.returncode}"
    return "\n".join([f"{' '.join(map(str, words))} failed ({how})", *said.strip().splitlines()[-5:]])


def _disk(error: OSError) -> str:
    """A write does not tell its file: then the fullest of the disks that we write to is meant."""
    from cluster import images  # heavy, and only for this

    ours = (images.cache_folder(), layout.CLUSTERS, Path(tempfile.gettempdir()))
    places = map(_existing, (Path(os.fsdecode(error.filename)),) if error.filename else ours)
    place = min(places, key=lambda path: shutil.disk_usage(path).free)
    free = shutil.disk_usage(place).free / 1e6
    return f"no space left on the disk of {place} (mounted at {_mount(place)}, {free:.0f} MB are free now)"


def _existing(path: Path) -> Path:
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())


def _mount(path: Path) -> Path:
    return next(each for each in (path.resolve(), *path.resolve().parents) if each.is_mount())
