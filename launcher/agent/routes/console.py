"""The serial console. The newest session writes and ends the one before it; `?watch=1` only reads, beside any other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import PurePosixPath

from aiohttp import WSMsgType, web

from hostler.api import launcher
from hostler.runtime.race import first
from launcher.agent import places
from launcher.agent.console import Console, Session
from launcher.agent.guests import Guests, Running, found
from launcher.agent.pipes import accept
from launcher.agent.server import Route, Topic
from launcher.agent.turns import Turns

SOCKET = PurePosixPath(launcher.SERIAL_SOCKET).name

turns = Turns()
consoles: dict[str, Console] = {}  # by UID of the launcher pod


async def console(request: web.Request, guests: Guests) -> web.StreamResponse:
    guest = found(guests, request.match_info["uid"])
    async with joined(guest) as (shared, session):
        if request.query.get("watch"):
            socket = await accept(request)
            await first(show(session, socket), ignore(socket))
            await socket.close()
            return socket
        with turns.take((guest.pod.metadata.uid, "console")) as ended:
            socket = await accept(request)
            await first(show(session, socket), type_in(socket, shared), ended.wait())
            await socket.close()
            return socket


@asynccontextmanager
async def joined(guest: Running) -> AsyncIterator[tuple[Console, Session]]:
    """The guest's console, opened by the first who comes and closed by the last who goes."""
    uid = guest.pod.metadata.uid
    shared = consoles.get(uid)
    if shared is None or shared.over:
        shared = consoles[uid] = Console(*await places.dial(guest.place, uid, SOCKET))
    session = shared.join()
    try:
        yield shared, session
    finally:
        if shared.leave(session) and consoles.get(uid) is shared:
            del consoles[uid]


async def show(session: Session, socket: web.WebSocketResponse) -> None:
    while data := await session.read():
        await socket.send_bytes(data)


async def type_in(socket: web.WebSocketResponse, shared: Console) -> None:
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            await shared.write(message.data)
        elif message.type is WSMsgType.TEXT:
            await shared.write(message.data.encode())


async def ignore(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass


TOPIC = Topic(frozenset({"gateway"}), (Route("GET", "/vmis/{uid}/console", console),))
