"""Keeps the authority and the processes' certificates in Secrets, and tells the API server whom of us to trust.

Secrets, in the namespace of the installation: `hostler-ca` (only we read it) and `hostler-PROCESS-tls`, each with
tls.crt, tls.key and ca.crt. APIServices and webhook configurations labelled `hostler.io/inject-ca: "true"` get ca.crt
as their caBundle.
"""

import asyncio
import logging
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime

from hostler.api.meta import Resource
from hostler.api.objects import APIService, MutatingWebhookConfiguration, Secret, ValidatingWebhookConfiguration
from hostler.runtime import certificates, names
from hostler.runtime.certificates import Holding, Leaf
from hostler.runtime.errors import ApiError, NotFound
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
                await _inject(kube, store, await secrets(kube, namespace, clock()))
            except ApiError as error:
                log.warning("certificates", extra={"error": str(error)})
                pause = AGAIN
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), pause)


async def secrets(kube: Kube, namespace: str, now: datetime) -> bytes:
    """Make or renew what is missing or old; the authorities to trust."""
    held = await _read(kube, namespace, AUTHORITY)
    ca = certificates.authority(held, now)
    if ca != held:
        await _write(kube, namespace, AUTHORITY, ca, "authority")
    for process in PROCESSES:
        name = names.tls_secret(process)
        had = await _read(kube, namespace, name)
        leaf = certificates.leaf(had, Leaf(process, hosts(process, namespace)), ca, now)
        if leaf != had:
            await _write(kube, namespace, name, leaf, process)
    return ca.bundle


def hosts(process: str, namespace: str) -> tuple[str, ...]:
    """The names of a process's Service."""
    service = f"{names.common_name(process)}.{namespace}.svc"
    return service, f"{service}.cluster.local"


async def _read(kube: Kube, namespace: str, name: str) -> Holding | None:
    try:
        return Holding.read((await kube.get(Secret, namespace, name)).get("data") or {})
    except NotFound:
        return None


async def _write(kube: Kube, namespace: str, name: str, holding: Holding, what: str) -> None:
    try:
        await kube.patch(Secret, namespace, name, {"data": holding.data})
    except NotFound:
        labels = {"app.kubernetes.io/part-of": "hostler", "app.kubernetes.io/managed-by": "hostler-manager"}
        body: Raw = {"metadata": {"name": name, "labels": labels}, "type": "kubernetes.io/tls", "data": holding.data}
        await kube.create(Secret, namespace, body)
    log.info("certificate", extra={"secret": f"{namespace}/{name}", "of": what})


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
