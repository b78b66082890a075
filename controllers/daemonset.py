"""VirtualMachineDaemonSet: a guest on every node that its template allows."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from controllers import daemonset_nodes as nodes
from controllers import daemonset_rollout as rollout
from controllers import members, revisions
from controllers.daemonset_rollout import Moves, Place
from controllers.revisions import Book
from hostler.api import apps
from hostler.api.apps import VirtualMachineDaemonSet as DaemonSet
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.meta import Resource
from hostler.api.objects import ControllerRevision, Node
from hostler.runtime import names, selectors
from hostler.runtime.errors import AlreadyExists
from hostler.runtime.plan import CREATED, Action, Controller, Create, Delete, Event, Failure, Plan
from hostler.runtime.protocol import Raw
from hostler.runtime.store import Key, Store

BURST = 250  # creates, and deletes, a visit
PACE = 0.5  # seconds between visits: one status write tells of many guests


@dataclass(frozen=True)
class Seen:
    """The nodes, and what there is of a set."""

    nodes: tuple[Node, ...] = ()
    owned: tuple[VMI, ...] = ()
    orphans: tuple[VMI, ...] = ()  # of the namespace; the selector decides
    pages: tuple[ControllerRevision, ...] = ()
    taken: Set[str] = frozenset()  # names of VMIs of the namespace,
    taken_pages: Set[str] = frozenset()  # and of revisions
    loose_pages: tuple[ControllerRevision, ...] = ()  # left by an earlier set of this name


def look(store: Store, daemon_set: DaemonSet) -> Seen:
    namespace, uid = daemon_set.metadata.namespace, daemon_set.metadata.uid
    return Seen(
        tuple(sorted(store.all(Node), key=lambda node: node.metadata.name)),
        tuple(store.owned(VMI, uid)),
        tuple(store.orphans(VMI, namespace)),
        tuple(store.owned(ControllerRevision, uid)),
        store.names(VMI, namespace),
        store.names(ControllerRevision, namespace),
        revisions.loose(store, daemon_set, daemon_set.spec.selector),
    )


def concerned(changed: Resource, store: Store) -> Iterable[Key]:
    """A node concerns every set; a guest that nobody owns, the sets that select it."""
    if isinstance(changed, Node):
        for each in store.all(DaemonSet):
            yield each.metadata.namespace, each.metadata.name
    elif isinstance(changed, VMI) and not changed.metadata.controller:
        for each in store.within(DaemonSet, changed.metadata.namespace):
            if selectors.matches(each.spec.selector, changed.metadata.labels):
                yield each.metadata.namespace, each.metadata.name


def plan(daemon_set: DaemonSet, seen: Seen, now: datetime) -> Plan:
    """Guests to the nodes that lack one, from those that should have none, and new ones for old ones; report."""
    if daemon_set.metadata.deletion_timestamp:
        return Plan()  # the garbage collector deletes the guests, or leaves them, as the user asked
    orphans = (vmi for vmi in seen.orphans if not members.finished(vmi))
    _, moves = members.membership(daemon_set, daemon_set.spec.selector, seen.owned, orphans)
    if moves or seen.loose_pages:
        return Plan((*(members.adopt(daemon_set, page) for page in seen.loose_pages), *moves))
    book = revisions.read(daemon_set, daemon_set.spec.template, seen.pages, seen.taken_pages, collisions(daemon_set))
    places = survey(daemon_set, seen, book, now)
    first, then = rollout.manage(places), rollout.update(daemon_set, places)
    steps = Moves((*first.deletes, *then.deletes)[:BURST], (*first.creates, *then.creates)[:BURST])
    creates = [create(daemon_set, book, node, seen.taken, now) for node in steps.creates]
    used = {vmi.metadata.labels.get(apps.REVISION_HASH, "") for vmi in seen.owned}
    tidy = revisions.disposable(book, used, daemon_set.spec.revision_history_limit)
    actions: tuple[Action, ...] = (*book.actions, *map(Delete, steps.deletes), *creates, *tidy)
    again = 0.0 if BURST in (len(steps.creates), len(steps.deletes)) else None
    held = members.HOLD if any(members.hasty(vmi, now) for vmi in seen.owned) else None
    soon = members.next_available(seen.owned, daemon_set.spec.min_ready_seconds, now)
    status = report(daemon_set, places, book)
    return Plan(actions, status, events(steps, creates), members.soonest(again, held, soon))


def collisions(daemon_set: DaemonSet) -> int:
    return (daemon_set.status and daemon_set.status.collision_count) or 0


def survey(daemon_set: DaemonSet, seen: Seen, book: Book, now: datetime) -> list[Place]:
    """All nodes, and those that are gone but for a guest."""
    by_node: dict[str, list[VMI]] = {node.metadata.name: [] for node in seen.nodes}
    for vmi in seen.owned:
        by_node.setdefault(nodes.node_of(vmi), []).append(vmi)
    known = {node.metadata.name: node for node in seen.nodes}
    spec, min_ready = daemon_set.spec.template.spec, daemon_set.spec.min_ready_seconds or 0
    places = []
    for name, vmis in by_node.items():
        node, occupied = known.get(name), any(map(members.alive, vmis))
        gone = nodes.Verdict(False, False)
        verdict = nodes.verdict(spec, node, occupied=occupied) if node and spec else gone
        places.append(Place(name, verdict, tuple(vmis), book.mark, min_ready, now))
    return places


def create(daemon_set: DaemonSet, book: Book, node: str, taken: Set[str], now: datetime) -> Create:
    """A guest for a node; its name follows from the set's UID and the node, so that a create is found again."""
    slots = (names.suffix(f"{daemon_set.metadata.uid}/{node}/{number}") for number in count())
    name = next(name for slot in slots if (name := f"{daemon_set.metadata.name}-{slot}") not in taken)
    template = members.template_raw(daemon_set.spec.template)
    template["metadata"]["labels"][apps.REVISION_HASH] = book.mark
    template["spec"] = nodes.bound_to(template["spec"], node)
    return Create(VMI, members.guest(daemon_set, name, template, now))


def report(daemon_set: DaemonSet, places: Iterable[Place], book: Book) -> Raw:
    """apps/v1's counts, of what was seen; of two guests on a node the older counts."""
    wanted = [place for place in places if place.verdict.wanted]
    firsts = [(place, vmi) for place in wanted if (vmi := place.first)]
    available = sum(place.available(vmi) for place, vmi in firsts)
    return {
        "observedGeneration": daemon_set.metadata.generation,
        "desiredNumberScheduled": len(wanted),
        "currentNumberScheduled": sum(bool(place.vmis) for place in wanted),
        "numberMisscheduled": sum(bool(place.vmis) for place in places if not place.verdict.wanted),
        "numberReady": sum(members.alive(vmi) and members.ready(vmi) for _, vmi in firsts),
        "numberAvailable": available,
        "numberUnavailable": len(wanted) - available,
        "updatedNumberScheduled": sum(place.is_new(vmi) for place, vmi in firsts),
        "collisionCount": book.collision or None,
    }


def events(steps: Moves, creates: list[Create]) -> tuple[Event, ...]:
    told = [Event(CREATED, f"Created virtual machine instance: {c.body['metadata']['name']}") for c in creates]
    for vmi in steps.deletes:
        name, node = vmi.metadata.name, nodes.node_of(vmi)
        if members.finished(vmi):
            how = (vmi.status and vmi.status.phase) or ""
            word, kind = ("failed", "Warning") if how == "Failed" else ("succeeded", "Normal")
            note = f"Found {word} daemon virtual machine instance {name} on node {node}, will try to delete it"
            reason = "FailedDaemonPod" if how == "Failed" else "SucceededDaemonPod"
            told.append(Event(reason, note, "Warning" if kind == "Warning" else "Normal"))
        told.append(Event("SuccessfulDelete", f"Deleted virtual machine instance: {name}"))
    return tuple(told)


def failed(daemon_set: DaemonSet, plan: Plan, failure: Failure, _now: datetime) -> Plan:
    """A guest was refused, the others are counted all the same; or a revision's name is taken: another is tried."""
    refused = Event("FailedCreate", f"Error creating: {failure.error}", "Warning")
    revision = isinstance(failure.action, Create) and failure.action.kind is ControllerRevision
    if revision and isinstance(failure.error, AlreadyExists):
        return Plan(status={"collisionCount": collisions(daemon_set) + 1})
    return Plan(events=(refused,)) if revision else Plan(status=plan.status, events=(*plan.events_but_creates, refused))


CONTROLLER = Controller(
    name="daemonset",
    parent=DaemonSet,
    children=(VMI, ControllerRevision),
    others=(Node,),
    look=look,
    plan=plan,
    failed=failed,
    concerns=concerned,
    pace=PACE,
    workers=4,
    selectors={ControllerRevision: apps.REVISION_OF},
)
