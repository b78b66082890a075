"""Log files that do not grow without end, though their writers keep them open."""

import shutil
from collections.abc import Iterator
from pathlib import Path

LARGEST = 16 << 20  # bytes of one file; one older one is kept


def trim(path: Path, largest: int = LARGEST) -> None:
    """Move a large log's content to NAME.1. Its writers append, so they go on at the new end."""
    if path.stat().st_size > largest:
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        with path.open("r+b") as file:
            file.truncate(0)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines, from the older file too if the newer is short."""
    found: list[str] = []
    for file in (path, path.with_name(f"{path.name}.1")):
        if len(found) < lines and file.exists():
            found = _last(file, lines - len(found)) + found
    return found


def follow(path: Path, position: int) -> Iterator[bytes]:
    """What is written after `position`; an empty piece whenever there is nothing new."""
    while True:
        if path.stat().st_size < position:
            position = 0  # it was trimmed
        with path.open("rb") as file:
            file.seek(position)
            piece = file.read()
        position += len(piece)
        yield piece


def _last(path: Path, lines: int) -> list[str]:
    return path.read_text(errors="replace").splitlines()[-lines:] if lines else []
