"""The states of a set's template, kept as ControllerRevisions: the wanted one, and those one can go back to. Pure."""

import json
from collections.abc import Iterable, Set
from dataclasses import dataclass

from controllers import members
from hostler.api import apps
from hostler.api.kubevirt.vmi import VirtualMachineInstanceTemplateSpec
from hostler.api.meta import LabelSelector, Resource
from hostler.api.objects import ControllerRevision
from hostler.runtime import names, selectors
from hostler.runtime.plan import Action, Create, Delete, Patch, owner_reference
from hostler.runtime.protocol import Raw
from hostler.runtime.store import Store

HASH = 10  # characters
HISTORY = 10  # revisions that are kept when the set does not say how many


@dataclass(frozen=True)
class Book:
    """The revisions of a set, the oldest first, and which one its template is."""

    pages: tuple[ControllerRevision, ...]
    name: str  # of the template's
    mark: str  # its hash
    collision: int
    actions: tuple[Action, ...] = ()  # what makes it the newest

    def template(self, name: str) -> Raw | None:
        """The template of a revision, if it is still known."""
        return next((templated(each) for each in self.pages if each.metadata.name == name), None)


def templated(page: ControllerRevision) -> Raw:
    template: Raw = page.data["spec"]["template"]
    return template


def read(
    parent: Resource,
    template: VirtualMachineInstanceTemplateSpec,
    found: Iterable[ControllerRevision],
    taken: Set[str],
    collision: int,
) -> Book:
    """Find the template's revision, or make it; one that was there before gets the highest number again."""
    pages = tuple(sorted(found, key=lambda each: (each.revision, each.metadata.name)))
    wanted = members.template_raw(template)
    highest = pages[-1].revision if pages else 0
    equal = [each for each in pages if templated(each) == wanted]
    if equal:
        page = equal[-1]
        again = page.revision < highest
        patches = (Patch(page, {"revision": highest + 1}, "number"),) if again else ()
        mark = page.metadata.labels.get(apps.REVISION_HASH, page.metadata.name.rpartition("-")[2])
        return Book(pages, page.metadata.name, mark, collision, patches)
    while f"{parent.metadata.name}-{digest(wanted, collision)}" in taken:
        collision += 1
    mark = digest(wanted, collision)
    name = f"{parent.metadata.name}-{mark}"
    return Book(pages, name, mark, collision, (page_for(parent, name, mark, wanted, highest + 1),))


def loose(store: Store, parent: Resource, selector: LabelSelector) -> tuple[ControllerRevision, ...]:
    """Those of a set that was deleted with --cascade=orphan: with them, nobody is made anew for the same template."""
    return tuple(
        each
        for each in store.orphans(ControllerRevision, parent.metadata.namespace)
        if is_of(parent, each) and not members.dying(each) and selectors.matches(selector, each.metadata.labels)
    )


def is_of(parent: Resource, page: ControllerRevision) -> bool:
    """Of a set of this kind and name, whichever it was: db-x-5d9f is not of db."""
    head, _, _ = page.metadata.name.rpartition("-")
    return page.metadata.labels.get(apps.REVISION_OF) == parent.kind() and head == parent.metadata.name


def digest(template: Raw, collision: int) -> str:
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return names.suffix(f"{text}/{collision}" if collision else text, HASH)


def page_for(parent: Resource, name: str, mark: str, template: Raw, number: int) -> Create:
    cause = parent.metadata.annotations.get(apps.CHANGE_CAUSE)
    metadata = {
        "name": name,
        "namespace": parent.metadata.namespace,
        "labels": template["metadata"]["labels"] | {apps.REVISION_HASH: mark, apps.REVISION_OF: parent.kind()},
        "annotations": {apps.CHANGE_CAUSE: cause} if cause else {},
        "ownerReferences": [owner_reference(parent)],
    }
    body = {"metadata": metadata, "data": {"spec": {"template": template}}, "revision": number}
    return Create(ControllerRevision, body)


def disposable(book: Book, used: Set[str], limit: int | None) -> tuple[Delete, ...]:
    """Beyond the history's limit, the oldest first; `used` are names and hashes of those that guests are of."""
    free = [
        each
        for each in book.pages
        if each.metadata.name != book.name
        and not {each.metadata.name, each.metadata.labels.get(apps.REVISION_HASH, "")} & used
    ]
    surplus = len(free) - (HISTORY if limit is None else limit)
    return tuple(map(Delete, free[: max(surplus, 0)]))
