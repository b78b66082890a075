"""How long the nodes have been silent, by the clock of who watches: clocks of other machines are never compared.

Silence counts only for as long as we could have heard something: after an outage of the API server, or of ours, every
node has its whole time again.
"""

from collections.abc import Mapping
from dataclasses import dataclass

GAP = 5.0  # seconds between two looks after which we may have missed something


@dataclass(frozen=True)
class Mark:
    """A lease as it was last seen."""

    version: str
    changed: float | None  # when we saw it change; None: it has been as it was when we came


class Observer:
    """Told of every look at the leases; `now` is a monotonic clock, in seconds."""

    def __init__(self) -> None:
        self.since: float | None = None  # of the watching that has not been interrupted
        self._last = 0.0
        self._marks: dict[str, Mark] = {}

    def looked(self, versions: Mapping[str, str], now: float) -> None:
        """A look that was answered: name of each lease -> its resourceVersion."""
        if self.since is None or now - self._last > GAP:
            self.since = now
        self._last = now
        marks = {}
        for name, version in versions.items():
            old = self._marks.get(name)
            changed = old.changed if old and old.version == version else now if old else None
            marks[name] = Mark(version, changed)
        self._marks = marks

    def missed(self) -> None:
        """A look that was not answered."""
        self.since = None

    def blind(self, now: float) -> bool:
        return self.since is None or now - self._last > GAP

    def renewed(self, name: str) -> float | None:
        """When the lease was last seen to change."""
        mark = self._marks.get(name)
        return mark.changed if mark else None

    def version(self, name: str) -> str:
        mark = self._marks.get(name)
        return mark.version if mark else ""

    def silent(self, name: str, now: float) -> float:
        """Seconds for which we watched and heard nothing of it."""
        if self.since is None or name not in self._marks:
            return 0.0
        return now - max(self._marks[name].changed or 0.0, self.since)
