"""VirtualMachinePool: N virtual machines of one template, each with an index, a name and disks of its own."""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from controllers import members, pool_choice, pool_disks, pool_index, pool_revisions, pool_status, revisions
from controllers import pool_rollout as rollout
from controllers.pool_choice import Crew
from controllers.pool_disks import Disks
from controllers.pool_revisions import Book
from controllers.pool_rollout import Update
from controllers.settings import ManagerSettings
from hostler.api import apps, launcher
from hostler.api.cdi import DataVolume
from hostler.api.kubevirt.pool import FINALIZER, REPLACED, REVISION
from hostler.api.kubevirt.pool import VirtualMachinePool as Pool
from hostler.api.kubevirt.vm import VirtualMachine as VM
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.meta import Resource
from hostler.api.objects import ControllerRevision, PersistentVolumeClaim
from hostler.runtime import conditions, selectors
from hostler.runtime.conditions import Condition
from hostler.runtime.plan import Action, Controller, Create, Delete, Event, Failure, Patch, Plan, owner_reference
from hostler.runtime.protocol import Raw
from hostler.runtime.store import Key, Store

BURST = 250  # as many creates, and deletes, per visit as KubeVirt allows
PACE = 0.5  # seconds between visits: one status write tells of many VMs
DISK_WAIT = 2.0  # seconds until a disk that goes is looked for again


@dataclass(frozen=True)
class Seen:
    """What there is of a pool."""

    owned: tuple[VM, ...] = ()
    orphans: tuple[VM, ...] = ()  # of the namespace; name and selector decide
    guests: Mapping[str, VMI] = field(default_factory=dict)  # by their VM's name
    pages: tuple[ControllerRevision, ...] = ()
    loose_pages: tuple[ControllerRevision, ...] = ()  # left by an earlier pool of this name
    disks: Disks = Disks()  # noqa: RUF009 - it is frozen
    taken: Set[str] = frozenset()  # names of VMs of the namespace
    taken_pages: Set[str] = frozenset()


@dataclass(frozen=True)
class Moves:
    """VMs that go and come."""

    deletes: tuple[VM, ...] = ()
    creates: tuple[Create, ...] = ()
    waiting: bool = False  # for a disk that goes

    @property
    def gone(self) -> frozenset[str]:
        return frozenset(vm.metadata.uid for vm in self.deletes)


def look(store: Store, pool: Pool) -> Seen:
    namespace, uid = pool.metadata.namespace, pool.metadata.uid
    owned = tuple(store.owned(VM, uid))
    taken = store.names(VM, namespace)
    left = (each for each in store.orphans(ControllerRevision, namespace) if is_page(pool, each))
    return Seen(
        owned,
        tuple(vm for vm in store.orphans(VM, namespace) if pool_index.index(pool, vm) is not None),
        {vm.metadata.name: vmi for vm in owned if (vmi := guest(store, vm))},
        tuple(store.owned(ControllerRevision, uid)),
        tuple(left),
        look_at_disks(store, pool, owned, taken),
        taken,
        store.names(ControllerRevision, namespace),
    )


def guest(store: Store, vm: VM) -> VMI | None:
    vmi = store.get(VMI, (vm.metadata.namespace, vm.metadata.name))
    owner = vmi.metadata.controller if vmi else None
    return vmi if owner and owner.uid == vm.metadata.uid else None


def is_page(pool: Pool, page: ControllerRevision) -> bool:
    return revisions.is_of(pool, page) and page.metadata.name.rpartition("-")[2].isdecimal()


def look_at_disks(store: Store, pool: Pool, owned: tuple[VM, ...], taken: Set[str]) -> Disks:
    """Those of the VMs that there are, and those that may lie ready for the next ones."""
    coming = candidates(pool, taken, max(pool_choice.replicas(pool) - len(owned), 0))
    names = {name for vm in owned for name in pool_disks.names(vm)}
    names |= {name for number in coming for name in pool_index.disk_names(pool, number)}
    namespace = pool.metadata.namespace
    disks = Disks(
        {name: claim for name in names if (claim := store.get(PersistentVolumeClaim, (namespace, name)))},
        {name: volume for name in names if (volume := store.get(DataVolume, (namespace, name)))},
    )
    owners = {vm.metadata.uid for vm in owned}
    held = (name for name in names for disk in disks.named(name) if belongs_to_another(store, disk, owners))
    return replace(disks, held=frozenset(held))


def belongs_to_another(store: Store, disk: pool_disks.Disk, ours: Set[str]) -> bool:
    owner = disk.metadata.controller
    if owner is None or owner.kind != VM.kind() or owner.uid in ours:
        return False
    vm = store.get(VM, (disk.metadata.namespace, owner.name))
    return vm is not None and vm.metadata.uid == owner.uid


def candidates(pool: Pool, taken: Set[str], count: int) -> list[int]:
    """Twice as many as are wanted: some may not be to be had."""
    return list(islice(pool_index.free(pool, taken), min(2 * count, 2 * BURST)))


def whose(changed: Resource, store: Store) -> Iterator[Key]:
    """A guest or a disk concerns the pool of its VM; a VM that nobody owns, the pool whose name and labels it has."""
    namespace, owner = changed.metadata.namespace, changed.metadata.controller
    if isinstance(changed, VM) and owner is None:
        for pool in store.within(Pool, namespace):
            if pool_index.index(pool, changed) is not None:
                yield namespace, pool.metadata.name
    elif owner and owner.kind == VM.kind():
        vm = store.get(VM, (namespace, owner.name))
        above = vm.metadata.controller if vm else None
        if above and above.kind == Pool.kind():
            yield namespace, above.name


def plan(pool: Pool, seen: Seen, now: datetime) -> Plan:
    """Take in and let go; then the right number of VMs; then, when nobody comes or goes, the right template."""
    if pool.metadata.deletion_timestamp:
        return Plan(ending(pool, seen))
    if FINALIZER not in pool.metadata.finalizers:
        return Plan((guarded(pool, [*pool.metadata.finalizers, FINALIZER], "guard"),))
    found, moves = belonging(pool, seen)
    if moves:
        return Plan(moves)
    crew = Crew(pool, tuple(found), now, seen.guests)
    book = pool_revisions.read(pool, seen.pages, seen.taken_pages | mentioned(seen))
    update = Update(crew, book)
    leaving = tuple(let_go(pool, seen, book))
    if pool.spec.paused:
        return report(crew, None, Moves(), leaving)
    return run(update, seen, leaving)


def run(update: Update, seen: Seen, leaving: tuple[Action, ...]) -> Plan:
    crew, book = update.crew, update.book
    moves = scale(update, seen)
    steps = rollout.step(update) if not moves.deletes and not moves.creates else rollout.Steps()
    disks = tuple(care(crew, seen.disks, moves))
    comes_and_goes: tuple[Action, ...] = (*map(Delete, moves.deletes), *moves.creates)
    tidy = pool_revisions.disposable(book, mentioned(seen)) if not (comes_and_goes or steps.actions) else ()
    actions = (*book.actions, *leaving, *disks, *comes_and_goes, *steps.actions, *tidy)
    return report(crew, update, moves, actions, steps.events)


def report(
    crew: Crew, update: Update | None, moves: Moves, actions: tuple[Action, ...], events: Iterable[Event] = ()
) -> Plan:
    told = pool_status.status(crew, update, len(moves.creates) - len(moves.deletes))
    every = (
        *(deleted(vm) for vm in moves.deletes),
        *(created(each) for each in moves.creates),
        *events,
        *pool_status.news(crew.pool, told),
    )
    return Plan(actions, told, every, wake(crew, update, moves) if update else None)


def wake(crew: Crew, update: Update, moves: Moves) -> float | None:
    """Seconds until the clock alone is a reason for a visit."""
    if BURST in (len(moves.creates), len(moves.deletes)):
        return 0.0
    guests = [vmi for vm in crew.vms if (vmi := crew.guest(vm))]
    return pool_choice.soonest(
        (
            DISK_WAIT if moves.waiting else None,
            members.next_available(guests, pool_choice.min_ready(crew.pool), crew.now),
            rollout.wake(update),
            *(pool_choice.failing_in(crew, vm) for vm in crew.vms),
        )
    )


def mentioned(seen: Seen) -> set[str]:
    """Revisions that VMs or guests are of, or were of under an earlier pool."""
    everyone = (*seen.owned, *seen.guests.values())
    return {each.metadata.labels[REVISION] for each in everyone if REVISION in each.metadata.labels}


# who belongs to the pool


def belonging(pool: Pool, seen: Seen) -> tuple[list[VM], tuple[Action, ...]]:
    """The VMs that are not being deleted; and the patches that take in and let go."""
    found, moves = members.membership(pool, pool.spec.selector, seen.owned, seen.orphans)
    pages = (members.adopt(pool, page) for page in seen.loose_pages if not members.dying(page))
    return found, (*map(with_finalizer, moves), *pages)


def with_finalizer(move: Patch) -> Patch:
    """Ours, with a VM that is taken in; not ours, with one that is let go."""
    others = [each for each in move.target.metadata.finalizers if each != FINALIZER]
    finalizers = [*others, FINALIZER] if move.why == "adopt" else others
    assert isinstance(move.patch, dict)
    return replace(move, patch={"metadata": move.patch["metadata"] | {"finalizers": finalizers}})


def guarded(obj: Resource, finalizers: list[str], why: str) -> Patch:
    return Patch(obj, {"metadata": {"finalizers": finalizers}}, why)


def released(obj: Resource) -> Patch:
    return guarded(obj, [each for each in obj.metadata.finalizers if each != FINALIZER], "release")


def ending(pool: Pool, seen: Seen) -> tuple[Action, ...]:
    """The VMs go with the pool, or stay, as the user asked; none of them waits for it. Last, its own finalizer."""
    known = (vm for vm in seen.orphans if selectors.matches(pool.spec.selector, vm.metadata.labels))
    if vms := [vm for vm in (*seen.owned, *known) if FINALIZER in vm.metadata.finalizers]:
        return tuple(map(released, vms))
    return (released(pool),) if FINALIZER in pool.metadata.finalizers else ()


def let_go(pool: Pool, seen: Seen, book: Book) -> Iterator[Action]:
    """VMs that are being deleted: first their disks, if they are to stay, then our finalizer."""
    for vm in seen.owned:
        if not members.dying(vm) or FINALIZER not in vm.metadata.finalizers:
            continue
        replaced = REPLACED in vm.metadata.annotations and rollout.disks_differ(pool, book, vm)
        keep = pool_choice.keeps_when_deleted(pool) and not replaced
        kept = tuple(pool_disks.let_go(pool, vm, seen.disks)) if keep else ()
        yield from kept or (released(vm),)


# how many there are


def scale(update: Update, seen: Seen) -> Moves:
    """Who is too many goes, who is missing comes; a VM that is being deleted has its place until it is gone."""
    crew = update.crew
    ill = [vm for vm in crew.vms if pool_choice.failing_in(crew, vm) == 0 and healed(update, vm)]
    deletes = (*ill, *pool_choice.surplus(crew, ill))[:BURST]
    missing = pool_choice.replicas(crew.pool) - len(seen.owned)
    creates, waiting = coming(update, seen, min(max(missing, 0), BURST))
    return Moves(deletes, tuple(creates), waiting)


def healed(update: Update, vm: VM) -> bool:
    """Not while an update runs that it is part of: another one of the same template would hide that it fails."""
    return not (update.running and update.current(vm))


def coming(update: Update, seen: Seen, count: int) -> tuple[list[Create], bool]:
    """The lowest indexes that are free; one whose disk is still going is waited for."""
    pool, made, waiting = update.pool, [], False
    for number in candidates(pool, seen.taken, count):
        if count == 0:
            break
        if pool_disks.elsewhere(pool, number, seen.disks):
            continue
        count -= 1
        if pool_disks.leaving(pool, number, seen.disks):
            waiting = True
        else:
            made.append(machine(update, number))
    return made, waiting


def machine(update: Update, number: int) -> Create:
    """The VirtualMachine of an index."""
    pool, book = update.pool, update.book
    marks = book.content["virtualMachineTemplate"]["metadata"]
    metadata = {
        "name": pool_index.name(pool, number),
        "namespace": pool.metadata.namespace,
        "labels": marks["labels"] | {REVISION: book.name},
        "annotations": marks["annotations"],
        "finalizers": [launcher.VM_FINALIZER, FINALIZER],
        "ownerReferences": [owner_reference(pool)],
    }
    return Create(VM, {"metadata": metadata, "spec": pool_index.spec(book.content, number, book.name)})


def care(crew: Crew, disks: Disks, moves: Moves) -> Iterator[Action]:
    """Disks of VMs that we take away stay, if they are to; those that were kept belong to their next VM."""
    keep = pool_choice.keeps_when_scaled(crew.pool)
    for vm in crew.vms:
        if vm.metadata.uid not in moves.gone:
            yield from pool_disks.take_again(crew.pool, vm, disks)
        elif keep:
            yield from pool_disks.let_go(crew.pool, vm, disks)


# what is told


def created(create: Create) -> Event:
    meta = create.body["metadata"]
    return Event("SuccessfulCreate", f"Created VM {meta['namespace']}/{meta['name']}")


def deleted(vm: VM) -> Event:
    return Event("SuccessfulDelete", f"Deleted VM {rollout.place(vm)} with uid {vm.metadata.uid} from pool")


def failed(pool: Pool, plan: Plan, failure: Failure, now: datetime) -> Plan:
    """A VM was refused; those that were not are counted at the next visit."""
    creates = sum(isinstance(action, Create) and action.kind is VM for action in plan.actions)
    trouble = {"ReplicaFailure": Condition(True, "FailedScaleOut", f"error during scale out: {failure.error}")}
    existing = pool.status.conditions if pool.status else ()
    told: Raw = dict(plan.status or {}) | {"conditions": conditions.update(existing, trouble, now)}
    if "replicas" in told:
        told["replicas"] -= creates
    return Plan(status=told, events=(Event("FailedCreate", f"Error creating VM: {failure.error}", "Warning"),))


def controller(settings: ManagerSettings) -> Controller[Pool, Seen]:
    disks = (DataVolume, PersistentVolumeClaim) if settings.data_volumes else (PersistentVolumeClaim,)
    return Controller(
        name="pool",
        parent=Pool,
        children=(VM, ControllerRevision),
        others=(VMI, *disks),
        look=look,
        plan=plan,
        failed=failed,
        concerns=whose,
        pace=PACE,
        workers=4,
        selectors={ControllerRevision: apps.REVISION_OF},
    )
