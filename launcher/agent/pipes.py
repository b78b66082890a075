"""Bytes between a web socket and a stream, both ways, until one of them ends."""

import asyncio

from aiohttp import WSMsgType, web

from hostler.runtime.agents import PING
from hostler.runtime.race import first

CHUNK = 65536


async def accept(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(heartbeat=PING, max_msg_size=2**20, compress=False)
    await socket.prepare(request)
    return socket


async def pipe(
    socket: web.WebSocketResponse,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    ended: asyncio.Event | None = None,
) -> None:
    """Close both at the end; `ended` ends it, too."""
    over = [ended.wait()] if ended is not None else []
    try:
        await first(receive(socket, writer), send(socket, reader), *over)
    finally:
        writer.close()
        await socket.close()


async def receive(socket: web.WebSocketResponse, writer: asyncio.StreamWriter) -> None:
    """What the session says to the guest; as fast as the guest takes it."""
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            writer.write(message.data)
        elif message.type is WSMsgType.TEXT:
            writer.write(message.data.encode())
        await writer.drain()


async def send(socket: web.WebSocketResponse, reader: asyncio.StreamReader) -> None:
    while data := await reader.read(CHUNK):
        await socket.send_bytes(data)
