"""What goes between the two nodes: the source's libvirtd talks to the target's, through both agents.

    source pod            source's agent                target's agent           target pod
    libvirtd --socket-->  Gate  ==== mutual TLS, WebSocket ====  Inbox  --socket-->  libvirtd

Few bytes: the guest's memory and disks go from QEMU to QEMU on the pod network, under certificates of this move alone.
The first message names the move and brings the target's certificates; what follows is libvirt's own protocol.
"""

import asyncio
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from hostler.runtime.errors import Error, Retry
from launcher.agent.migration import tree
from launcher.agent.migration.pki import Files
from launcher.agent.places import Place

CHUNK = 65536
HELLO = 65536  # bytes of the first message
SOCKET = "migration.sock"  # in the source pod's private folder

log = logging.getLogger(__name__)


class Stream(Protocol):
    """Messages to and from another agent."""

    async def send(self, data: bytes) -> None: ...

    async def receive(self) -> bytes:
        """b"" when the other side has closed."""
        ...


class Peers(Protocol):
    """The agents of other nodes."""

    def open(self, node: str, pod: str) -> AbstractAsyncContextManager[Stream]:
        """A stream to the launcher pod with this UID, through the agent of its node; Retry if there is none."""
        ...


@dataclass(frozen=True)
class Expected:
    """A pod that waits for its guest."""

    migration: str
    place: Place
    folder: int  # descriptor of its private folder
    address: str  # of the pod: where the guest's memory and disks go


class Inbox:
    """The pods of this node that wait for a guest, by UID."""

    def __init__(self) -> None:
        self._expected: dict[str, Expected] = {}

    def expect(self, pod: str, expected: Expected) -> Callable[[], None]:
        """Take a guest for this pod until the returned function is called."""
        self._expected[pod] = expected

        def forget() -> None:
            if self._expected.get(pod) is expected:
                del self._expected[pod]

        return forget

    def find(self, pod: str) -> Expected:
        """Retry if the pod expects no guest."""
        expected = self._expected.get(pod)
        if expected is None:
            raise Retry(1, f"pod {pod} expects no guest")
        return expected

    async def serve(self, pod: str, stream: Stream) -> None:
        """One stream from another agent; returns when either side closes."""
        expected = self.find(pod)
        hello = json.loads((await stream.receive())[:HELLO])
        if hello["migration"] != expected.migration:
            raise Retry(1, f"pod {pod} expects another guest")
        tree.write_papers(expected.folder, checked(hello["papers"]))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as libvirtd:
            libvirtd.connect(f"/proc/self/fd/{expected.place.socket}")
            await stream.send(f"ready {expected.address}".encode())
            log.info("a guest comes", extra={"uid": pod, "migration": expected.migration})
            await pump(stream, libvirtd)


def checked(papers: object) -> Files:
    """Names and contents of certificates, as `pki` makes them."""
    if isinstance(papers, dict) and all(name in tree.PAPERS and isinstance(text, str) for name, text in papers.items()):
        return papers
    raise Retry(1, "the other agent sent no certificates")


async def pump(stream: Stream, end: socket.socket) -> None:
    """Copy both ways until one side closes."""
    loop = asyncio.get_running_loop()

    async def out() -> None:
        while data := await loop.sock_recv(end, CHUNK):
            await stream.send(data)

    async def back() -> None:
        while data := await stream.receive():
            await loop.sock_sendall(end, data)

    ways = [asyncio.create_task(out()), asyncio.create_task(back())]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


@asynccontextmanager
async def gate(folder: int, stream: Stream) -> AsyncIterator[None]:
    """A socket in a pod's private folder; the first who connects to it is connected to the stream."""
    listener = listen(folder)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        end, _ = await loop.sock_accept(listener)
        with end:
            await pump(stream, end)

    task = asyncio.create_task(serve())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, OSError, Error):
            await task
        listener.close()
        with suppress(OSError):
            os.unlink(SOCKET, dir_fd=folder)


def listen(folder: int) -> socket.socket:
    """A new socket that the pod's libvirtd may connect to; whatever had its name is removed, never followed."""
    with suppress(FileNotFoundError):
        os.unlink(SOCKET, dir_fd=folder)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{SOCKET}")
        tree.give(folder, SOCKET)
        listener.listen(1)
    except OSError:
        listener.close()
        raise
    return listener
