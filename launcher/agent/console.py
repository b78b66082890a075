"""A guest's serial console: read by any number of sessions, written by the newest, and always in the pod's log.

QEMU itself copies what the guest prints to the pod's log (PID 1 reads that), whether anybody is connected here or not.
It takes one connection at a time: this one, which is open only while there are sessions, and is shared by them.
"""

import asyncio
from collections import deque

from hostler.runtime.errors import Error
from launcher.agent.pipes import CHUNK

ROOM = 512 * 1024  # bytes kept for a session that reads slowly; the guest never waits for one


class Session:
    """One who looks at a console."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._news = asyncio.Event()
        self.over = False

    def offer(self, data: bytes) -> None:
        """Keep it, or drop the oldest."""
        self._waiting.append(data)
        self._size += len(data)
        while self._size > ROOM and len(self._waiting) > 1:
            gone = len(self._waiting.popleft())
            self._size -= gone
            self._dropped += gone
        self._news.set()

    def end(self) -> None:
        self.over = True
        self._news.set()

    async def read(self) -> bytes:
        """What was printed since the last time; b"" at the end of the console."""
        while not self._waiting and not self.over:
            self._news.clear()
            await self._news.wait()
        data = b"".join(self._waiting)
        if self._dropped:
            data = b"\r\n[hostler: %d bytes were dropped]\r\n" % self._dropped + data
        self._waiting.clear()
        self._size = self._dropped = 0
        return data


class Console:
    """One open console."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._sessions: set[Session] = set()
        self._task = asyncio.create_task(self._run(), name="console")

    @property
    def over(self) -> bool:
        return self._task.done()

    def join(self) -> Session:
        session = Session()
        self._sessions.add(session)
        return session

    def leave(self, session: Session) -> bool:
        """True if that was the last one; the console is closed then."""
        self._sessions.discard(session)
        if not self._sessions:
            self._task.cancel()
            self._writer.close()
        return not self._sessions

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def _run(self) -> None:
        try:
            while data := await self._reader.read(CHUNK):
                for session in self._sessions:
                    session.offer(data)
        except (OSError, Error):
            pass  # the guest is gone
        finally:
            for session in self._sessions:
                session.end()
