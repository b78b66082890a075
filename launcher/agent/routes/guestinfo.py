"""What the agent in the guest says of it."""

from aiohttp import web

from launcher.agent import controls, guestinfo
from launcher.agent.guests import Guests, found
from launcher.agent.hypervisor import CALL
from launcher.agent.server import Route, Topic


async def answer(request: web.Request, guests: Guests) -> web.StreamResponse:
    guest = found(guests, request.match_info["uid"])
    said, version = await guest.hypervisor.control(guest.domain, controls.guest_info, CALL)
    return web.json_response(guestinfo.told(said, version))


TOPIC = Topic(frozenset({"gateway"}), (Route("GET", "/vmis/{uid}/guestosinfo", answer),))
