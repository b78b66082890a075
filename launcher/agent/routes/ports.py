"""One connection to a port of a guest, made where the guest is seen: from inside its pod's network."""

import asyncio
import socket as sockets
from contextlib import suppress

from aiohttp import WSMsgType, web

from hostler.runtime.errors import Terminal, Unavailable
from hostler.runtime.race import first
from launcher.agent.guests import Guests, Running, found
from launcher.agent.netns import within
from launcher.agent.network import pod_nic
from launcher.agent.pipes import accept, pipe
from launcher.agent.server import Route, Topic

CONNECT = 10.0  # seconds
DATAGRAM = 65507
KINDS = {"tcp": sockets.SOCK_STREAM, "udp": sockets.SOCK_DGRAM}


async def forward(request: web.Request, guests: Guests) -> web.StreamResponse:
    guest = found(guests, request.match_info["uid"])
    protocol, port = request.match_info["protocol"], int(request.match_info["port"])
    if protocol not in KINDS or not 0 < port < 65536:
        raise Terminal("InvalidPort", f"{port}/{protocol}: not a TCP or UDP port")
    connection = await connect(guest, protocol, port)
    if protocol == "udp":
        return await datagrams(await accept(request), connection)
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        socket = await accept(request)
    except BaseException:
        writer.close()
        raise
    await pipe(socket, reader, writer)
    return socket


async def connect(guest: Running, protocol: str, port: int) -> sockets.socket:
    """A connected socket, non-blocking."""
    where, inside = address(guest)

    def dial() -> sockets.socket:
        made = sockets.socket(sockets.AF_INET, KINDS[protocol])
        try:
            made.settimeout(CONNECT)
            made.connect((where, port))
            made.setblocking(False)
        except BaseException:
            made.close()
            raise
        return made

    try:
        return await (within(guest.place.network, dial) if inside else asyncio.to_thread(dial))
    except OSError as error:
        raise Unavailable(503, "ConnectionFailed", f"{where}:{port}/{protocol}: {error}") from error


def address(guest: Running) -> tuple[str, bool]:
    """The guest's address, and whether it is one inside its pod: a bridged guest has the pod's own."""
    if guest.net is None or guest.spec is None or (nic := pod_nic(guest.spec)) is None:
        raise Terminal("NoNetwork", "the guest has no interface on the pod network")
    if nic.binding == "masquerade":
        return str(nic.guest.ip), True
    return str(guest.net.uplink.address.ip), False


async def datagrams(socket: web.WebSocketResponse, connection: sockets.socket) -> web.WebSocketResponse:
    """One message, one datagram."""
    loop = asyncio.get_running_loop()

    async def receive() -> None:
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                with suppress(ConnectionRefusedError):
                    await loop.sock_sendall(connection, message.data[:DATAGRAM])

    async def send() -> None:
        while True:
            with suppress(ConnectionRefusedError):
                await socket.send_bytes(await loop.sock_recv(connection, DATAGRAM))

    try:
        await first(receive(), send())
    finally:
        connection.close()
        await socket.close()
    return socket


TOPIC = Topic(frozenset({"gateway"}), (Route("GET", r"/vmis/{uid}/portforward/{port:\d+}/{protocol}", forward),))
