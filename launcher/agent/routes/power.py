"""Pause, go on, reboot in an orderly way."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from launcher.agent import controls
from launcher.agent.guests import Guests, found
from launcher.agent.server import Answer, Route, Topic


def control(work: Callable[[Any], None]) -> Answer:
    async def answer(request: web.Request, guests: Guests) -> web.StreamResponse:
        guest = found(guests, request.match_info["uid"])
        await guest.hypervisor.control(guest.domain, work)
        return web.json_response({})

    return answer


TOPIC = Topic(
    callers=frozenset({"gateway"}),
    routes=(
        Route("PUT", "/vmis/{uid}/pause", control(controls.pause)),
        Route("PUT", "/vmis/{uid}/unpause", control(controls.unpause)),
        Route("PUT", "/vmis/{uid}/softreboot", control(controls.soft_reboot)),
    ),
)
