"""VirtualMachineStatefulSet: guests that are not alike, each with its number, name and disks."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from controllers import members, revisions
from controllers import statefulset_claims as claims
from controllers import statefulset_identity as identity
from controllers import statefulset_rollout as rollout
from controllers.revisions import Book
from controllers.settings import ManagerSettings
from controllers.statefulset_claims import Disks
from controllers.statefulset_rollout import Moves, Row
from hostler.api import apps
from hostler.api.apps import VirtualMachineStatefulSet as StatefulSet
from hostler.api.cdi import DataVolume
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.meta import Resource
from hostler.api.objects import ControllerRevision, PersistentVolumeClaim
from hostler.runtime import selectors
from hostler.runtime.errors import AlreadyExists, Terminal
from hostler.runtime.plan import CREATED, Action, Controller, Create, Delete, Event, Failure, Plan
from hostler.runtime.protocol import Raw
from hostler.runtime.store import Key, Store

PACE = 0.3  # seconds between visits
DISK_WAIT = 2.0  # seconds until a disk that goes is looked for again
NO_DISKS = "spec.dataVolumeTemplates: there are no DataVolumes here; install hostler with disks.enabled=true"


@dataclass(frozen=True)
class Seen:
    """What there is of a set."""

    owned: tuple[VMI, ...] = ()
    orphans: tuple[VMI, ...] = ()  # of the namespace; name and selector decide
    pages: tuple[ControllerRevision, ...] = ()
    disks: Disks = Disks()  # noqa: RUF009 - it is frozen
    taken_pages: Set[str] = frozenset()
    loose_pages: tuple[ControllerRevision, ...] = ()  # left by an earlier set of this name


def look(store: Store, stateful_set: StatefulSet) -> Seen:
    namespace, uid = stateful_set.metadata.namespace, stateful_set.metadata.uid
    owned = tuple(store.owned(VMI, uid))
    pages, taken = tuple(store.owned(ControllerRevision, uid)), store.names(ControllerRevision, namespace)
    orphans, disks = tuple(store.orphans(VMI, namespace)), disks_of(store, stateful_set, owned)
    return Seen(owned, orphans, pages, disks, taken, revisions.loose(store, stateful_set, stateful_set.spec.selector))


def disks_of(store: Store, stateful_set: StatefulSet, owned: Iterable[VMI]) -> Disks:
    """Those of the ordinals that there are, or are to be."""
    if not identity.disk_names(stateful_set):
        return Disks()
    namespace = stateful_set.metadata.namespace
    found = {each for vmi in owned if (each := identity.ordinal(stateful_set, vmi)) is not None}
    wanted = [name for each in {*found, *identity.numbers(stateful_set)} for name in claims.names(stateful_set, each)]
    return Disks(
        {name: claim for name in wanted if (claim := store.get(PersistentVolumeClaim, (namespace, name)))},
        {name: volume for name in wanted if (volume := store.get(DataVolume, (namespace, name)))},
    )


def who_might_adopt(changed: Resource, store: Store) -> Iterable[Key]:
    """A guest that nobody owns concerns the set whose name it has, and which selects it."""
    if isinstance(changed, VMI) and not changed.metadata.controller:
        for each in store.within(StatefulSet, changed.metadata.namespace):
            if identity.ordinal(each, changed) is not None and selectors.matches(
                each.spec.selector, changed.metadata.labels
            ):
                yield each.metadata.namespace, each.metadata.name


def plan(stateful_set: StatefulSet, seen: Seen, now: datetime, *, disks: bool = True) -> Plan:
    """One step towards a row of guests of the right revision; their disks before them; report."""
    if stateful_set.metadata.deletion_timestamp:
        return Plan()  # the garbage collector deletes the guests, or leaves them, as the user asked
    if stateful_set.spec.data_volume_templates and not disks:
        raise Terminal("FailedCreate", NO_DISKS)
    # one that has ended, too: it has the name that another is to have
    named = [vmi for vmi in seen.orphans if identity.ordinal(stateful_set, vmi) is not None]
    _, moves = members.membership(stateful_set, stateful_set.spec.selector, seen.owned, named)
    if moves or seen.loose_pages:
        return Plan((*(members.adopt(stateful_set, page) for page in seen.loose_pages), *moves))
    count = collisions(stateful_set)
    book = revisions.read(stateful_set, stateful_set.spec.template, seen.pages, seen.taken_pages, count)
    row = line_up(stateful_set, seen, book, now)
    steps = rollout.step(row)
    actions, events, waiting = carry_out(row, steps, seen.disks, book, now)
    used = {row.current, *map(rollout.of, seen.owned)}
    tidy = revisions.disposable(book, used, stateful_set.spec.revision_history_limit)
    held = members.HOLD if any(members.hasty(vmi, now) for vmi in seen.owned) else None
    soon = members.next_available(seen.owned, stateful_set.spec.min_ready_seconds, now)
    again = members.soonest(held, soon, DISK_WAIT if waiting else None)
    return Plan((*book.actions, *actions, *tidy), report(row, book), events, again)


def collisions(stateful_set: StatefulSet) -> int:
    return (stateful_set.status and stateful_set.status.collision_count) or 0


def line_up(stateful_set: StatefulSet, seen: Seen, book: Book, now: datetime) -> Row:
    guests = {number: v for v in seen.owned if (number := identity.ordinal(stateful_set, v)) is not None}
    known = stateful_set.status.current_revision if stateful_set.status else None
    current = known if known and book.template(known) is not None else book.name
    return Row(stateful_set, guests, current, book.name, now)


def carry_out(
    row: Row, steps: Moves, disks: Disks, book: Book, now: datetime
) -> tuple[list[Action], tuple[Event, ...], bool]:
    """Owners of disks first, then who goes, then disks and guests that come; whether one waits for its disk.

    Guests whose disks are there come before disks that somebody may refuse, and disks before their guests.
    """
    stateful_set, waiting, condemned = row.stateful_set, False, set(row.condemned)
    actions: list[Action] = []
    lacking: list[Create] = []  # disks
    ready: list[Create] = []  # guests
    others: list[Create] = []  # guests whose disks are made now
    for number, vmi in row.guests.items():
        if members.alive(vmi) or number in condemned:
            actions += claims.ownership(stateful_set, vmi, number, disks)
        if members.alive(vmi) and not members.ready(vmi):
            lacking += claims.missing(stateful_set, number, disks)
    actions += map(Delete, steps.deletes)
    events = [told(stateful_set, each) for each in steps.deletes]
    for number in steps.creates:
        if claims.leaving(stateful_set, number, disks):
            waiting = True
            continue
        revision = row.revision(number)
        template = book.template(revision) or members.template_raw(stateful_set.spec.template)
        guest = identity.guest(stateful_set, number, template, revision, now)
        fresh = tuple(claims.missing(stateful_set, number, disks))
        lacking += fresh
        (others if fresh else ready).append(guest)
    made = (*ready, *lacking, *others)
    return [*actions, *made], (*events, *(created(stateful_set, each) for each in made)), waiting


def report(row: Row, book: Book) -> Raw:
    """apps/v1's counts, of what was seen."""
    stateful_set, guests = row.stateful_set, [vmi for vmi in row.guests.values() if not members.finished(vmi)]
    alive = list(filter(members.alive, guests))
    ready = sum(map(members.ready, alive))
    updated = sum(rollout.of(vmi) == book.name for vmi in alive)
    done = not rollout.on_delete(stateful_set) and updated == len(guests) == ready == identity.replicas(stateful_set)
    current = book.name if done else row.current
    return {
        "observedGeneration": stateful_set.metadata.generation,
        "replicas": len(guests),
        "readyReplicas": ready,
        "availableReplicas": sum(map(row.available, alive)),
        "currentReplicas": sum(rollout.of(vmi) == current for vmi in alive),
        "updatedReplicas": updated,
        "currentRevision": current,
        "updateRevision": book.name,
        "collisionCount": book.collision or None,
        "labelSelector": selectors.text(stateful_set.spec.selector),
        "printable": {"ready": f"{ready}/{identity.replicas(stateful_set)}"},
    }


def told(stateful_set: StatefulSet, vmi: VMI) -> Event:
    name, own = vmi.metadata.name, stateful_set.metadata.name
    return Event("SuccessfulDelete", f"delete VirtualMachineInstance {name} in StatefulSet {own} successful")


def created(stateful_set: StatefulSet, create: Create) -> Event:
    name, own = create.body["metadata"]["name"], stateful_set.metadata.name
    return Event(CREATED, f"create {create.kind.kind()} {name} in StatefulSet {own} successful")


def failed(stateful_set: StatefulSet, plan: Plan, failure: Failure, _now: datetime) -> Plan:
    """A guest was refused, the others are counted all the same; or a revision's name is taken: another is tried."""
    if isinstance(failure.action, Create):
        kind, name = failure.action.kind, failure.action.body["metadata"]["name"]
        if kind is ControllerRevision and isinstance(failure.error, AlreadyExists):
            return Plan(status={"collisionCount": collisions(stateful_set) + 1})
        own = stateful_set.metadata.name
        note = f"create {kind.kind()} {name} in StatefulSet {own} failed error: {failure.error}"
        refused = Event("FailedCreate", note, "Warning")
        if kind is ControllerRevision:
            return Plan(events=(refused,))
        return Plan(status=plan.status, events=(*plan.events_but_creates, refused))
    return Plan(events=(Event("FailedCreate", str(failure.error), "Warning"),))


def controller(settings: ManagerSettings) -> Controller[StatefulSet, Seen]:
    disks = (PersistentVolumeClaim, DataVolume) if settings.data_volumes else (PersistentVolumeClaim,)
    return Controller(
        name="statefulset",
        parent=StatefulSet,
        children=(VMI, ControllerRevision),
        others=disks,
        look=look,
        plan=partial(plan, disks=settings.data_volumes),
        failed=failed,
        concerns=who_might_adopt,
        pace=PACE,
        workers=4,
        selectors={ControllerRevision: apps.REVISION_OF},
    )
