"""Streams between agents, as web sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientWebSocketResponse, WSMsgType, web

from hostler.runtime.agents import Agents
from hostler.runtime.errors import ApiError, Retry
from launcher.agent.guests import Guests
from launcher.agent.migration.tunnel import Inbox, Stream
from launcher.agent.server import Route, Topic


class Socket:
    """Stream, by either end of a web socket."""

    def __init__(self, socket: ClientWebSocketResponse | web.WebSocketResponse) -> None:
        self._socket = socket

    async def send(self, data: bytes) -> None:
        await self._socket.send_bytes(data)

    async def receive(self) -> bytes:
        message = await self._socket.receive()
        return message.data if message.type == WSMsgType.BINARY else b""


class OtherAgents:
    """Peers, found by their nodes."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    @asynccontextmanager
    async def open(self, node: str, pod: str) -> AsyncIterator[Stream]:
        try:
            async with self._agents.stream(node, f"/migrations/{pod}") as socket:
                yield Socket(socket)
        except ApiError as error:
            raise Retry(1, str(error)) from error


def topic(inbox: Inbox) -> Topic:
    """The other end."""

    async def come(request: web.Request, _guests: Guests) -> web.StreamResponse:
        inbox.find(request.match_info["pod"])  # who is not expected gets no socket
        socket = web.WebSocketResponse(heartbeat=30)
        await socket.prepare(request)
        await inbox.serve(request.match_info["pod"], Socket(socket))
        return socket

    return Topic(callers=frozenset({"agent"}), routes=(Route("GET", "/migrations/{pod}", come),))
