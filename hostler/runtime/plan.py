"""What a planner decides: values that `apply` carries out."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from hostler.api.meta import Resource
from hostler.runtime.errors import ApiError, Terminal
from hostler.runtime.protocol import Kind, Ops, Raw
from hostler.runtime.store import Key, Store

P = TypeVar("P", bound=Resource)
S = TypeVar("S")

EVENTS_PER_SECOND = 2.0  # Normal ones of all objects, after a burst: what is more is not written


@dataclass(frozen=True)
class Create:
    """Make an object with a name that we chose; that it is there already, and ours, is success."""

    kind: Kind
    body: Raw
    blind: bool = False  # that it is there already is success, whoever made it: of a kind that we may not read
    alone: bool = False  # that it is refused is told, and no reason to leave out the actions after it

    def __str__(self) -> str:
        return f"create {self.kind.kind()} {self.body['metadata']['name']}"


@dataclass(frozen=True)
class Delete:
    """Delete this very object: one of the same name with another UID stays."""

    target: Resource
    grace: int | None = None  # seconds, in place of its own

    def __str__(self) -> str:
        return f"delete {self.target.kind()} {self.target.metadata.name}"


@dataclass(frozen=True)
class Patch:
    """A merge patch to an object as we know it: if it changed since, the patch is refused and the key planned anew.

    A list is a JSON patch, which is refused only if the object is another by now.
    """

    target: Resource
    patch: Raw | Ops
    why: str
    alive: Resource | None = None  # only if this object, asked for at that moment, still lives and is not being deleted
    subresource: str | None = None
    alone: bool = False  # that it is refused is worth telling, and no reason to leave out the actions after it

    def __str__(self) -> str:
        return f"{self.why} {self.target.kind()} {self.target.metadata.name}"


@dataclass(frozen=True)
class Send:
    """A task for a worker on a queue, about an object; the worker is told its namespace, name and UID, no more.

    It may be carried out twice, so the task must bear that.
    """

    queue: str
    task: str
    about: Resource

    def __str__(self) -> str:
        return f"send {self.task} {self.about.metadata.name} to {self.queue}"


Action = Create | Delete | Patch | Send

CREATED = "SuccessfulCreate"  # reason of an event


@dataclass(frozen=True)
class Event:
    """A line in the history that `kubectl describe` shows."""

    reason: str
    note: str
    type: Literal["Normal", "Warning"] = "Normal"


@dataclass(frozen=True)
class Plan:
    """What one visit to an object brings."""

    actions: tuple[Action, ...] = ()
    status: Raw | None = None  # the fields of the status that are ours; None: leave the status alone
    events: tuple[Event, ...] = ()  # told when all actions were carried out
    requeue_after: float | None = None  # seconds
    courtesy: bool = False  # the status is nice to know and may wait while there is much to do

    @property
    def events_but_creates(self) -> tuple[Event, ...]:
        """What may be told when a create was refused: nobody knows which of the others were made."""
        return tuple(each for each in self.events if each.reason != CREATED)


@dataclass(frozen=True)
class Failure:
    """What went wrong: an action that was refused, or a plan that could not be made."""

    action: Action | None
    error: ApiError | Terminal


def owner_reference(owner: Resource) -> Raw:
    """What a child that `owner` controls has in metadata.ownerReferences."""
    return {
        "apiVersion": owner.group_version,
        "kind": owner.kind(),
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def no_concern(_changed: Resource, _store: Store) -> Iterable[Key]:
    return ()


@dataclass(frozen=True)
class Controller(Generic[P, S]):
    """A kind and the pure functions that run it; all else is machinery.

    Every change of a `parent`, or of a child that it owns, brings a visit; `concerns` adds keys for other kinds.
    """

    name: str
    parent: type[P]
    children: tuple[Kind, ...]
    look: Callable[[Store, P], S]  # what the planner sees beside the parent
    plan: Callable[[P, S, datetime], Plan]
    failed: Callable[[P, Plan, Failure, datetime], Plan]  # status and events when something went wrong
    concerns: Callable[[Resource, Store], Iterable[Key]] = no_concern
    others: tuple[Kind, ...] = ()  # kinds that only `concerns` knows
    subresource: str | None = "status"  # where the status is written
    shared_status: bool = False  # others write to it, too: ours is refused, and planned anew, if they just did
    pace: float = 0.0  # seconds at least between two visits to one object
    workers: int = 8
    selectors: dict[Kind, str] = field(default_factory=dict)  # label selectors of what is watched


AnyController = Controller[Any, Any]
