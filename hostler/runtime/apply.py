"""Carries out plans: actions first, then the status; the events after what they are about."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Protocol

from hostler.api.meta import Model, Resource
from hostler.runtime.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound
from hostler.runtime.events import Recorder
from hostler.runtime.pace import TokenBucket
from hostler.runtime.plan import Action, AnyController, Create, Delete, Event, Failure, Patch, Plan, Send
from hostler.runtime.protocol import Kind, Kube, Ops, Raw
from hostler.runtime.store import Store

MOST_AT_ONCE = 64
REFUSALS = (Forbidden, Invalid, AlreadyExists)  # of a create: worth telling the user; all else is worth another try
COURTESY_RATE, COURTESY_BURST = 2, 20
FINAL = ("Succeeded", "Failed")  # phases after which nobody plans

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of a plan."""

    failures: tuple[Failure, ...] = ()
    postponed: bool = False  # the status was only a courtesy, and there is no time for it now
    requeue_after: float | None = None  # seconds, when something failed: what else the clock brings


class Sender(Protocol):
    """Brings tasks to workers."""

    async def send(self, task: Send) -> None:
        """Raises Retry while nobody takes tasks."""
        ...


class Applier:
    """Writes to the API server, and lets the Store see each answer at once."""

    def __init__(
        self,
        kube: Kube,
        store: Store,
        recorder: Recorder,
        courtesy: TokenBucket | None = None,
        sender: Sender | None = None,
    ) -> None:
        self._kube = kube
        self._store = store
        self._recorder = recorder
        self._sender = sender
        self._courtesy = courtesy or TokenBucket(COURTESY_RATE, COURTESY_BURST)

    async def apply(self, controller: AnyController, parent: Resource, plan: Plan, now: datetime) -> Outcome:
        """Carry out a plan; refused creates are reported by the controller, other errors are raised."""
        failures = await self._act(parent, plan.actions)
        if failures:
            plan = controller.failed(parent, plan, failures[0], now)
        if plan.actions:  # they are done, even if the status is refused
            self._tell(parent, plan)
        postponed = await self._write_status(controller, parent, plan)
        if not plan.actions:
            self._tell(parent, plan)
        return Outcome(failures, postponed, plan.requeue_after if failures else None)

    def _tell(self, parent: Resource, plan: Plan) -> None:
        for event in plan.events:
            self._recorder.record(parent, event)

    def _complain(self, parent: Resource, batch: Sequence[Action], results: Sequence[BaseException | None]) -> None:
        """What no controller reports, as of a policy against deletes: it is tried again and again, and must be seen."""
        for action, result in zip(batch, results, strict=True):
            if isinstance(result, Forbidden | Invalid) and not isinstance(result, refusals(action)):
                reason = "FailedDelete" if isinstance(action, Delete) else "FailedUpdate"
                self._recorder.record(parent, Event(reason, f"{action} failed error: {result}", "Warning"))

    async def _act(self, parent: Resource, actions: Sequence[Action]) -> tuple[Failure, ...]:
        """All actions in order, those of one sort side by side: 1, then 2, 4, 8, ... until one is refused.

        What is of another kind is of another sort: a disk is there before the guest that is to have it.
        """
        told: tuple[Failure, ...] = ()
        for _, group in groupby(actions, sort):
            rest, size = tuple(group), 1
            while rest:
                batch, rest = rest[:size], rest[size:]
                results = await asyncio.gather(*map(self._one, batch), return_exceptions=True)
                self._complain(parent, batch, results)
                failures = _failures(batch, results)
                told += failures
                if not all(isinstance(each.action, Create | Patch) and each.action.alone for each in failures):
                    return told
                size = min(size * 2, MOST_AT_ONCE)
        return told

    async def _one(self, action: Action) -> None:
        match action:
            case Create():
                await self._create(action)
            case Delete():
                await self._delete(action)
            case Patch():
                await self._patch(action)
            case Send():
                if self._sender is None:
                    raise RuntimeError(f"nobody here sends tasks: {action}")
                await self._sender.send(action)
        log.info(str(action), extra={"namespace": place(action)})

    async def _create(self, create: Create) -> None:
        meta = create.body["metadata"]
        try:
            answer = await self._kube.create(create.kind, meta["namespace"], create.body)
        except AlreadyExists:
            if create.blind:
                return
            answer = await self._kube.get(create.kind, meta["namespace"], meta["name"])
            if _controller(answer["metadata"]) != _controller(meta):
                raise
        if not create.blind:
            self._store.observe(create.kind, answer)

    async def _delete(self, delete: Delete) -> None:
        meta, kind = delete.target.metadata, type(delete.target)
        try:
            answer = await self._kube.delete(kind, meta.namespace, meta.name, uid=meta.uid, grace=delete.grace)
        except (NotFound, Conflict):  # gone, or another one has its name now
            self._store.remove(kind, (meta.namespace, meta.name), meta.uid)
            return
        if answer.get("metadata", {}).get("uid") == meta.uid:
            self._store.observe(kind, answer)  # it is ending

    async def _patch(self, action: Patch) -> None:
        if action.alive is not None:
            owner = action.alive.metadata
            seen = (await self._kube.get(type(action.alive), owner.namespace, owner.name))["metadata"]
            if seen["uid"] != owner.uid or seen.get("deletionTimestamp"):
                raise Conflict(409, "OwnerEnding", f"{owner.name} is being deleted")
        meta, kind = action.target.metadata, type(action.target)
        answer = await self._kube.patch(kind, meta.namespace, meta.name, guarded(action), action.subresource)
        self._store.observe(kind, answer)

    async def _write_status(self, controller: AnyController, parent: Resource, plan: Plan) -> bool:
        """Write what differs, if anything does; True if it was put off."""
        difference = changes(getattr(parent, "status", None), plan.status or {})
        if not difference:
            return False
        if plan.courtesy and not self._courtesy.take():
            return True
        meta, kind = parent.metadata, type(parent)
        patch: Raw = {"status": difference}
        if controller.subresource is None or controller.shared_status or difference.get("phase") in FINAL:
            # Others write to this status too, and lists are replaced as a whole. And a last word must not be said of
            # a new object of that name: it would never begin, while any other word is mended by the next plan.
            patch["metadata"] = {"resourceVersion": meta.resource_version}
        answer = await self._kube.patch(kind, meta.namespace, meta.name, patch, controller.subresource)
        self._store.observe(kind, answer)
        log.info(
            "status",
            extra={"kind": kind.kind(), "object": f"{meta.namespace}/{meta.name}", "set": ",".join(difference)},
        )
        return False


def guarded(action: Patch) -> Raw | Ops:
    """The patch with its precondition."""
    meta = action.target.metadata
    if isinstance(action.patch, list):
        return [{"op": "test", "path": "/metadata/uid", "value": meta.uid}, *action.patch]
    precondition = {"resourceVersion": meta.resource_version}
    return action.patch | {"metadata": precondition | action.patch.get("metadata", {})}


def changes(current: Model | None, wanted: Raw) -> Raw:
    """The fields of `wanted` that are not so yet, as a merge patch."""
    have = current.model_dump(mode="json", by_alias=True, exclude_unset=True) if current is not None else {}
    return {key: value for key, value in wanted.items() if have.get(key) != value}


def sort(action: Action) -> tuple[type[Action], Kind | None]:
    return type(action), action.kind if isinstance(action, Create) else None


def place(action: Action) -> str:
    """The namespace that an action changes."""
    match action:
        case Create():
            return str(action.body["metadata"]["namespace"])
        case Delete() | Patch():
            return action.target.metadata.namespace
        case Send():
            return action.about.metadata.namespace


def refusals(action: Action) -> tuple[type[ApiError], ...]:
    """The answers that are worth telling the user."""
    if isinstance(action, Create):
        return REFUSALS
    return (Forbidden, Invalid) if isinstance(action, Patch) and (action.subresource or action.alone) else ()


def _failures(batch: Sequence[Action], results: Sequence[BaseException | None]) -> tuple[Failure, ...]:
    failures: list[Failure] = []
    for action, result in zip(batch, results, strict=True):
        if isinstance(result, refusals(action)):
            failures.append(Failure(action, result))
        elif result is not None and not isinstance(result, ApiError):
            raise result
    if not failures and (errors := [result for result in results if result is not None]):
        raise errors[0]
    return tuple(failures)


def _controller(meta: Raw) -> str | None:
    return next((ref["uid"] for ref in meta.get("ownerReferences", ()) if ref.get("controller")), None)
