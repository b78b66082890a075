"""Work done inside another network namespace, by a thread that lives no longer than the work."""

import asyncio
import contextlib
import ctypes
import os
import threading
from collections.abc import Callable
from typing import TypeVar

CLONE_NEWNET = 0x40000000
T = TypeVar("T")
_libc = ctypes.CDLL(None, use_errno=True)


async def within(namespace: int, work: Callable[[], T]) -> T:
    """Run `work` in the network namespace of this descriptor; sockets and programs it makes stay there.

    A thread of a pool must not enter a namespace: the next work it gets would find itself there.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    copy = os.dup(namespace)  # the caller may be cancelled and close its own meanwhile

    def run() -> None:
        try:
            enter(copy)
            result = work()
        except BaseException as error:
            _tell(loop, done, error=error)
        else:
            _tell(loop, done, result=result)
        finally:
            os.close(copy)

    threading.Thread(target=run, name="netns", daemon=True).start()
    return await done


def enter(namespace: int) -> None:
    """Move the calling thread into a network namespace."""
    if _libc.setns(namespace, CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


def _tell(
    loop: asyncio.AbstractEventLoop,
    done: "asyncio.Future[T]",
    *,
    result: T | None = None,
    error: BaseException | None = None,
) -> None:
    def deliver() -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(deliver)
