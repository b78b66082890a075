"""The screen, as QEMU's VNC server shows it. The newest session ends the one before it, unless it is asked not to."""

from pathlib import PurePosixPath

from aiohttp import web

from hostler.api import launcher
from launcher.agent import places
from launcher.agent.guests import Guests, found
from launcher.agent.pipes import accept, pipe
from launcher.agent.server import Route, Topic
from launcher.agent.turns import Turns

SOCKET = PurePosixPath(launcher.VNC_SOCKET).name
REFUSAL = "Active VNC connection. Request denied."

turns = Turns()


async def vnc(request: web.Request, guests: Guests) -> web.StreamResponse:
    guest = found(guests, request.match_info["uid"])
    uid = guest.pod.metadata.uid
    with turns.take((uid, "vnc"), refusal=REFUSAL if request.query.get("preserve") else "") as ended:
        reader, writer = await places.dial(guest.place, uid, SOCKET)
        try:
            socket = await accept(request)
        except BaseException:
            writer.close()
            raise
        await pipe(socket, reader, writer, ended)
        return socket


TOPIC = Topic(frozenset({"gateway"}), (Route("GET", "/vmis/{uid}/vnc", vnc),))
