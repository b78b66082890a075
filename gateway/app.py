"""The gateway's HTTPS server: who asks and whether they may is looked at here, before any topic sees a request.

A topic is a module in `gateway.routes` (or beside them) with a TOPIC; `routes.TOPICS` lists them.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from aiohttp import web

from gateway import access, metrics
from gateway.access import Ask
from gateway.frontproxy import FrontProxy, User
from gateway.refusals import Refusal, refusal
from gateway.settings import GatewaySettings
from hostler.runtime.agents import Agents
from hostler.runtime.errors import Error
from hostler.runtime.protocol import Kube
from hostler.runtime.tls import Credentials, caller

GROUP = "subresources.kubevirt.io"
VERSIONS = ("v1", "v1alpha3")
LARGEST = 3 * 2**20  # bytes of a request's body, as the API server's own limit

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class House:
    """What the routes work with."""

    kube: Kube
    agents: Agents


Answer = Callable[[web.Request, House], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Open:
    """A route that anybody may ask for; or that looks at its callers itself."""

    method: str
    path: str
    answer: Answer


@dataclass(frozen=True)
class Aggregated:
    """A path of an API group of ours: the API server has asked its own authorizer whether the caller may."""

    method: str
    path: str
    answer: Answer


@dataclass(frozen=True)
class Subresource:
    """Something to do with one object: `PUT virtualmachines/NAME/start`. `tail` is more path behind it."""

    method: str
    resource: str
    name: str
    answer: Answer
    tail: str = ""


Topic = tuple[Open | Aggregated | Subresource, ...]


class Door:
    """Turns routes into aiohttp's handlers."""

    def __init__(self, house: House, front: FrontProxy) -> None:
        self._house = house
        self._front = front

    def application(self, topics: Iterable[Topic]) -> web.Application:
        app = web.Application(client_max_size=LARGEST, middlewares=[self._answered])
        for route in (route for topic in topics for route in topic):
            if isinstance(route, Open):
                app.router.add_route(route.method, route.path, self._open(route))
                continue
            if isinstance(route, Aggregated):
                app.router.add_route(route.method, route.path, self._aggregated(route))
                continue
            for version in VERSIONS:
                base = f"/apis/{GROUP}/{version}/namespaces/{{namespace}}/{route.resource}/{{name}}/{route.name}"
                app.router.add_route(route.method, base + route.tail, self._guarded(route, version))
        return app

    def _open(self, route: Open) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            return await route.answer(request, self._house)

        return answer

    def _aggregated(self, route: Aggregated) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            user = self._user(request)
            if user is None:
                raise Refusal(401, "Unauthorized", "Unauthorized: this is served to the API server only")
            log.info(f"{route.method} {request.path}", extra={"user": user.name})
            return await route.answer(request, self._house)

        return answer

    def _guarded(self, route: Subresource, version: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            where = request.match_info
            verb = access.VERBS[route.method]
            ask = Ask(GROUP, version, where["namespace"], route.resource, where["name"], route.name, verb)
            user = self._user(request)
            await access.check(self._house.kube, user, ask)
            extra = {"object": f"{where['namespace']}/{where['name']}", "user": user.name if user else ""}
            log.info(f"{verb} {route.resource}/{route.name}", extra=extra)
            return await route.answer(request, self._house)

        return answer

    def _user(self, request: web.Request) -> User | None:
        who = caller(request.get_extra_info("peercert"))
        return self._front.proxy.user(who, request.headers.items())

    @web.middleware
    async def _answered(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Errors as Statuses; requests are counted."""
        started = time.monotonic()
        response: web.StreamResponse
        try:
            response = await handler(request)
        except Exception as error:
            answer = translated(request, error)
            plain = "".join(c for c in str(answer) if c.isprintable()).encode("ascii", "replace").decode()[:1024]
            # for clients of web sockets, whose libraries drop an answer's body
            response = web.json_response(answer.status, status=answer.code, headers={"X-Message": plain})
        route = request.match_info.route.resource
        path = route.canonical if route is not None else "none"
        metrics.REQUESTS.labels(request.method, path, response.status).inc()
        metrics.SECONDS.labels(request.method, path).observe(time.monotonic() - started)
        return response


def translated(request: web.Request, error: Exception) -> Refusal:
    """What the caller is told."""
    match error:
        case Refusal():
            return error
        case Error():
            return refusal(error)
        case web.HTTPException():
            reason = error.reason.replace(" ", "")
            return Refusal(error.status, reason, f"{request.method} {request.path}: {error.reason}")
    log.error("bug", extra={"path": request.path}, exc_info=error)
    return Refusal(500, "InternalError", "Internal error occurred: see the log of hostler-gateway")


async def run(kube: Kube, settings: GatewaySettings) -> None:
    """Serve until cancelled."""
    from gateway.routes import TOPICS  # they import this module

    credentials = Credentials(kube, settings.namespace, "gateway")
    front = FrontProxy(kube, credentials.server)
    await asyncio.gather(credentials.load(), front.load())
    agents = Agents(kube, credentials, settings.agent_port)
    app = Door(House(kube, agents), front).application(TOPICS)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=5)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=settings.port, ssl_context=credentials.server).start()
        log.info("listening", extra={"port": settings.port})
        await asyncio.gather(credentials.keep(), front.keep())
    finally:
        await runner.cleanup()
        await agents.close()
