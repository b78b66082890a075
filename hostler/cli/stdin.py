"""Standard input as it comes, without ever keeping the process from ending."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

CHUNK = 65536


async def chunks() -> AsyncIterator[bytes]:
    """Until its end. The reading thread is a daemon: a read from a terminal cannot be called off."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    taken = threading.Semaphore(4)  # what is read ahead

    def read() -> None:
        data = b"x"
        while data:
            taken.acquire()
            try:
                data = os.read(0, CHUNK)
            except OSError:
                data = b""
            with suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(queue.put_nowait, data)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while data := await queue.get():
        taken.release()
        yield data
