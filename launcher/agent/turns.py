"""Who may use what there is once: the newest session ends the one before it, unless it says that it will not."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from hostler.runtime.errors import Unavailable

Key = tuple[str, str]  # UID of the VMI, what is used


class Turns:
    """Sessions by key; the event of a session is set when another took its place."""

    def __init__(self) -> None:
        self._active: dict[Key, asyncio.Event] = {}

    @contextmanager
    def take(self, key: Key, *, refusal: str = "") -> Iterator[asyncio.Event]:
        """With a refusal, a session that is there stays, and this one is Unavailable with that text."""
        other = self._active.get(key)
        if other is not None and refusal:
            raise Unavailable(503, "ServiceUnavailable", refusal)
        if other is not None:
            other.set()
        mine = self._active[key] = asyncio.Event()
        try:
            yield mine
        finally:
            if self._active.get(key) is mine:
                del self._active[key]
