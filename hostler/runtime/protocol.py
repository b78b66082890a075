"""What the project asks of the API server; `kube` answers it over HTTP, and tests in memory."""

from collections.abc import AsyncIterator
from typing import Any, Protocol

from hostler.api.meta import Resource

Raw = dict[str, Any]
Kind = type[Resource]
Ops = list[Raw]  # a JSON patch
Listing = tuple[list[Raw], str]  # objects, and the resourceVersion to watch from


class Kube(Protocol):
    """What the project asks of the API server. Bodies are plain JSON; errors are those of `errors`."""

    def pages(
        self, kind: Kind, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> AsyncIterator[Listing]:
        """All objects, some at a time, each time with the resourceVersion of the whole listing."""
        ...

    def watch(
        self, kind: Kind, namespace: str | None = None, labels: str = "", fields: str = "", resource_version: str = ""
    ) -> AsyncIterator[tuple[str, Raw]]:
        """(ADDED | MODIFIED | DELETED | BOOKMARK, object) until the server or the network ends it; Gone if too old."""
        ...

    async def list(self, kind: Kind, namespace: str | None = None, labels: str = "", fields: str = "") -> Listing:
        """All objects at once; `pages` is kinder to memory."""
        ...

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Raw: ...

    async def create(self, kind: Kind, namespace: str | None, body: Raw) -> Raw: ...

    async def patch(
        self, kind: Kind, namespace: str | None, name: str, patch: Raw | Ops, subresource: str | None = None
    ) -> Raw:
        """A dict is a merge patch, a list a JSON patch. metadata.resourceVersion in a merge patch is a precondition."""
        ...

    async def delete(  # noqa: PLR0913
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        grace: int | None = None,
        propagation: str | None = None,
    ) -> Raw:
        """The object as it was left (with a deletionTimestamp), or the server's Status."""
        ...
