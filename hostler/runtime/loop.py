"""Brings a controller to life: changes -> keys -> visits -> plans -> writes."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from hostler.api.meta import Resource
from hostler.runtime import metrics
from hostler.runtime.apply import Applier, Outcome
from hostler.runtime.errors import ApiError, Conflict, NotFound, Retry, Terminal
from hostler.runtime.pause import Pause
from hostler.runtime.plan import AnyController, Failure, Plan
from hostler.runtime.protocol import Kind
from hostler.runtime.queue import WorkQueue
from hostler.runtime.store import Key, Store

POSTPONED = 5.0  # seconds until a courtesy is tried again

log = logging.getLogger(__name__)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Loop:
    """The workers of one controller."""

    def __init__(
        self,
        controller: AnyController,
        store: Store,
        applier: Applier,
        clock: Callable[[], datetime] = utc_now,
        *,
        pause: Pause | None = None,
    ) -> None:
        self.controller = controller
        self._pause = pause
        self.queue: WorkQueue[Key] = WorkQueue(controller.name, controller.pace)
        self._store = store
        self._applier = applier
        self._clock = clock
        self._seconds = metrics.RECONCILE.labels(controller.name)
        self._costs: dict[Key, float] = {}  # processor seconds that the plan of a visit took, where visits are paced
        self._processor = time.thread_time if controller.pace else float  # a call of the system, and most are not
        store.subscribe(self._heard)
        if pause is not None:
            pause.on_resume(self._resume)

    async def run(self) -> None:
        """Visit until cancelled."""
        async with asyncio.TaskGroup() as workers:
            for number in range(self.controller.workers):
                workers.create_task(self._work(), name=f"{self.controller.name}-{number}")

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                with self._seconds.time():
                    await self._visit(key)
            finally:
                self.queue.done(key, self._costs.pop(key, 0.0))

    async def _visit(self, key: Key) -> None:
        parent = self._store.get(self.controller.parent, key)
        if parent is None:
            self.queue.drop(key)
            return
        if self._pause is not None and self._pause.holds(key[0]):
            return  # it is visited when that ends
        try:
            plan, outcome = await self._reconcile(parent)
        except Retry as error:
            log.info("later", extra=self._fields(key, error))
            self.queue.add(key, error.after)
        except (Conflict, NotFound) as error:
            log.debug("changed meanwhile", extra=self._fields(key, error))
            self.queue.retry(key)
        except ApiError as error:
            metrics.RECONCILE_ERRORS.labels(self.controller.name, "api").inc()
            log.warning("API server", extra=self._fields(key, error) | {"again_in": f"{self.queue.retry(key):.1f}s"})
        except Exception as error:
            # a bug: this object waits, the others go on
            metrics.RECONCILE_ERRORS.labels(self.controller.name, "bug").inc()
            log.exception("bug", extra=self._fields(key, error))
            self.queue.retry(key)
        else:
            self._after(key, plan, outcome)

    async def _reconcile(self, parent: Resource) -> tuple[Plan, Outcome]:
        now, key = self._clock(), (parent.metadata.namespace, parent.metadata.name)
        began = self._processor()
        try:
            plan = self.controller.plan(parent, self.controller.look(self._store, parent), now)
        except Terminal as error:
            # no use to try again before the object changes
            plan = self.controller.failed(parent, Plan(), Failure(None, error), now)
            log.warning("refused", extra=self._fields(key, error))
        self._costs[key] = self._processor() - began
        return plan, await self._applier.apply(self.controller, parent, plan, now)

    def _after(self, key: Key, plan: Plan, outcome: Outcome) -> None:
        if outcome.failures:
            failure = outcome.failures[0]
            pause = self.queue.retry(key)
            if outcome.requeue_after is not None:
                self.queue.add(key, outcome.requeue_after, paced=False)
            log.warning(
                f"refused: {failure.action}", extra=self._fields(key, failure.error) | {"again_in": f"{pause:.1f}s"}
            )
            return
        self.queue.forgive(key)
        if outcome.postponed:
            self.queue.add(key, POSTPONED, paced=False)
        if plan.requeue_after is not None:
            self.queue.add(key, plan.requeue_after, paced=False)

    def _heard(self, kind: Kind, before: Resource | None, after: Resource | None) -> None:
        """Something changed in the Store: who must be visited?"""
        controller = self.controller
        for obj in (before, after):
            if obj is None:
                continue
            if kind is controller.parent:
                self.queue.add((obj.metadata.namespace, obj.metadata.name))
            elif kind not in controller.children and kind not in controller.others:
                return
            elif (owner := obj.metadata.controller) and owner.kind == controller.parent.kind():
                self.queue.add((obj.metadata.namespace, owner.name))
            for key in controller.concerns(obj, self._store):
                self.queue.add(key)

    def _resume(self, namespace: str | None) -> None:
        """A pause has ended: whatever happened meanwhile, each object is looked at."""
        for parent in self._store.all(self.controller.parent):
            if namespace in (None, parent.metadata.namespace):
                self.queue.add((parent.metadata.namespace, parent.metadata.name))

    def _fields(self, key: Key, error: Exception) -> dict[str, object]:
        return {"kind": self.controller.parent.kind(), "object": "/".join(key), "error": str(error)}


class Heartbeat:
    """Tells the liveness probe whether the event loop still turns."""

    def __init__(self) -> None:
        self._at = time.monotonic()

    async def run(self) -> None:
        while True:
            self._at = time.monotonic()
            await asyncio.sleep(5)

    @property
    def age(self) -> float:
        return time.monotonic() - self._at
