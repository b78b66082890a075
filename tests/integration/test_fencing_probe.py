"""What an address answers, over real sockets."""

import asyncio
import ssl
from pathlib import Path

import pytest

from fencing.probe import reach
from fencing.verdict import Reach
from tests.integration.apiserver import free_ports


@pytest.fixture
def server(apiserver):
    """The certificate that the API server of the tests made for itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder = Path(apiserver.ca).parent
    context.load_cert_chain(folder / "apiserver.crt", folder / "apiserver.key")
    return context


async def test_who_speaks_tls_answers(server):
    listening = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=server)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        assert await reach("127.0.0.1", port, 30) is Reach.ANSWERS


@pytest.mark.parametrize("address", [None, "", "..", "no-such-name.invalid", "x" * 70 + ".example", "10.0.0.1/8"])
async def test_what_is_no_address_tells_nothing(address):
    """A node says its addresses itself."""
    assert await reach(address, 1, 1) is Reach.UNKNOWN


async def test_a_frozen_program_takes_the_connection_and_says_nothing():
    """As the kernel does for a kubelet that does not move."""
    stopped = asyncio.Event()

    async def never(_reader, writer):
        await stopped.wait()
        writer.close()

    listening = await asyncio.start_server(never, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        assert await reach("127.0.0.1", port, 0.3) is Reach.DEAF
        stopped.set()


async def test_nobody_listens():
    (port,) = free_ports(1)
    assert await reach("127.0.0.1", port, 1) is Reach.DEAF, "the kernel refused: the machine is not off"


async def test_a_node_without_an_address():
    assert await reach(None) is Reach.UNKNOWN
