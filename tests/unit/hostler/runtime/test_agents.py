"""What an agent answers, read whole."""

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hostler.runtime.agents import everything

SIZE = 3 * 2**20


async def read(most: int) -> bytes:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(SIZE >> 16):
            await response.write(b"x" * 2**16)
        return response

    app = web.Application()
    app.router.add_get("/", answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session, session.get(server.make_url("/")) as got:
        return await everything(got.content, most)


async def test_however_many_reads_it_takes() -> None:
    assert len(await read(SIZE)) == SIZE


async def test_but_not_without_end() -> None:
    with pytest.raises(ValueError, match="longer than"):
        await read(SIZE - 1)
