"""Keys to visit: each once at a time, soon, later, or later and later when it goes wrong."""

import asyncio
import random
from typing import Generic, TypeVar

from hostler.runtime import metrics

K = TypeVar("K")

FIRST, LONGEST = 0.5, 120.0  # seconds before the first new try after an error, and before the tenth
SHARE = 1 / 30  # of the time, that visits to one paced key may take: large sets are visited less often


class WorkQueue(Generic[K]):
    """A key added twice is visited once; a key added during its visit is visited again after it.

    `pace` seconds at least lie between two visits to one key, however often it is added; more after a costly visit.
    """

    def __init__(self, name: str, pace: float = 0.0) -> None:
        self._pace = pace
        self._depth = metrics.QUEUE_DEPTH.labels(name)
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()  # in _ready
        self._busy: dict[K, bool] = {}  # being visited -> added meanwhile
        self._later: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._dropped: set[K] = set()  # by the visit that is not over yet
        self._rested: dict[K, float] = {}  # when it may be visited again; only with a pace

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: K, after: float = 0.0, *, paced: bool = True) -> None:
        """Visit the key once, `after` seconds from now or when it was to be visited anyway, whichever is first."""
        if key in self._waiting:
            return
        busy = key in self._busy
        if busy and after <= 0 and paced:
            self._busy[key] = True
            return
        now = asyncio.get_running_loop().time()
        when = now + after
        if paced:
            when = max(when, self._rested.get(key, 0.0))
        if when > now or busy:
            self._schedule(key, when)
        else:
            self._push(key)

    def retry(self, key: K) -> float:
        """Visit the key after a pause that doubles with every failure in a row; the pause, in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        pause = min(FIRST * 2.0 ** min(failures, 16), LONGEST) * random.uniform(0.75, 1.25)  # noqa: S311
        self.add(key, pause)
        return pause

    def forgive(self, key: K) -> None:
        """The visit went well: the next failure is the first again."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key; `done` must follow."""
        key = await self._ready.get()
        self._waiting.discard(key)
        self._depth.set(len(self._waiting))
        self._busy[key] = False
        return key

    def done(self, key: K, cost: float = 0.0) -> None:
        """The visit is over; it kept the processor busy for `cost` seconds."""
        again = self._busy.pop(key)
        if self._pace and key not in self._dropped:
            self._rested[key] = asyncio.get_running_loop().time() + max(self._pace, cost / SHARE)
        self._dropped.discard(key)
        if again:
            self.add(key)

    def drop(self, key: K) -> None:
        """The object is gone: keep nothing of it."""
        self._failures.pop(key, None)
        self._rested.pop(key, None)
        if key in self._busy:  # by the visit that found it gone
            self._dropped.add(key)
        if timer := self._later.pop(key, None):
            timer.cancel()

    def _schedule(self, key: K, when: float) -> None:
        timer = self._later.get(key)
        if timer is not None:
            if timer.when() <= when:
                return
            timer.cancel()
        self._later[key] = asyncio.get_running_loop().call_at(when, self._push, key)

    def _push(self, key: K) -> None:
        if timer := self._later.pop(key, None):
            timer.cancel()
        if key in self._busy:
            self._busy[key] = True
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)
            self._depth.set(len(self._waiting))
