"""What a process makes of a Secret that is not as the manager writes it."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from hostler.api.objects import Secret
from hostler.runtime import names, tls
from hostler.runtime.tls import Credentials
from tests.unit.hostler.runtime.fake_kube import FakeKube


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(None, id="nothing"),
        pytest.param({"tls.crt": "eA==", "tls.key": "eA=="}, id="no authority"),
        pytest.param({"tls.crt": "?", "tls.key": "eA==", "ca.crt": "eA=="}, id="no base64"),
        pytest.param({"tls.crt": "eA==", "tls.key": "eA==", "ca.crt": "eA=="}, id="no certificate"),
    ],
)
@pytest.mark.parametrize("what", ["load", "keep"])
async def test_it_waits_until_it_is_mended(monkeypatch: pytest.MonkeyPatch, what: str, data: Any) -> None:
    kube = FakeKube()
    await kube.create(Secret, "hostler", {"metadata": {"name": names.tls_secret("agent")}, "data": data})
    monkeypatch.setattr(tls, "AGAIN", 0.01)
    monkeypatch.setattr(tls, "RENEW", 0.01)
    task = asyncio.create_task(getattr(Credentials(kube, "hostler", "agent"), what)())
    async with asyncio.timeout(30):
        while len(kube.calls) < 5:
            assert not task.done(), task.exception()
            await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
