"""A benchmark's result: a table for people and JSON for everything else."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cores": os.cpu_count(), "memory_gib": round(memory / 2**30, 1), "kernel": platform.release()}


def write(name: str, result: dict[str, Any]) -> Path:
    """Keep `result` with when and where it was measured."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    whole = {"measured": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()} | result
    path.write_text(json.dumps(whole, indent=2) + "\n")
    return path


def read(name: str) -> dict[str, Any]:
    """What was kept last; {} if nothing was."""
    path = RESULTS / f"{name}.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def table(title: str, head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """Plain text: columns as wide as they need, numbers to the right."""
    cells = [head, *[tuple(_text(value) for value in row) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = ["  ".join(_pad(row[i], widths[i], number=i > 0) for i in range(len(head))).rstrip() for row in cells]
    return "\n".join([title, lines[0], "  ".join("-" * width for width in widths), *lines[1:], ""])


def _text(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _pad(text: str, width: int, *, number: bool) -> str:
    return text.rjust(width) if number else text.ljust(width)
