"""The states of a pool's template, kept as ControllerRevisions <pool>-<generation>. Pure."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from itertools import count

from controllers import pool_index
from hostler.api import apps
from hostler.api.kubevirt.pool import VirtualMachinePool
from hostler.api.objects import ControllerRevision
from hostler.runtime.plan import Action, Create, Delete, Patch, owner_reference
from hostler.runtime.protocol import Raw

HISTORY = 10  # revisions that are kept to go back to, beside those that VMs are of


@dataclass(frozen=True)
class Book:
    """What is known of a pool's revisions."""

    pages: tuple[ControllerRevision, ...]  # the oldest first
    name: str  # of the one that the pool's template is
    content: Raw  # its content
    equal: Set[str] = frozenset()  # names of all that have this content
    actions: tuple[Action, ...] = ()  # what makes it the newest

    def template(self, name: str) -> Raw | None:
        """The instance's template in a revision, if it is still known."""
        if name in self.equal:
            return instance(self.content)
        return next((instance(each.data) for each in self.pages if each.metadata.name == name), None)

    def marks(self, name: str) -> Raw:
        """Labels and annotations that VMs have from a revision."""
        known = self.content if name in self.equal else {}
        known = next((each.data for each in self.pages if each.metadata.name == name), known)
        found: Raw = known.get("virtualMachineTemplate", {}).get("metadata", {})
        return found


def instance(content: Raw) -> Raw:
    template: Raw = content["virtualMachineTemplate"]["spec"]["template"]
    return template


def read(pool: VirtualMachinePool, found: Iterable[ControllerRevision], taken: Set[str]) -> Book:
    """Find the template's revision, or make it; one that was there before gets the highest number again."""
    pages = tuple(sorted(found, key=lambda each: (each.revision, each.metadata.name)))
    content = pool_index.content(pool)
    highest = pages[-1].revision if pages else 0
    equal = [each for each in pages if each.data == content]
    if equal:
        page = equal[-1]
        again = (Patch(page, {"revision": highest + 1}, "number"),) if page.revision < highest else ()
        return Book(pages, page.metadata.name, content, {each.metadata.name for each in equal}, again)
    number = next(each for each in count(max(pool.metadata.generation, 1)) if pool_index.name(pool, each) not in taken)
    name = pool_index.name(pool, number)
    return Book(pages, name, content, {name}, (page_for(pool, name, content, max(number, highest + 1)),))


def page_for(pool: VirtualMachinePool, name: str, content: Raw, number: int) -> Create:
    cause = pool.metadata.annotations.get(apps.CHANGE_CAUSE)
    metadata = {
        "name": name,
        "namespace": pool.metadata.namespace,
        "labels": {apps.REVISION_OF: pool.kind()},
        "annotations": {apps.CHANGE_CAUSE: cause} if cause else {},
        "ownerReferences": [owner_reference(pool)],
    }
    return Create(ControllerRevision, {"metadata": metadata, "data": content, "revision": number})


def disposable(book: Book, used: Set[str]) -> tuple[Delete, ...]:
    """Beyond the history's limit, the oldest first; `used` are names of those that VMs and guests are of."""
    spare = [each for each in book.pages if each.metadata.name not in used | {book.name}]
    return tuple(map(Delete, spare[: max(len(spare) - HISTORY, 0)]))
