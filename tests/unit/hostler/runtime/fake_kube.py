"""An API server in a dict: as much of one as our Protocol asks for, held to `kube_contract` like the real one."""

import asyncio
import copy
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from hostler.runtime.errors import AlreadyExists, ApiError, Conflict, Gone, Invalid, NotFound
from hostler.runtime.protocol import Kind, Listing, Ops, Raw

Place = tuple[str, str, str]  # plural, namespace, name
Names = list[str]
Calls = list[tuple[str, str, str]]  # verb, plural, name
PAGE = 2  # small, so that every listing has pages


class FakeKube:
    """`refuse`, when set, may raise an ApiError for (verb, kind, body or name) before anything is done.

    `slow` may return what a LIST or DELETE waits for.
    """

    def __init__(self) -> None:
        self.objects: dict[Place, Raw] = {}
        self.calls: Calls = []  # reads, too
        self.refuse: Callable[[str, Kind, str], None] = lambda *_: None
        self.slow: Callable[[str, Kind], Awaitable[Any] | None] = lambda *_: None
        self.oldest = 0  # watches from before this version are Gone
        self._version = 0
        self._log: list[tuple[int, str, str, Raw, Raw | None]] = []  # version, event, plural, object, as it was before
        self._news = asyncio.Condition()

    async def pages(
        self, kind: Kind, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> AsyncIterator[Listing]:
        items, version = await self.list(kind, namespace, labels, fields)
        for start in range(0, max(len(items), 1), PAGE):
            yield items[start : start + PAGE], version

    async def list(self, kind: Kind, namespace: str | None = None, labels: str = "", fields: str = "") -> Listing:
        self._ask("LIST", kind, "")
        await (self.slow("LIST", kind) or asyncio.sleep(0))  # as on a wire, others get their turn meanwhile
        found = [obj for (plural, _, _), obj in self.objects.items() if plural == kind.plural]
        chosen = [obj for obj in found if selected(obj, namespace, labels, fields)]
        return copy.deepcopy(chosen), str(self._version)

    async def watch(
        self, kind: Kind, namespace: str | None = None, labels: str = "", fields: str = "", resource_version: str = ""
    ) -> AsyncIterator[tuple[str, Raw]]:
        self._ask("WATCH", kind, "")
        at = int(resource_version)
        while True:
            if at < self.oldest:
                raise Gone(410, "Expired", "too old resource version")
            until = self._version
            for version, event, plural, obj, before in tuple(self._log):
                if not at < version <= until or plural != kind.plural:
                    continue
                if selected(obj, namespace, labels, fields):
                    yield event, copy.deepcopy(obj)
                elif before is not None and selected(before, namespace, labels, fields):
                    yield "DELETED", copy.deepcopy(obj)  # for who watches only those with a label, it is gone
            at = until
            async with self._news:
                await self._news.wait_for(lambda at=at: self._version > at)

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Raw:
        self._ask("GET", kind, name)
        return copy.deepcopy(self._find(kind, namespace, name))

    async def create(self, kind: Kind, namespace: str | None, body: Raw) -> Raw:
        meta = {**body["metadata"]}
        self._ask("POST", kind, meta.get("name", ""))
        if "name" not in meta:
            raise Invalid(422, "Invalid", "metadata.name: Required value")
        meta["namespace"] = namespace or ""
        if (kind.plural, meta["namespace"], meta["name"]) in self.objects:
            raise AlreadyExists(409, "AlreadyExists", f'{kind.plural} "{meta["name"]}" already exists')
        meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
        obj = {"apiVersion": kind.group_version, "kind": kind.kind(), **copy.deepcopy(body), "metadata": meta}
        return await self._put("ADDED", kind, obj)

    async def patch(
        self, kind: Kind, namespace: str | None, name: str, patch: Raw | Ops, subresource: str | None = None
    ) -> Raw:
        self._ask("PATCH", kind, name)
        old = self._find(kind, namespace, name)
        if isinstance(patch, list):
            raise NotImplementedError("JSON patches are not faked")
        wanted = patch.get("metadata", {}).get("resourceVersion")
        if wanted not in (None, old["metadata"]["resourceVersion"]):
            raise Conflict(409, "Conflict", "the object has been modified")
        new = merge(old, {"status": patch.get("status")} if subresource == "status" else patch)
        if {**new, "metadata": {**new["metadata"], "resourceVersion": ""}} == {
            **old,
            "metadata": {**old["metadata"], "resourceVersion": ""},
        }:
            return copy.deepcopy(old)  # nothing changed, nothing is written
        if new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
            return await self._remove(kind, new)
        return await self._put("MODIFIED", kind, new)

    async def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        grace: int | None = None,
        propagation: str | None = None,
    ) -> Raw:
        self._ask("DELETE", kind, name)
        await (self.slow("DELETE", kind) or asyncio.sleep(0))
        old = self._find(kind, namespace, name)
        if uid not in (None, old["metadata"]["uid"]):
            raise Conflict(409, "Conflict", "the UID in the precondition does not match")
        if not old["metadata"].get("finalizers"):
            await self._remove(kind, copy.deepcopy(old))
            return {"kind": "Status", "status": "Success"}
        if old["metadata"].get("deletionTimestamp"):
            return copy.deepcopy(old)
        return await self._put("MODIFIED", kind, merge(old, {"metadata": {"deletionTimestamp": now()}}))

    # what only tests do

    async def vanish(self, kind: Kind, namespace: str, name: str) -> None:
        """Remove an object, and forget that a watch should have told of it."""
        await self._remove(kind, self._find(kind, namespace, name))
        self._log.pop()
        await self.expire()

    async def expire(self) -> None:
        """All watches are too old from now on."""
        self._version += 1
        self.oldest = self._version
        async with self._news:
            self._news.notify_all()

    def names(self, kind: Kind) -> Names:
        return sorted(name for plural, _, name in self.objects if plural == kind.plural)

    def writes(self, *verbs: str) -> Calls:
        return [call for call in self.calls if call[0] in (verbs or ("POST", "PATCH", "DELETE"))]

    def _ask(self, verb: str, kind: Kind, name: str) -> None:
        self.calls.append((verb, kind.plural, name))
        self.refuse(verb, kind, name)

    def _find(self, kind: Kind, namespace: str | None, name: str) -> Raw:
        try:
            return self.objects[kind.plural, namespace or "", name]
        except KeyError:
            raise NotFound(404, "NotFound", f'{kind.plural} "{name}" not found') from None

    async def _put(self, event: str, kind: Kind, obj: Raw) -> Raw:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        place = (kind.plural, obj["metadata"]["namespace"], obj["metadata"]["name"])
        before = self.objects.get(place)
        if event == "DELETED":
            del self.objects[place]
        else:
            self.objects[place] = obj
        self._log.append((self._version, event, kind.plural, copy.deepcopy(obj), before))
        async with self._news:
            self._news.notify_all()
        return copy.deepcopy(obj)

    async def _remove(self, kind: Kind, obj: Raw) -> Raw:
        return await self._put("DELETED", kind, obj)


def merge(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    new = copy.deepcopy(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = merge(new.get(key), value)
    return new


def selected(obj: Raw, namespace: str | None, labels: str, fields: str) -> bool:
    """Equality, and the existence of a label."""
    meta = obj["metadata"]
    pairs = [part.split("=", 1) for part in labels.split(",") if "=" in part]
    keys = [part for part in labels.split(",") if part and "=" not in part]
    named = [part.split("=", 1) for part in fields.split(",") if part]
    return (
        (namespace is None or meta["namespace"] == namespace)
        and all(meta.get("labels", {}).get(key) == value for key, value in pairs)
        and all(key in meta.get("labels", {}) for key in keys)
        and all(field(obj, key) == value for key, value in named)
    )


def field(obj: Raw, path: str) -> Any:
    for part in path.split("."):
        obj = obj.get(part, {})
    return obj


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def refusing(error: ApiError, *verbs: str) -> Callable[[str, Kind, str], None]:
    """For `refuse`: this error for these verbs."""

    def refuse(verb: str, _kind: Kind, _name: str) -> None:
        if verb in verbs:
            raise error

    return refuse
