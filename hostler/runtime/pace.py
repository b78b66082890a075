"""A limit for what is nice to have: so many at once, so many a second."""

import time
from collections.abc import Callable


class TokenBucket:
    """`burst` at once, then `rate` a second; what does not fit is for the caller to leave out or put off."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = burst
        self._at = clock()

    def take(self) -> bool:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
