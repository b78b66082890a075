"""The Secrets and the trust of the API server are made, mended and kept."""

import asyncio
from base64 import b64decode
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from controllers import certificates
from controllers.certificates import injections, keep, secrets
from hostler.api.objects import (
    APIService,
    MutatingWebhookConfiguration,
    Secret,
    SelfSubjectReview,
    ValidatingWebhookConfiguration,
)
from hostler.runtime.certificates import Holding
from hostler.runtime.store import Store
from tests.unit.hostler.runtime.fake_kube import FakeKube

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
META = {"name": "x", "uid": "u", "resourceVersion": "1"}


async def test_secrets_are_made_once_and_mended() -> None:
    kube = FakeKube()
    bundle = await secrets(kube, "hostler", NOON)
    assert kube.names(Secret) == sorted(["hostler-ca", *(f"hostler-{p}-tls" for p in certificates.PROCESSES)])
    made = len(kube.writes())
    assert await secrets(kube, "hostler", NOON) == bundle
    assert len(kube.writes()) == made

    await kube.patch(Secret, "hostler", "hostler-gateway-tls", {"data": {"tls.key": "broken"}})
    await kube.vanish(Secret, "hostler", "hostler-agent-tls")
    await secrets(kube, "hostler", NOON)
    for name in ("hostler-gateway-tls", "hostler-agent-tls"):
        held = Holding.read((await kube.get(Secret, "hostler", name))["data"])
        assert held is not None
        assert held.bundle == bundle


@pytest.mark.parametrize(
    ("each", "paths"),
    [
        pytest.param(APIService.read({"metadata": META, "spec": {"service": None}}), [], id="served by the server"),
        pytest.param(
            APIService.read({"metadata": META, "spec": {"service": {"name": "a", "namespace": "b"}}}),
            ["/spec/caBundle"],
            id="APIService",
        ),
        pytest.param(
            ValidatingWebhookConfiguration.read(
                {
                    "metadata": META,
                    "webhooks": [
                        {"name": "a", "clientConfig": {"caBundle": "new"}},
                        {"name": "b", "clientConfig": {"service": {}}},
                    ],
                }
            ),
            ["/webhooks/1/name", "/webhooks/1/clientConfig/caBundle"],
            id="one of two webhooks",
        ),
        pytest.param(MutatingWebhookConfiguration.read({"metadata": META}), [], id="no webhook"),
    ],
)
def test_injections(each: Any, paths: list[str]) -> None:
    assert [op["path"] for op in injections(each, "new")] == paths


class Patching(FakeKube):
    """Knows the one JSON patch that is needed here, and who asks."""

    user = "system:serviceaccount:hostler:hostler-manager"

    async def create(self, kind: Any, namespace: Any, body: Any) -> Any:
        if kind is SelfSubjectReview:
            return {"status": {"userInfo": {"username": self.user, "uid": "account"}}}
        return await super().create(kind, namespace, body)

    async def patch(self, kind: Any, namespace: Any, name: str, patch: Any, subresource: Any = None) -> Any:
        if isinstance(patch, list):
            patch = {"spec": {"caBundle": patch[0]["value"]}}
        return await super().patch(kind, namespace, name, patch, subresource)


OWNER = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "hostler-manager", "uid": "account"}


@pytest.mark.parametrize(
    ("user", "owner"),
    [
        pytest.param("system:serviceaccount:hostler:hostler-manager", OWNER, id="its service account"),
        pytest.param("system:serviceaccount:elsewhere:hostler-manager", None, id="of another namespace: no owner"),
        pytest.param("admin", None, id="a person"),
    ],
)
async def test_who_asks_owns_them(user: str, owner: Any) -> None:
    kube = Patching()
    kube.user = user
    assert await certificates.account(kube, "hostler") == owner


async def test_secrets_go_with_their_owner() -> None:
    """Also those that an earlier version made, which had none; and nothing is written twice for it."""
    kube = FakeKube()
    bundle = await secrets(kube, "hostler", NOON)
    assert await secrets(kube, "hostler", NOON, OWNER) == bundle
    for name in kube.names(Secret):
        assert (await kube.get(Secret, "hostler", name))["metadata"]["ownerReferences"] == [OWNER]
    before = len(kube.writes())
    await secrets(kube, "hostler", NOON, OWNER)
    assert len(kube.writes()) == before


async def test_it_ends_when_it_is_told_to_in_the_moment_of_news(monkeypatch: pytest.MonkeyPatch) -> None:
    stores: list[Store] = []

    class Known(Store):
        def __init__(self) -> None:
            super().__init__()
            stores.append(self)

    monkeypatch.setattr(certificates, "Store", Known)
    task = asyncio.create_task(keep(Patching(), "hostler", lambda: NOON))
    await asyncio.sleep(0.2)
    service = {"metadata": META | {"name": "v1.x"}, "spec": {"service": {"name": "a", "namespace": "b"}}}
    stores[0].observe(APIService, service)
    await asyncio.sleep(0)  # who waits for the news has it, and nobody has heard of that
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=5)
    assert done


async def test_an_api_service_that_comes_later_is_trusted() -> None:
    kube = Patching()
    task = asyncio.create_task(keep(kube, "hostler", lambda: NOON))
    await asyncio.sleep(0.2)
    meta = {"name": "v1.x", "labels": {"hostler.io/inject-ca": "true"}}
    await kube.create(APIService, None, {"metadata": meta, "spec": {"service": {"name": "a", "namespace": "b"}}})
    async with asyncio.timeout(30):
        while "caBundle" not in (await kube.get(APIService, None, "v1.x"))["spec"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    bundle = (await kube.get(APIService, None, "v1.x"))["spec"]["caBundle"]
    assert b64decode(bundle).startswith(b"-----BEGIN CERTIFICATE-----")
