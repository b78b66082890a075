"""Keeps the authority and the processes' certificates in Secrets, and tells the API server whom of us to trust.

Secrets, in the namespace of the installation: `hostler-ca` (only we read it) and `hostler-PROCESS-tls`, each with
tls.crt, tls.key and ca.crt. Our service account owns them, so they go when Helm removes it with the release.
APIServices and webhook configurations labelled `hostler.io/inject-ca: "true"` get ca.crt as their caBundle.
"""

import asyncio
import logging
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial

from hostler.api.meta import Resource
from hostler.api.objects import (
    APIService,
    MutatingWebhookConfiguration,
    Secret,
    SelfSubjectReview,
    ValidatingWebhookConfiguration,
)
from hostler.runtime import certificates, names
from hostler.runtime.certificates import Holding, Leaf
from hostler.runtime.errors import ApiError, Forbidden, NotFound
from hostler.runtime.loop import utc_now
from hostler.runtime.protocol import Kube, Raw
from hostler.runtime.reflector import Reflector
from hostler.runtime.store import Store

AUTHORITY = "hostler-ca"
INJECT = "hostler.io/inject-ca=true"
LOOK = 300.0  # seconds between looks at the Secrets
AGAIN = 2.0  # seconds after which what failed is tried again
PROCESSES = ("agent", "gateway", "manager", "migration", "fencing", "v2v")  # each may have a Service hostler-PROCESS
INJECTED = (APIService, ValidatingWebhookConfiguration, MutatingWebhookConfiguration)
WebhookConfiguration = ValidatingWebhookConfiguration | MutatingWebhookConfiguration

log = logging.getLogger(__name__)


async def keep(kube: Kube, namespace: str, clock: Callable[[], datetime] = utc_now, *, injects: bool = True) -> None:
    """Until cancelled. On top of KubeVirt nothing is labelled for us: the API server asks nobody of ours."""
    news = asyncio.Event()
    store = Store()
    store.subscribe(lambda *_: news.set())
    async with asyncio.TaskGroup() as tasks:
        for kind in INJECTED if injects else ():
            tasks.create_task(Reflector(kube, kind, store, labels=INJECT).run(), name=f"reflect {kind.plural}")
        while True:
            news.clear()
            pause = LOOK
            try:
                bundle = await secrets(kube, namespace, clock(), await account(kube, namespace))
                await _inject(kube, store, bundle)
            except ApiError as error:
                log.warning("certificates", extra={"error": str(error)})
                pause = AGAIN
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await news.wait()


async def account(kube: Kube, namespace: str) -> Raw | None:
    """Our service account, as an owner; None for a person, who runs us by hand."""
    with suppress(Forbidden):  # only where somebody took from all what the API server lets all ask
        user = (await kube.create(SelfSubjectReview, None, {"metadata": {}}))["status"]["userInfo"]
        prefix = f"system:serviceaccount:{namespace}:"
        if user["username"].startswith(prefix):
            name = user["username"].removeprefix(prefix)
            return {"apiVersion": "v1", "kind": "ServiceAccount", "name": name, "uid": user["uid"]}
    return None


async def secrets(kube: Kube, namespace: str, now: datetime, owner: Raw | None = None) -> bytes:
    """Make or renew what is missing or old; the authorities to trust."""

    async def keep(name: str, wanted: Callable[[Holding | None], Holding]) -> Holding:
        known = await _read(kube, namespace, name)
        held = Holding.read(known.get("data") or {})
        holding = wanted(held)
        if holding != held or not owned(known, owner):
            await _write(kube, namespace, name, holding, owner)
        return holding

    ca = await keep(AUTHORITY, partial(certificates.authority, now=now))
    for process in PROCESSES:
        of = Leaf(process, hosts(process, namespace))
        await keep(names.tls_secret(process), partial(certificates.leaf, of=of, ca=ca, now=now))
    return ca.bundle


def owned(secret: Raw, owner: Raw | None) -> bool:
    return owner is None or owner in secret.get("metadata", {}).get("ownerReferences", [])


def hosts(process: str, namespace: str) -> tuple[str, ...]:
    """The names of a process's Service."""
    service = f"{names.common_name(process)}.{namespace}.svc"
    return service, f"{service}.cluster.local"


async def _read(kube: Kube, namespace: str, name: str) -> Raw:
    try:
        return await kube.get(Secret, namespace, name)
    except NotFound:
        return {}


async def _write(kube: Kube, namespace: str, name: str, holding: Holding, owner: Raw | None) -> None:
    meta: Raw = {"ownerReferences": [owner]} if owner else {}
    try:
        await kube.patch(Secret, namespace, name, {"metadata": meta, "data": holding.data})
    except NotFound:
        labels = {"app.kubernetes.io/part-of": "hostler", "app.kubernetes.io/managed-by": "hostler-manager"}
        meta |= {"name": name, "labels": labels}
        await kube.create(Secret, namespace, {"metadata": meta, "type": "kubernetes.io/tls", "data": holding.data})
    log.info("certificate", extra={"secret": f"{namespace}/{name}"})


async def _inject(kube: Kube, store: Store, bundle: bytes) -> None:
    text = b64encode(bundle).decode()
    for kind in INJECTED:
        for each in store.all(kind):
            if ops := list(injections(each, text)):
                store.observe(kind, await kube.patch(kind, None, each.metadata.name, ops))
                log.info("caBundle", extra={"kind": kind.kind(), "object": each.metadata.name})


def injections(each: Resource, bundle: str) -> Iterator[Raw]:
    """JSON patch operations that make an object trust this bundle; none if it does."""
    if isinstance(each, APIService) and each.spec.service is not None and each.spec.ca_bundle != bundle:
        yield {"op": "add", "path": "/spec/caBundle", "value": bundle}
    for number, webhook in enumerate(each.webhooks if isinstance(each, WebhookConfiguration) else ()):
        if webhook.client_config.ca_bundle != bundle:
            # a list that was changed meanwhile is not the one we saw
            yield {"op": "test", "path": f"/webhooks/{number}/name", "value": webhook.name}
            yield {"op": "add", "path": f"/webhooks/{number}/clientConfig/caBundle", "value": bundle}
