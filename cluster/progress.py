"""Tells what is going on and how long it took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO


@dataclass
class Progress:
    """One line a stage, with its seconds; the seconds are kept for a table at the end."""

    out: TextIO = field(default_factory=lambda: sys.stderr)
    stages: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is inside; said when it ends, also when it fails."""
        start = time.monotonic()
        try:
            yield
        except BaseException:
            self.say(f"{name}: failed after {time.monotonic() - start:.1f} s")
            raise
        self.stages.append((name, time.monotonic() - start))
        self.say(f"{name}: {self.stages[-1][1]:.1f} s")

    def say(self, line: str) -> None:
        print(f"  {line}", file=self.out, flush=True)

    @property
    def seconds(self) -> float:
        return sum(seconds for _, seconds in self.stages)
