"""One thread that makes the blocking calls of one pod.

A libvirtd that never answers, which a hostile one may do, holds up its own pod's thread and no other's.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from hostler.runtime.errors import Retry

T = TypeVar("T")
Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class Worker:
    """Calls run one after another; a caller waits no longer than it said."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._late: asyncio.Future[Any] | None = None
        # a daemon: the process can end while a call hangs
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def call(self, work: Callable[[], T], limit: float) -> T:
        """The result of `work`; Retry when it takes longer than `limit` seconds, or when the last one still does."""
        if self._late is not None and not self._late.done():
            raise Retry(10, "libvirtd still owes an answer")
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((work, done))
        try:
            async with asyncio.timeout(limit):
                return await asyncio.shield(done)
        except TimeoutError:
            self._late = done
            done.add_done_callback(_forget)
            raise Retry(10, f"libvirtd did not answer within {limit:.0f} s") from None
        except asyncio.CancelledError:
            done.add_done_callback(_forget)
            raise

    def later(self, work: Callable[[], Any]) -> None:
        """Do this after the calls made so far; its result and its errors are of no interest."""
        done: asyncio.Future[Any] = self._loop.create_future()
        done.add_done_callback(_forget)
        self._jobs.put((work, done))

    def close(self) -> None:
        """End after the calls made so far."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, done = job
            try:
                result = work()
            except BaseException as error:
                self._tell(done, None, error)
            else:
                self._tell(done, result, None)

    def _tell(self, done: "asyncio.Future[Any]", result: object, error: BaseException | None) -> None:
        def deliver() -> None:
            if done.cancelled():
                return
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(deliver)


def _forget(done: "asyncio.Future[Any]") -> None:
    """Nobody waits for it any more: asyncio need not complain about its error."""
    if not done.cancelled():
        done.exception()
