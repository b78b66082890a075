"""Leader election by a Lease: of several equal processes one works, and never two at a time.

Not kubernetes.aio's: that one never looks at the task it started, compares wall clocks of different machines, keeps the
lease for its whole duration after a clean exit, and loads the client's models for it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from hostler.api.objects import Lease
from hostler.runtime import metrics
from hostler.runtime.errors import ApiError, Conflict, Error, NotFound
from hostler.runtime.protocol import Kube, Raw

DURATION, DEADLINE, PERIOD = 15.0, 10.0, 2.0  # seconds: as Kubernetes' own controllers

log = logging.getLogger(__name__)


class LeaseLost(Error):
    """Another process may lead now: stop at once."""


class Election:
    """One candidate for one Lease."""

    def __init__(  # noqa: PLR0913
        self,
        kube: Kube,
        namespace: str,
        name: str,
        identity: str,
        *,
        duration: float = DURATION,
        deadline: float = DEADLINE,
        period: float = PERIOD,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._place = (namespace, name)
        self._identity = identity
        self._duration, self._deadline, self._period = duration, deadline, period
        self._clock = clock
        self._seen = ("", 0.0)  # the last resourceVersion of another's lease, and when we first saw it
        self._version = ""  # of our own
        self._renewed = 0.0  # when we began the last write of ours that succeeded: nobody may take over before

    async def acquire(self) -> None:
        """Return once we lead; however long that takes."""
        log.info("waiting to lead", extra={"lease": "/".join(self._place), "identity": self._identity})
        while not (await self._try() and self._left() > self._deadline / 2):  # noqa: ASYNC110
            await asyncio.sleep(self._period)
        metrics.LEADER.set(1)
        log.info("leading", extra={"lease": "/".join(self._place), "identity": self._identity})

    async def keep(self) -> None:
        """Renew until cancelled; raises LeaseLost before anybody else may take over."""
        why = "this process stood still"
        while True:
            await asyncio.sleep(max(0.0, min(self._period, self._left())))
            if (left := self._left()) <= 0:
                raise LeaseLost(f"not renewed for {self._deadline:.0f} s: {why}")
            try:
                async with asyncio.timeout(min(self._period * 2, left)):
                    if not await self._renew():
                        raise LeaseLost("another process holds the lease")
            except (ApiError, TimeoutError) as error:
                why = repr(error)
                log.warning("lease not renewed", extra={"error": why})

    def _left(self) -> float:
        """Seconds for which we may lead without another write."""
        return self._renewed + self._deadline - self._clock()

    async def release(self) -> None:
        """Let the next one lead at once; best effort."""
        metrics.LEADER.set(0)
        if self._version:
            try:
                await self._patch(self._version, {"holderIdentity": "", "leaseDurationSeconds": 1})
            except ApiError as error:
                log.info("lease not released", extra={"error": str(error)})

    async def _try(self) -> bool:
        try:
            lease = Lease.model_validate(await self._kube.get(Lease, *self._place))
        except NotFound:
            return await self._create()
        except ApiError as error:
            log.warning("cannot read the lease", extra={"error": str(error)})
            return False
        version, holder = lease.metadata.resource_version, lease.spec.holder_identity
        if version != self._seen[0]:
            self._seen = (version, self._clock())
        if holder and holder != self._identity and self._clock() - self._seen[1] < lease.spec.lease_duration_seconds:
            return False
        spec = self._spec() | {"acquireTime": _now(), "leaseTransitions": lease.spec.lease_transitions + 1}
        return await self._take(version, spec)

    async def _create(self) -> bool:
        namespace, name = self._place
        body = {"metadata": {"name": name, "namespace": namespace}, "spec": self._spec() | {"acquireTime": _now()}}
        at = self._clock()
        try:
            self._version = (await self._kube.create(Lease, namespace, body))["metadata"]["resourceVersion"]
        except ApiError as error:
            log.info("cannot create the lease", extra={"error": str(error)})
            return False
        self._renewed = at
        return True

    async def _take(self, version: str, spec: Raw) -> bool:
        try:
            await self._patch(version, spec)
        except ApiError as error:
            log.info("cannot take the lease", extra={"error": str(error)})
            return False
        return True

    async def _renew(self) -> bool:
        """False if somebody else wrote to our lease."""
        try:
            await self._patch(self._version, self._spec())
        except (Conflict, NotFound):
            # our own renewal whose answer was lost also ends here: nobody knows when it was written, so once more
            lease = Lease.model_validate(await self._kube.get(Lease, *self._place))
            ours = lease.spec.holder_identity == self._identity
            self._version = lease.metadata.resource_version if ours else ""  # never release what another holds
            if ours:
                await self._patch(self._version, self._spec())
            return ours
        return True

    async def _patch(self, version: str, spec: Raw) -> None:
        patch = {"metadata": {"resourceVersion": version}, "spec": spec}
        at = self._clock()
        answer = await self._kube.patch(Lease, *self._place, patch)
        self._renewed = at
        self._version = answer["metadata"]["resourceVersion"]

    def _spec(self) -> Raw:
        return {"holderIdentity": self._identity, "leaseDurationSeconds": int(self._duration), "renewTime": _now()}


async def lead(election: Election, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work while leading; when it ends, or the lease is lost, so does this."""
    await election.acquire()
    task = asyncio.ensure_future(work())
    keep = asyncio.create_task(election.keep(), name="lease")
    try:
        done, _ = await asyncio.wait((task, keep), return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        for each in (task, keep):
            each.cancel()
        # nobody else may lead before the last write of ours is over
        await asyncio.gather(task, keep, return_exceptions=True)
        await election.release()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
