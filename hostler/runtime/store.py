"""The picture of the cluster: typed objects, newest resourceVersion wins.

Fed by reflectors and by the answers of our own writes, so that a planner never overlooks what was just done.
"""

import logging
import marshal
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, KeysView
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from pydantic import ValidationError

from hostler.api.meta import Resource
from hostler.runtime import metrics
from hostler.runtime.protocol import Kind, Raw

Key = tuple[str, str]  # namespace, name
R = TypeVar("R", bound=Resource)
G = TypeVar("G")
K = TypeVar("K")
Listener = Callable[[Kind, Resource | None, Resource | None], None]  # kind, before, after
Names = Callable[[R], Iterable[str]]  # of what an object uses

TOMBSTONES = 20_000  # how many UIDs of the dead are kept, at most,
BURIED = 600.0  # and for how many seconds: no answer or watch event comes later than that

log = logging.getLogger(__name__)


class Shelf:
    """The objects of one kind, found by key, by owner and by namespace."""

    def __init__(self) -> None:
        self.objects: dict[Key, Resource] = {}
        self.owned: dict[str, dict[Key, None]] = {}  # controlling owner's UID -> keys, oldest first
        self.orphans: dict[str, dict[Key, None]] = {}  # namespace -> keys of objects without one
        self.names: dict[str, dict[str, None]] = {}  # namespace -> names
        self.users: dict[Names[Any], dict[Key, dict[Key, None]]] = {}  # by what was asked: used -> its users

    def using(self, names: Names[Any], used: Key) -> Iterable[Key]:
        """Indexed from the first question on."""
        if names not in self.users:
            self.users[names] = {}
            for key, obj in self.objects.items():
                self._enter(names, key, obj)
        return self.users[names].get(used, ())

    def put(self, key: Key, new: Resource | None) -> Resource | None:
        """Replace or remove; the object that was there."""
        old = self.objects.pop(key, None)
        if old is not None:
            discard(*self._family(key, old), key)
            discard(self.names, key[0], key[1])
            for names, users in self.users.items():
                for name in dict.fromkeys(names(old)):
                    discard(users, (key[0], name), key)
        if new is not None:
            self.objects[key] = new
            index, group = self._family(key, new)
            index.setdefault(group, {})[key] = None
            self.names.setdefault(key[0], {})[key[1]] = None
            for names in self.users:
                self._enter(names, key, new)
        return old

    def _enter(self, names: Names[Any], key: Key, obj: Resource) -> None:
        for name in names(obj):
            self.users[names].setdefault((key[0], name), {})[key] = None

    def _family(self, key: Key, obj: Resource) -> tuple[dict[str, dict[Key, None]], str]:
        owner = obj.metadata.controller
        return (self.owned, owner.uid) if owner else (self.orphans, key[0])


def discard(index: dict[G, dict[K, None]], group: G, member: K) -> None:
    """Take a member out of its group, and an empty group out of the index."""
    members = index[group]
    del members[member]
    if not members:
        del index[group]


class Store:
    """Implements `reflector.Sink`; listeners hear of every change, in order."""

    def __init__(self, shared: Iterable[Kind] = ()) -> None:
        """Objects of the `shared` kinds with equal specs share one: a set's VMIs are alike."""
        self._shared = frozenset(shared)
        self._shelves: dict[Kind, Shelf] = {}
        self._dead: OrderedDict[str, float] = OrderedDict()  # UID -> when it was buried
        self._listeners: list[Listener] = []
        self._specs: WeakValueDictionary[bytes, Any] = WeakValueDictionary()

    def subscribe(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def get(self, kind: type[R], key: Key) -> R | None:
        return self._shelf(kind).objects.get(key)  # type: ignore[return-value]

    def all(self, kind: type[R]) -> Iterator[R]:
        return iter(tuple(self._shelf(kind).objects.values()))  # type: ignore[arg-type]

    def names(self, kind: Kind, namespace: str) -> KeysView[str]:
        """The names taken in a namespace."""
        return self._shelf(kind).names.get(namespace, {}).keys()

    def within(self, kind: type[R], namespace: str) -> list[R]:
        """All objects of a namespace."""
        objects = self._shelf(kind).objects
        return [objects[namespace, name] for name in self.names(kind, namespace)]  # type: ignore[misc]

    def owned(self, kind: type[R], uid: str) -> list[R]:
        """The objects whose controlling owner has this UID."""
        shelf = self._shelf(kind)
        return [shelf.objects[key] for key in shelf.owned.get(uid, ())]  # type: ignore[misc]

    def orphans(self, kind: type[R], namespace: str) -> list[R]:
        """The objects of a namespace that nobody controls."""
        shelf = self._shelf(kind)
        return [shelf.objects[key] for key in shelf.orphans.get(namespace, ())]  # type: ignore[misc]

    def using(self, kind: type[R], names: Names[R], namespace: str, name: str) -> list[R]:
        """The objects of a namespace of which `names`, a function that always is the same, yields this name."""
        shelf = self._shelf(kind)
        return [shelf.objects[key] for key in shelf.using(names, (namespace, name))]  # type: ignore[misc]

    def observe(self, kind: Kind, raw: Raw) -> None:
        """Take in an object as it is, or was: the newest wins, and the dead stay dead."""
        meta = raw["metadata"]
        if meta["uid"] in self._dead:
            return
        key = (meta.get("namespace", ""), meta["name"])
        old = self._shelf(kind).objects.get(key)
        if old is not None and int(old.metadata.resource_version) >= int(meta["resourceVersion"]):
            return
        try:
            new = self._read(kind, raw)
        except ValidationError as error:
            log.error("cannot read", extra={"kind": kind.kind(), "object": "/".join(key), "error": str(error)})
            return
        if old is not None and old.metadata.uid != new.metadata.uid:
            self._bury(old.metadata.uid)
        self._put(kind, key, new)

    def forget(self, kind: Kind, raw: Raw) -> None:
        """Take in that an object is gone."""
        meta = raw["metadata"]
        self.remove(kind, (meta.get("namespace", ""), meta["name"]), meta["uid"])

    def remove(self, kind: Kind, key: Key, uid: str) -> None:
        self._bury(uid)
        old = self._shelf(kind).objects.get(key)
        if old is not None and old.metadata.uid == uid:
            self._put(kind, key, None)

    def prune(self, kind: Kind, uids: set[str], version: str) -> None:
        """Remove what a listing at `version` did not have, unless it is younger than the listing."""
        for key, obj in tuple(self._shelf(kind).objects.items()):
            if obj.metadata.uid not in uids and int(obj.metadata.resource_version) <= int(version):
                metrics.GHOSTS.labels(kind.plural).inc()
                self.remove(kind, key, obj.metadata.uid)

    def _put(self, kind: Kind, key: Key, new: Resource | None) -> None:
        old = self._shelf(kind).put(key, new)
        for listener in self._listeners:
            listener(kind, old, new)

    def _shelf(self, kind: Kind) -> Shelf:
        shelf = self._shelves.get(kind)
        if shelf is None:
            shelf = self._shelves.setdefault(kind, Shelf())  # a scrape may ask in another thread
            metrics.STORED.labels(kind.plural).set_function(shelf.objects.__len__)
        return shelf

    def _read(self, kind: Kind, raw: Raw) -> Resource:
        """Parse; a spec that was parsed before, of this object or one alike, is not parsed again."""
        if kind not in self._shared:
            return kind.read(raw)
        text = marshal.dumps((kind.plural, raw["spec"]), 2)  # version 2: equal values give equal bytes
        spec = self._specs.get(text)
        obj: Any = kind.read(raw if spec is None else {**raw, "spec": spec})
        self._specs[text] = obj.spec
        return obj  # type: ignore[no-any-return]

    def _bury(self, uid: str) -> None:
        now = time.monotonic()
        self._dead[uid] = now
        while self._dead:
            first = next(iter(self._dead))
            if len(self._dead) <= TOMBSTONES and now - self._dead[first] < BURIED:
                break
            del self._dead[first]
