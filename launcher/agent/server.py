"""The agent's door: HTTPS on its pod's address, for those of our processes that the topics let in, and nobody else.

A topic is a module in `launcher.agent.routes` with a `TOPIC`; `routes.TOPICS` lists them. Whoever calls shows a
certificate of our authority; its common name says who it is, and each topic says whom it answers.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import orjson
from aiohttp import web

from hostler.runtime import names
from hostler.runtime.agents import PORT
from hostler.runtime.errors import ApiError, Error, NotFound, Retry, Terminal
from hostler.runtime.tls import Credentials, caller
from launcher.agent import metrics
from launcher.agent.guests import Guests

LARGEST = 2**20  # bytes of a request's body

Answer = Callable[[web.Request, Guests], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Route:
    """One thing to ask an agent for. Path parts in braces are in `request.match_info`."""

    method: str
    path: str
    answer: Answer


@dataclass(frozen=True)
class Topic:
    """Routes that the same processes may use: "gateway", "migration", "agent", ..."""

    callers: frozenset[str]
    routes: tuple[Route, ...]


def application(topics: Iterable[Topic], guests: Guests) -> web.Application:
    app = web.Application(client_max_size=LARGEST)
    for topic in topics:
        for route in topic.routes:
            app.router.add_route(route.method, route.path, door(topic, route, guests))
    return app


def door(topic: Topic, route: Route, guests: Guests) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The route behind its check; errors of ours as JSON, and in headers for those who asked for a web socket."""
    allowed = {names.common_name(each) for each in topic.callers}

    async def answer(request: web.Request) -> web.StreamResponse:
        who = caller(request.get_extra_info("peercert"))
        metrics.CALLS.labels(route.path, who or "nobody").inc()
        if who not in allowed:
            log.warning("refused", extra={"caller": who or "nobody", "path": request.path})
            return refusal(403, "Forbidden", f"{who or 'a caller without a name'} may not ask for {route.path}")
        try:
            return await route.answer(request, guests)
        except Error as error:
            return refusal(*told(error))

    return answer


def told(error: Error) -> tuple[int, str, str]:
    """HTTP status, reason and message."""
    match error:
        case NotFound():
            return 404, error.reason or "NotFound", error.message
        case ApiError():
            return error.status or 503, error.reason, error.message
        case Terminal():
            return 409, error.reason, error.message
        case Retry():
            return 503, "Later", error.why
    return 500, "Error", str(error)


def refusal(status: int, reason: str, message: str) -> web.Response:
    plain = "".join(c for c in message if c.isprintable())[:1024]
    headers = {"X-Reason": reason, "X-Message": plain.encode("ascii", "replace").decode()}
    body = orjson.dumps({"reason": reason, "message": message})
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


async def serve(guests: Guests, credentials: Credentials, topics: Iterable[Topic], port: int = PORT) -> web.AppRunner:
    """Listen; the caller cleans the runner up."""
    runner = web.AppRunner(application(topics, guests), access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, port=port, ssl_context=credentials.server).start()
    log.info("listening", extra={"port": port})
    return runner
