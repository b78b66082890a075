"""Uploads: token, the gateway's way to the worker, the worker's server; real API server, Redis and worker."""

import asyncio
import gzip
import io
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.app import House, Open, translated
from gateway.routes import uploads
from gateway.routes.uploads import UploadSettings
from hostler.runtime import disk_report
from hostler.runtime.upload_token import Grant, sign
from tests.integration.disk_workers import Place
from tests.integration.test_disks_workers import broker, dispatcher, place  # noqa: F401 - fixtures
from tests.integration.upload_key import CERTIFICATE, KEY, make

MIB = 1 << 20
DISK = random.Random(1).randbytes(2 * MIB) + bytes(3 * MIB) + random.Random(2).randbytes(MIB)
TOKENS = "/tokens/{namespace}"

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def gateway(place: Place, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:  # noqa: F811
    """The topic's routes as the gateway serves them; the API server's part in the token request is left out."""
    monkeypatch.setattr(
        uploads, "settings", lambda: UploadSettings(upload_token_key=KEY, upload_token_certificate=CERTIFICATE)
    )
    monkeypatch.setattr(disk_report, "UPLOAD_PORT", place.kubelet.upload_port)
    monkeypatch.setattr(uploads, "READY_SECONDS", 2)
    house = House(place.api, None)  # type: ignore[arg-type]
    app = web.Application()

    def serve(answer: Any) -> Any:
        async def handler(request: web.Request) -> web.StreamResponse:
            try:
                return await answer(request, house)  # type: ignore[no-any-return]
            except Exception as error:
                refusal = translated(request, error)
                return web.json_response(refusal.status, status=refusal.code)

        return handler

    for route in uploads.TOPIC:
        path = route.path if isinstance(route, Open) else TOKENS
        app.router.add_route(route.method, path, serve(route.answer))  # type: ignore[union-attr]
    async with TestClient(TestServer(app)) as client:
        yield client


async def token_for(gateway: Client, place: Place, name: str) -> str:  # noqa: F811
    async with gateway.post(f"/tokens/{place.namespace}", json={"spec": {"pvcName": name}}) as answer:
        body = await answer.json()
        assert answer.status == 201, body
        return str(body["status"]["token"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def pieces(data: bytes, pause: float = 0) -> AsyncIterator[bytes]:
    for at in range(0, len(data), MIB):
        yield data[at : at + MIB]
        await asyncio.sleep(pause)


@pytest.mark.parametrize("path", ["/v1beta1/upload", "/v1beta1/upload-async", "/v1alpha1/upload"])
async def test_upload(gateway: Client, place: Place, path: str) -> None:  # noqa: F811
    await place.create("disk", {"upload": {}})
    await place.until("disk", "UploadReady")
    token = await token_for(gateway, place, "disk")
    async with gateway.head(path) as probe:
        assert probe.status == 200
    async with gateway.post(path, data=io.BytesIO(gzip.compress(DISK, 1)), headers=bearer(token)) as answer:
        assert answer.status == 200, await answer.text()
    status = await place.until("disk", "Succeeded")
    assert status["progress"] == "100.0%"
    assert place.disk("disk") == DISK + bytes(2 * MIB)
    async with gateway.post(path, data=b"again", headers=bearer(token)) as answer:
        assert answer.status == 409


async def test_who_may_not(gateway: Client, place: Place) -> None:  # noqa: F811
    made = await place.create("disk", {"upload": {}})
    await place.create("other", {"blank": {}})
    await place.until("disk", "UploadReady")
    grant = Grant(place.namespace, "disk", made["metadata"]["uid"])
    stranger, _ = make()
    old = datetime.now(UTC) - timedelta(minutes=10)
    for headers, status in (
        ({}, 400),
        ({"Authorization": "Basic x"}, 401),
        (bearer("nonsense"), 401),
        (bearer(sign(grant, stranger)), 401),
        (bearer(sign(grant, KEY, old)), 401),
        (bearer(sign(Grant(place.namespace, "other", "u"), KEY)), 503),
        (bearer(sign(Grant("elsewhere", "disk", grant.uid), KEY)), 503),
    ):
        async with gateway.post("/v1beta1/upload", data=b"x", headers=headers) as answer:
            assert answer.status == status, (headers, await answer.text())
    for body, status in (({}, 400), ({"spec": {"pvcName": "none"}}, 404), ({"spec": {"pvcName": "other"}}, 400)):
        async with gateway.post(f"/tokens/{place.namespace}", json=body) as answer:
            assert answer.status == status, await answer.text()
    # the worker itself asks, too
    url = f"https://127.0.0.1:{place.kubelet.upload_port}/v1beta1/upload"
    async with aiohttp.ClientSession() as session:
        for headers in ({}, bearer(sign(Grant(place.namespace, "disk", "another"), KEY))):
            async with session.post(url, data=b"x", headers=headers, ssl=False) as answer:
                assert answer.status == 401


async def test_broken_off_and_again(gateway: Client, place: Place) -> None:  # noqa: F811
    """A connection that breaks leaves the worker waiting; a second upload beside the first is told to wait."""
    await place.create("disk", {"upload": {}})
    await place.until("disk", "UploadReady")
    headers = bearer(await token_for(gateway, place, "disk"))
    first = asyncio.create_task(_post(gateway, pieces(DISK, 10), headers))
    disk = place.kubelet.volume("disk") / "disk.img"
    async with asyncio.timeout(60):
        while not (disk.exists() and disk.stat().st_blocks):  # noqa: ASYNC110 - its first piece has come
            await asyncio.sleep(0.1)
        # nobody knows how long it is, and it is told from one that only waits all the same
        while (await place.status("disk"))["progress"] == "N/A":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert await _post(gateway, pieces(b"second"), headers) == 503
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    async with asyncio.timeout(60):
        while (status := await _post(gateway, pieces(DISK), headers)) != 200:
            assert status == 503
            await asyncio.sleep(0.3)
    await place.until("disk", "Succeeded")
    assert place.disk("disk") == DISK + bytes(2 * MIB)


async def test_what_is_no_disk(gateway: Client, place: Place) -> None:  # noqa: F811
    await place.create("disk", {"upload": {}})
    await place.until("disk", "UploadReady")
    headers = bearer(await token_for(gateway, place, "disk"))
    async with gateway.post("/v1beta1/upload", data=b"KDMV" + bytes(1000), headers=headers) as answer:
        assert answer.status == 400
        assert "the source is vmdk" in await answer.text()
    await place.until("disk", "Failed")
    assert (await place.condition("disk", "Running"))["reason"] == "FormatNotSupported"


async def _post(gateway: Client, data: AsyncIterator[bytes], headers: dict[str, str]) -> int:
    async with gateway.post("/v1beta1/upload", data=data, headers=headers) as answer:
        await answer.read()
        return answer.status
