"""Files that appear whole or not at all, also when the power goes.

A rename alone may reach the disk before what was written: then the file is there, empty, and whoever only asks whether
it exists takes it for good.
"""

import os
from pathlib import Path


def replace(fresh: Path, dest: Path) -> None:
    """Give a file that is written to the end, or a folder of such files, its name."""
    for path in fresh.rglob("*") if fresh.is_dir() else (fresh,):
        if path.is_file() and not path.is_symlink():
            _flush(path)
    fresh.replace(dest)


def whole(path: Path) -> bool:
    """Whether there is a file with something in it: earlier versions left empty ones."""
    return path.is_file() and path.stat().st_size > 0


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
