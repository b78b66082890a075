"""VirtualMachineDeployment: guests that follow their template, a replica set for each state of it."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime

from controllers import deployment_rollout as rollout
from controllers import deployment_sets as sets
from controllers import deployment_status as report
from controllers import members
from controllers.deployment_rollout import Resize
from controllers.deployment_sets import Fleet
from controllers.deployment_status import Conditions, News
from hostler.api.apps import VirtualMachineDeployment as Deployment
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet as ReplicaSet
from hostler.api.meta import Resource
from hostler.runtime import selectors
from hostler.runtime.errors import AlreadyExists
from hostler.runtime.plan import Action, Controller, Create, Delete, Event, Failure, Plan
from hostler.runtime.protocol import Raw
from hostler.runtime.store import Key, Store

PACE = 0.3  # seconds between visits: one status write tells of many guests
NO_NEWS = News()


@dataclass(frozen=True)
class Seen:
    """The sets that matter to a deployment, and their guests."""

    owned: tuple[ReplicaSet, ...] = ()
    orphans: tuple[ReplicaSet, ...] = ()  # of the namespace; the selector decides
    guests: Mapping[str, tuple[VMI, ...]] = field(default_factory=dict)  # by their set's UID
    taken: Set[str] = frozenset()  # names of sets of the namespace


@dataclass(frozen=True)
class Steps:
    """What a visit does."""

    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    news: News = NO_NEWS


def look(store: Store, deployment: Deployment) -> Seen:
    namespace = deployment.metadata.namespace
    owned = tuple(store.owned(ReplicaSet, deployment.metadata.uid))
    guests = {rs.metadata.uid: tuple(store.owned(VMI, rs.metadata.uid)) for rs in owned}
    orphans = tuple(store.orphans(ReplicaSet, namespace))
    return Seen(owned, orphans, guests, store.names(ReplicaSet, namespace))


def whose(changed: Resource, store: Store) -> Iterable[Key]:
    """A guest concerns the deployment of its set; a set that nobody owns, every deployment that selects it."""
    namespace, owner = changed.metadata.namespace, changed.metadata.controller
    if isinstance(changed, VMI) and owner and owner.kind == ReplicaSet.kind():
        rs = store.get(ReplicaSet, (namespace, owner.name))
        above = rs.metadata.controller if rs else None
        if above and above.kind == Deployment.kind():
            yield namespace, above.name
    elif isinstance(changed, ReplicaSet) and owner is None:
        for each in store.within(Deployment, namespace):
            if selectors.matches(each.spec.selector, changed.metadata.labels):
                yield namespace, each.metadata.name


def plan(deployment: Deployment, seen: Seen, now: datetime) -> Plan:
    """Find the set of the template and the others; take one step towards all guests being of the first; report."""
    if deployment.metadata.deletion_timestamp:
        return Plan()  # the garbage collector deletes the sets, or leaves them, as the user asked
    found, moves = members.membership(deployment, deployment.spec.selector, seen.owned, seen.orphans)
    if moves:
        return Plan(moves)
    min_ready = deployment.spec.min_ready_seconds or 0
    fleets = {rs.metadata.uid: Fleet(rs, seen.guests.get(rs.metadata.uid, ()), now, min_ready) for rs in found}
    newest = sets.newest(deployment, found)
    new = fleets.pop(newest.metadata.uid) if newest else None
    old = tuple(fleets.values())
    steps = step(deployment, new, old, seen.taken)
    status = report.status(deployment, new, old, steps.news, now)
    return Plan(steps.actions, status, steps.events, wake(deployment, new, old, status, now))


def step(deployment: Deployment, new: Fleet | None, old: tuple[Fleet, ...], taken: Set[str]) -> Steps:
    """One thing at a time: numbers, sizes, a rollout's next move, or tidying up."""
    if numbers := sets.numbered(deployment, new, old):
        return Steps(numbers)
    everyone = (*old, new) if new else old
    if deployment.spec.paused or rollout.scaled(deployment, everyone):
        moves = resize(deployment, rollout.scale(deployment, new, old))
        return moves if moves.actions else tidy(deployment, old)
    if rollout.recreates(deployment):
        if new is None and rollout.cleared(old) and not any(each.size for each in old):
            return make(deployment, old, taken)
        moves = resize(deployment, rollout.recreating(deployment, new, old))
    elif new is None:
        return make(deployment, old, taken)
    else:
        moves = resize(deployment, rollout.rolling(deployment, new, old))
    if moves.actions or not report.complete(deployment, report.counted(new, old)):
        return moves
    return tidy(deployment, old)


def make(deployment: Deployment, old: tuple[Fleet, ...], taken: Set[str]) -> Steps:
    """The set of a template that has none yet."""
    revision = max((each.revision for each in old), default=0) + 1
    size = rollout.first_size(deployment, old)
    create, collision = sets.fresh(deployment, revision, size, rollout.most(deployment), taken)
    name = create.body["metadata"]["name"]
    events = (scaling(name, 0, size),) if size else ()
    return Steps((create,), events, News(name, collision))


def resize(deployment: Deployment, wanted: Sequence[Resize]) -> Steps:
    most = rollout.most(deployment)
    patches = (sets.resized(deployment, fleet, size, most) for fleet, size in wanted)
    events = (scaling(fleet.rs.metadata.name, fleet.size, size) for fleet, size in wanted if size != fleet.size)
    return Steps(tuple(each for each in patches if each), tuple(events))


def tidy(deployment: Deployment, old: tuple[Fleet, ...]) -> Steps:
    return Steps(tuple(map(Delete, sets.disposable(deployment, old))))


def scaling(name: str, before: int, after: int) -> Event:
    way = "up" if after > before else "down"
    return Event("ScalingReplicaSet", f"Scaled {way} replica set {name} from {before} to {after}")


def wake(deployment: Deployment, new: Fleet | None, old: tuple[Fleet, ...], status: Raw, now: datetime) -> float | None:
    """Seconds until the clock alone is a reason for a visit."""
    known = next((each for each in status["conditions"] if each["type"] == "Progressing"), None)
    left = report.time_left(deployment, known, now)
    vmis = [vmi for each in ((*old, new) if new else old) for vmi in each.alive]
    soon = members.next_available(vmis, deployment.spec.min_ready_seconds, now)
    return members.soonest(soon, None if left is None else max(left, 0.0) + 1)


def failed(deployment: Deployment, plan: Plan, failure: Failure, now: datetime) -> Plan:
    """The new set was refused. Its name is somebody's: another will be tried; else the user must see why."""
    status = dict(plan.status or {})
    name = failure.action.body["metadata"]["name"] if isinstance(failure.action, Create) else ""
    if isinstance(failure.error, AlreadyExists):
        return Plan(status={"collisionCount": sets.collisions(deployment) + 1})
    words = f'Failed to create new replica set "{name}": {failure.error}'
    if report.deadline(deployment) is not None:
        told = Conditions(deployment, now)
        told.set("Progressing", "False", "ReplicaSetCreateError", words)
        status["conditions"] = told.all()
    return Plan(status=status, events=(Event("ReplicaSetCreateError", words, "Warning"),))


CONTROLLER = Controller(
    name="deployment",
    parent=Deployment,
    children=(ReplicaSet,),
    others=(VMI,),
    look=look,
    plan=plan,
    failed=failed,
    concerns=whose,
    pace=PACE,
    workers=4,
)
