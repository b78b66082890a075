"""Consoles, screens and ports: only what is the pod's own is connected to."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from ipaddress import IPv4Interface
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from hostler.api.kubevirt.vmi import VirtualMachineInstanceSpec
from hostler.runtime.errors import NotFound, Retry, Terminal
from launcher.agent import places
from launcher.agent.guests import Running
from launcher.agent.network import Uplink
from launcher.agent.places import Intruder, Place
from launcher.agent.pods import LauncherPod
from launcher.agent.routes import ports
from launcher.agent.status import Net
from tests.unit.launcher.agent.standin import StandIn

UID = "5a9fc181-957e-4c32-9e5a-2de5e9673531"
UPLINK = Uplink(IPv4Interface("10.88.0.5/24"), "0a:58:0a:58:00:05", 1450, ())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(places, "pod_of", lambda _: UID)  # this process is in no pod
    (tmp_path / "private").mkdir()
    made = Place(*(os.open("/", os.O_PATH) for _ in range(4)), os.open(tmp_path / "private", os.O_PATH))
    yield made
    made.close()


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Path]:
    """A socket that says everything back, outside the pod's folder."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async with await asyncio.start_unix_server(echo, tmp_path / "socket"):
        yield tmp_path / "socket"


async def test_a_socket_of_the_pod(place: Place, listener: Path, tmp_path: Path) -> None:
    (tmp_path / "private" / "virt-vnc").hardlink_to(listener)
    reader, writer = await places.dial(place, UID, "virt-vnc")
    writer.write(b"hello")
    assert await reader.read(10) == b"hello"
    writer.close()
    await writer.wait_closed()


async def test_a_link_to_another_socket_is_not_followed(place: Place, listener: Path, tmp_path: Path) -> None:
    (tmp_path / "private" / "virt-vnc").symlink_to(listener)
    with pytest.raises(Intruder, match="symbolic link"):
        await places.dial(place, UID, "virt-vnc")


async def test_a_socket_of_another_pod(
    place: Place, listener: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "private" / "virt-vnc").hardlink_to(listener)
    monkeypatch.setattr(places, "pod_of", lambda _: "another")
    with pytest.raises(Intruder, match="of pod another"):
        await places.dial(place, UID, "virt-vnc")


async def test_what_is_no_socket(place: Place, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await places.dial(place, UID, "virt-vnc")
    (tmp_path / "private" / "virt-vnc").touch()
    with pytest.raises(Intruder, match="not a socket"):
        await places.dial(place, UID, "virt-vnc")
    with pytest.raises(Intruder, match="not the name of a file"):
        await places.dial(place, UID, "../socket")


async def test_a_socket_that_nobody_serves(place: Place, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "private" / "virt-vnc"))
    with pytest.raises(Retry):
        await places.dial(place, UID, "virt-vnc")


def spec(binding: str, **network: str) -> VirtualMachineInstanceSpec:
    interface = {"name": "default", binding: {}}
    body = {
        "domain": {"devices": {"interfaces": [interface]}},
        "networks": [{"name": "default", "pod": dict(network)}],
    }
    return VirtualMachineInstanceSpec.model_validate(body)


def running(place: Place, of: VirtualMachineInstanceSpec | None) -> Running:
    pod = LauncherPod.model_validate({"metadata": {"name": "p", "uid": UID}})
    return Running(pod, "d", StandIn(), place, Net("default", UPLINK) if of else None, of)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        pytest.param(spec("masquerade"), ("10.0.2.2", True), id="masquerade: inside the pod"),
        pytest.param(spec("masquerade", vmNetworkCIDR="192.168.7.0/24"), ("192.168.7.2", True), id="its own network"),
        pytest.param(spec("bridge"), ("10.88.0.5", False), id="bridge: it has the pod's address"),
    ],
)
def test_where_a_guests_ports_are(place: Place, of: VirtualMachineInstanceSpec, expected: tuple[str, bool]) -> None:
    assert ports.address(running(place, of)) == expected


def test_a_guest_without_a_network(place: Place) -> None:
    with pytest.raises(Terminal, match="no interface"):
        ports.address(running(place, None))


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
async def test_a_port(place: Place, protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection, or one flow of datagrams, of a web socket of its own."""
    monkeypatch.setattr(ports, "address", lambda _: ("127.0.0.1", False))

    class One:
        def find(self, _uid: str) -> Running:
            return running(place, spec("masquerade"))

    async def answer(request: web.Request) -> web.StreamResponse:
        return await ports.TOPIC.routes[0].answer(request, One())

    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as guest:
        guest.bind(("127.0.0.1", 0))
        app = web.Application()
        app.router.add_get(ports.TOPIC.routes[0].path, answer)
        if protocol == "tcp":
            guest.listen()
        serving = asyncio.create_task(asyncio.to_thread(once, guest, protocol))
        async with TestClient(TestServer(app)) as client:
            path = f"/vmis/x/portforward/{guest.getsockname()[1]}/{protocol}"
            async with client.ws_connect(path) as session:
                await session.send_bytes(b"ping")
                assert await session.receive_bytes(timeout=10) == b"pong ping"
        await serving


def once(guest: socket.socket, protocol: str) -> None:
    """Answer one message."""
    if protocol == "udp":
        data, sender = guest.recvfrom(100)
        guest.sendto(b"pong " + data, sender)
        return
    connection, _ = guest.accept()
    with connection:
        connection.sendall(b"pong " + connection.recv(100))
