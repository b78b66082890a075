"""The import page's server half, with a small API server of the test's own behind it."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from gateway.imports_page import ImportsPage

PLANS = "/imports/api/apis/hostler.io/v1alpha1/namespaces/shop/importplans"
BEARER = {"Authorization": "Bearer mine"}


class Behind:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str, bytes]] = []

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.append((request.method, request.path, request.headers.get("Authorization", ""), body))
        return web.json_response({"items": []}, status=201 if request.method == "POST" else 200)


async def serve(app: web.Application) -> tuple[web.AppRunner, str]:
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture
async def page() -> AsyncIterator[tuple[aiohttp.ClientSession, Behind]]:
    behind = Behind()
    api = web.Application()
    api.router.add_route("*", "/{path:.*}", behind.answer)
    behind_runner, address = await serve(api)
    served = ImportsPage(address, None)
    app = web.Application()
    app.add_routes(served.routes())
    runner, url = await serve(app)
    async with aiohttp.ClientSession(base_url=url) as client:
        yield client, behind
    await served.close()
    await runner.cleanup()
    await behind_runner.cleanup()


@pytest.mark.parametrize(
    ("path", "kind"), [("", "text/html"), ("page.js", "text/javascript"), ("page.css", "text/css")]
)
async def test_files(page, path, kind):
    client, _ = page
    async with client.get(f"/imports/{path}") as answer:
        assert answer.status == 200
        assert answer.content_type == kind
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/imports/other.js", "/imports/..", "/imports/%2e%2e%2fapp.py"])
async def test_no_other_files(page, path):
    client, _ = page
    async with client.get(path) as answer:
        assert answer.status == 404


async def test_requests_go_through_with_the_users_token(page):
    client, behind = page
    async with client.post(PLANS, headers=BEARER, data=b'{"a": 1}') as answer:
        assert answer.status == 201
    assert behind.asked == [("POST", PLANS.removeprefix("/imports/api"), "Bearer mine", b'{"a": 1}')]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        pytest.param("GET", PLANS, {}, 401, id="no token"),
        pytest.param("GET", PLANS, {"Authorization": "Basic eDp5"}, 401, id="a password"),
        pytest.param("GET", "/imports/api/api/v1/namespaces/shop/secrets", BEARER, 403, id="reading Secrets"),
        pytest.param("DELETE", "/imports/api/api/v1/namespaces/shop/secrets/x", BEARER, 403, id="deleting a Secret"),
        pytest.param("GET", "/imports/api/api/v1/nodes", BEARER, 403, id="nodes"),
        pytest.param("PUT", PLANS + "/x", BEARER, 403, id="another verb"),
        pytest.param("GET", PLANS + "/..%2f..%2fsecrets", BEARER, 403, id="a way up"),
        pytest.param("GET", PLANS + "/x/status", BEARER, 403, id="a subresource"),
    ],
)
async def test_nothing_else_goes_through(page, method, path, headers, status):
    client, behind = page
    async with client.request(method, path, headers=headers) as answer:
        assert answer.status == status
        assert (await answer.json())["status"] == "Failure"
    assert behind.asked == []


async def test_an_api_server_that_is_away():
    served = ImportsPage("http://127.0.0.1:9", None)
    app = web.Application()
    app.add_routes(served.routes())
    runner, url = await serve(app)
    async with aiohttp.ClientSession(base_url=url) as client, client.get(PLANS, headers=BEARER) as answer:
        assert answer.status == 502
    await served.close()
    await runner.cleanup()
