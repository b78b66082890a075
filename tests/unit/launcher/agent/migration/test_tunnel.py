"""The way between two libvirtds: sockets of this host, and a stream in memory for the one between the nodes."""

import asyncio
import json
import os
import socket
from pathlib import Path

import pytest

from hostler.api import launcher
from hostler.runtime.errors import Retry
from launcher.agent.migration import pki, tree, tunnel
from launcher.agent.migration.tunnel import Expected, Inbox
from launcher.agent.places import Intruder, Place

MINE = pytest.mark.skipif(os.geteuid() != 0, reason="files are given to another user")


class Pipe:
    """One end of a stream in memory."""

    def __init__(self, out: "asyncio.Queue[bytes]", back: "asyncio.Queue[bytes]") -> None:
        self._out, self._back = out, back

    async def send(self, data: bytes) -> None:
        await self._out.put(data)

    async def receive(self) -> bytes:
        return await self._back.get()


def pipe() -> tuple[Pipe, Pipe]:
    one: asyncio.Queue[bytes] = asyncio.Queue()
    two: asyncio.Queue[bytes] = asyncio.Queue()
    return Pipe(one, two), Pipe(two, one)


def private(folder: Path) -> int:
    (folder / "pki").mkdir(parents=True)
    return os.open(folder, os.O_PATH | os.O_DIRECTORY)


async def echo(path: Path) -> asyncio.Server:
    """A libvirtd that says what it hears."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(b"heard " + data)
        writer.close()

    return await asyncio.start_unix_server(answer, path)


@MINE
async def test_from_socket_to_socket(tmp_path: Path) -> None:
    source, target = private(tmp_path / "a"), private(tmp_path / "b")
    libvirtd = await echo(tmp_path / "libvirt")
    here, there = pipe()
    inbox = Inbox()
    path = os.open(tmp_path / "libvirt", os.O_PATH)
    inbox.expect("uid", Expected("go", Place(path, *map(os.dup, [path] * 3)), target, "10.0.0.2"))
    serving = asyncio.create_task(inbox.serve("uid", there))
    papers = pki.issue()
    await here.send(json.dumps({"migration": "go", "papers": papers.target}).encode())
    assert await here.receive() == b"ready 10.0.0.2"
    assert (tmp_path / "b/pki/server-key.pem").read_text() == papers.target["server-key.pem"]
    assert (tmp_path / "b/pki/server-key.pem").stat().st_uid == launcher.UID
    assert (tmp_path / "b/pki/server-key.pem").stat().st_mode & 0o777 == 0o600
    async with tunnel.gate(source, here):
        assert (tmp_path / "a" / tunnel.SOCKET).stat().st_uid == launcher.UID
        reader, writer = await asyncio.open_unix_connection(tmp_path / "a" / tunnel.SOCKET)
        writer.write(b"hello")
        assert await reader.read(100) == b"heard hello"
        writer.close()
    await there.send(b"")
    await here.send(b"")
    await asyncio.wait_for(serving, 30)
    libvirtd.close()
    assert not (tmp_path / "a" / tunnel.SOCKET).exists()


@pytest.mark.parametrize(
    "hello",
    [
        {"migration": "other", "papers": {}},
        {"migration": "go", "papers": {"../../etc/passwd": "x"}},
        {"migration": "go", "papers": {"ca-cert.pem": 1}},
        {"migration": "go", "papers": []},
    ],
)
async def test_only_what_is_expected(tmp_path: Path, hello: object) -> None:
    inbox = Inbox()
    forget = inbox.expect("uid", Expected("go", Place(0, 0, 0, 0), private(tmp_path), ""))
    here, there = pipe()
    await here.send(json.dumps(hello).encode())
    with pytest.raises(Retry):
        await inbox.serve("uid", there)
    assert not list((tmp_path / "pki").iterdir())
    forget()
    with pytest.raises(Retry, match="expects no guest"):
        inbox.find("uid")


@MINE
def test_no_link_is_followed(tmp_path: Path) -> None:
    """The tenant has put links where the agent writes."""
    prey = tmp_path / "prey"
    prey.write_text("mine")
    folder = private(tmp_path / "pod")
    (tmp_path / "pod/pki/ca-cert.pem").symlink_to(prey)
    tree.write_papers(folder, {"ca-cert.pem": "new"})
    assert prey.read_text() == "mine"
    assert (tmp_path / "pod/pki/ca-cert.pem").read_text() == "new"
    (tmp_path / "pod" / tunnel.SOCKET).symlink_to(prey)
    with tunnel.listen(folder):
        assert prey.stat().st_uid == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "pod/pki").rename(tmp_path / "pod/gone")
    (tmp_path / "pod/pki").symlink_to(elsewhere)
    with pytest.raises(Intruder):
        tree.write_papers(folder, {"ca-cert.pem": "new"})
    assert not list(elsewhere.iterdir())


def test_each_move_has_its_own_authority() -> None:
    one, two = pki.issue(), pki.issue()
    assert one.target["ca-cert.pem"] == one.source["ca-cert.pem"] != two.source["ca-cert.pem"]
    assert set(one.target) == {"ca-cert.pem", "server-cert.pem", "server-key.pem"}
    assert set(one.source) == {"ca-cert.pem", "client-cert.pem", "client-key.pem"}


def test_a_closed_end_ends_the_way() -> None:
    async def run() -> None:
        here, there = pipe()
        left, right = socket.socketpair()
        left.setblocking(False)
        right.close()
        await asyncio.wait_for(tunnel.pump(here, left), 30)
        left.close()
        await there.send(b"")

    asyncio.run(run())
