"""The agent's door, over real TLS: who is let in, and what comes back."""

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web

from controllers.certificates import secrets
from hostler.api.objects import Pod
from hostler.runtime.agents import Agents
from hostler.runtime.errors import ApiError, Forbidden, Retry, Terminal, Unavailable
from hostler.runtime.tls import Credentials
from launcher.agent import server
from launcher.agent.guests import Guests, Running
from launcher.agent.server import Route, Topic
from tests.integration.apiserver import free_ports
from tests.unit.hostler.runtime.fake_kube import FakeKube

NS = "hostler"


class Nobody:
    def find(self, uid: str) -> Running | None:
        return None


async def hello(request: web.Request, _guests: Guests) -> web.StreamResponse:
    return web.json_response({"hello": request.match_info["who"], "body": await request.json()})


async def later(_request: web.Request, _guests: Guests) -> web.StreamResponse:
    raise Retry(5, "libvirtd is slow")


async def never(_request: web.Request, _guests: Guests) -> web.StreamResponse:
    raise Terminal("NoConsole", "there is no console\n")


async def echo(request: web.Request, _guests: Guests) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_bytes(message.data)
    return socket


TOPIC = Topic(
    frozenset({"gateway"}),
    (
        Route("PUT", "/hello/{who}", hello),
        Route("GET", "/later", later),
        Route("GET", "/never", never),
        Route("GET", "/echo", echo),
    ),
)


@pytest.fixture
async def kube() -> FakeKube:
    kube = FakeKube()
    await secrets(kube, NS, datetime.now(UTC))
    labels = {"app.kubernetes.io/name": "hostler", "app.kubernetes.io/component": "agent"}
    pod = {"metadata": {"name": "agent", "labels": labels}, "spec": {"nodeName": "n1"}}
    await kube.create(Pod, NS, pod | {"status": {"podIP": "127.0.0.1", "phase": "Running"}})
    return kube


@pytest.fixture
async def port(kube: FakeKube) -> AsyncIterator[int]:
    (port,) = free_ports(1)
    credentials = Credentials(kube, NS, "agent", mutual=True)
    await credentials.load()
    runner = await server.serve(Nobody(), credentials, [TOPIC], port)
    yield port
    await runner.cleanup()


async def agents(kube: FakeKube, port: int, process: str = "gateway") -> Agents:
    credentials = Credentials(kube, NS, process)
    await credentials.load()
    return Agents(kube, credentials, port)


@pytest.fixture
async def calls(kube: FakeKube, port: int) -> AsyncIterator[Agents]:
    made = await agents(kube, port)
    yield made
    await made.close()


async def test_an_answer(calls: Agents) -> None:
    assert await calls.call("n1", "PUT", "/hello/you", {"a": 1}) == {"hello": "you", "body": {"a": 1}}


@pytest.mark.parametrize(
    ("path", "kind", "text"),
    [
        pytest.param("/later", Unavailable, "libvirtd is slow", id="the world must change"),
        pytest.param("/never", ApiError, "there is no console", id="the user must"),
    ],
)
async def test_refusals(calls: Agents, path: str, kind: type[ApiError], text: str) -> None:
    with pytest.raises(kind, match=text):
        await calls.call("n1", "GET", path)
    with pytest.raises(kind, match=text):
        async with calls.stream("n1", path):
            pass


async def test_a_stream(calls: Agents) -> None:
    async with calls.stream("n1", "/echo") as socket:
        await socket.send_bytes(b"x" * 100_000)
        assert await socket.receive_bytes() == b"x" * 100_000


async def test_another_of_our_processes_is_not_let_in(kube: FakeKube, port: int) -> None:
    made = await agents(kube, port, "v2v")
    with pytest.raises(Forbidden, match="hostler-v2v may not"):
        await made.call("n1", "PUT", "/hello/you", {})
    await made.close()


async def test_without_a_certificate_there_is_no_connection(kube: FakeKube, port: int) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"https://127.0.0.1:{port}/later", ssl=context)


async def test_who_is_no_agent_is_not_called(kube: FakeKube, calls: Agents) -> None:
    """A certificate of another process of ours does not do."""
    (port,) = free_ports(1)
    impostor = Credentials(kube, NS, "gateway", mutual=True)
    await impostor.load()
    runner = await server.serve(Nobody(), impostor, [TOPIC], port)
    made = await agents(kube, port)
    with pytest.raises(Unavailable, match="does not answer"):
        await made.call("n1", "GET", "/later")
    await made.close()
    await runner.cleanup()


async def test_a_node_without_an_agent(calls: Agents) -> None:
    with pytest.raises(Unavailable, match="no agent of hostler runs on node n2"):
        await calls.call("n2", "GET", "/later")
