"""Keeps a picture of one kind: LIST, then WATCH, and LIST again now and then, since only a listing is the truth."""

import asyncio
import logging
import random
from collections.abc import Iterator
from contextlib import aclosing
from typing import Protocol

from hostler.runtime import metrics
from hostler.runtime.errors import ApiError, Gone
from hostler.runtime.protocol import Kind, Kube, Raw

RESYNC = 300.0  # seconds between listings
PAUSES = (0.5, 1, 2, 4, 8, 15, 30)  # seconds before the next try, with jitter

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where a reflector puts what it sees; `store.Store` is one."""

    def observe(self, kind: Kind, raw: Raw) -> None:
        """An object as it is, or was: the newest resourceVersion wins."""
        ...

    def forget(self, kind: Kind, raw: Raw) -> None:
        """An object that is gone, as it was last."""
        ...

    def prune(self, kind: Kind, uids: set[str], version: str) -> None:
        """A listing at `version` had exactly these UIDs: what is older and not among them is gone."""
        ...


class Reflector:
    """One kind, in one namespace or in all, filtered by labels and fields, mirrored into a Sink."""

    def __init__(  # noqa: PLR0913
        self,
        kube: Kube,
        kind: Kind,
        sink: Sink,
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        resync: float = RESYNC,
    ) -> None:
        self.kind = kind
        self.synced = asyncio.Event()  # set once the first listing is in the sink
        self._kube = kube
        self._sink = sink
        self._scope = (namespace, labels, fields)
        self._resync = resync

    async def run(self) -> None:
        """Mirror until cancelled; whatever the API server does, it only waits and tries again."""
        pauses = back_off()
        while True:
            try:
                version = await self._list()
                pauses = back_off()
                async with asyncio.timeout(self._resync * random.uniform(0.9, 1.1)):  # noqa: S311
                    await self._follow(version)
            except TimeoutError:
                pass  # time for a new listing
            except Gone:
                log.info("watch is too old, listing again", extra={"resource": self.kind.plural})
                await asyncio.sleep(next(pauses))
            except ApiError as error:
                log.warning("cannot list", extra={"resource": self.kind.plural, "error": str(error)})
                await asyncio.sleep(next(pauses))

    async def _list(self) -> str:
        metrics.LISTS.labels(self.kind.plural).inc()
        uids: set[str] = set()
        version = ""
        async with aclosing(self._kube.pages(self.kind, *self._scope)) as pages:  # type: ignore[type-var]
            async for items, version in pages:  # noqa: B007
                for raw in items:
                    uids.add(raw["metadata"]["uid"])
                    self._sink.observe(self.kind, raw)
        self._sink.prune(self.kind, uids, version)
        self.synced.set()
        return version

    async def _follow(self, version: str) -> None:
        """Watch from a listing on, over as many connections as it takes; raises Gone when that cannot be."""
        pauses = back_off()
        while True:
            try:
                async with aclosing(self._kube.watch(self.kind, *self._scope, version)) as events:  # type: ignore[type-var]
                    async for event, raw in events:
                        version = raw["metadata"]["resourceVersion"]
                        pauses = back_off()
                        if event == "DELETED":
                            self._sink.forget(self.kind, raw)
                        elif event != "BOOKMARK":
                            self._sink.observe(self.kind, raw)
            except Gone:
                raise
            except ApiError as error:
                log.info("watch broke off", extra={"resource": self.kind.plural, "error": str(error)})
            await asyncio.sleep(next(pauses))


def back_off() -> Iterator[float]:
    """Seconds to wait before the first, second, ... new try."""
    for pause in PAUSES:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311
    while True:
        yield PAUSES[-1] * random.uniform(0.5, 1.0)  # noqa: S311
