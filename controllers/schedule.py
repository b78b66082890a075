"""VirtualMachineSchedule: machines and sets that go up and down by the clock."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from controllers import schedule_targets
from controllers.schedule_clock import Clock, Transition
from controllers.schedule_targets import Target, Turn
from controllers.settings import ManagerSettings
from hostler.api.apps import VirtualMachineDeployment, VirtualMachineStatefulSet
from hostler.api.kubevirt.pool import VirtualMachinePool
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet
from hostler.api.meta import Resource
from hostler.api.schedule import VirtualMachineSchedule
from hostler.runtime import conditions, selectors
from hostler.runtime.conditions import Condition
from hostler.runtime.plan import Controller, Event, Failure, Patch, Plan
from hostler.runtime.protocol import Kind, Raw
from hostler.runtime.schedule import UnknownTimeZone
from hostler.runtime.store import Key, Store

KINDS: dict[str, Kind] = {
    kind.kind(): kind
    for kind in (
        VirtualMachine,
        VirtualMachineInstanceReplicaSet,
        VirtualMachinePool,
        VirtualMachineDeployment,
        VirtualMachineStatefulSet,
    )
}
LOOK = 600.0  # seconds between looks at the clock at most: somebody may have set it
SOON = 0.1  # seconds after the time, so that it is not before it
NAMED = 5  # targets that an event names; the others it counts
SUSPENDED = Condition(False, "Suspended", "nothing happens before it resumes")
DONE = {"Start": "Started", "Stop": "Stopped"}


@dataclass(frozen=True)
class Seen:
    """What the schedule names, as far as it is there."""

    targets: tuple[Target, ...] = ()


def look(store: Store, schedule: VirtualMachineSchedule) -> Seen:
    found = tuple(each for each in candidates(store, schedule) if not each.metadata.deletion_timestamp)
    return Seen(tuple(Target(each, instance(store, each)) for each in found))


def candidates(store: Store, schedule: VirtualMachineSchedule) -> Iterable[Resource]:
    ref, namespace = schedule.spec.target_ref, schedule.metadata.namespace
    kind = KINDS.get(ref.kind)
    if kind is None:
        return ()
    if ref.name is not None:
        it = store.get(kind, (namespace, ref.name))
        return (it,) if it is not None else ()
    return (each for each in store.within(kind, namespace) if names(schedule, each))


def names(schedule: VirtualMachineSchedule, it: Resource) -> bool:
    """Whether the schedule is about it."""
    ref = schedule.spec.target_ref
    if ref.kind != it.kind():
        return False
    if ref.selector is not None:
        return selectors.matches(ref.selector, it.metadata.labels)
    return ref.name == it.metadata.name


def instance(store: Store, it: Resource) -> VirtualMachineInstance | None:
    if not isinstance(it, VirtualMachine):
        return None
    return store.get(VirtualMachineInstance, (it.metadata.namespace, it.metadata.name))


def concerned(changed: Resource, store: Store) -> Iterator[Key]:
    """The schedules that are about it; where there are none, that costs nothing."""
    for schedule in store.within(VirtualMachineSchedule, changed.metadata.namespace):
        if names(schedule, changed):
            yield schedule.metadata.namespace, schedule.metadata.name


def plan(schedule: VirtualMachineSchedule, seen: Seen, now: datetime) -> Plan:
    """Carry out what is due, once; say what comes next."""
    if schedule.metadata.deletion_timestamp:
        return Plan()
    if schedule.spec.suspend:
        return Plan(status=status(schedule, seen, SUSPENDED, now))
    try:
        clock = Clock(schedule.spec)
    except ValueError as error:
        return unreadable(schedule, seen, error, now)
    since = begin(schedule)
    due, upcoming = clock.last(now), clock.next(max(now, since))
    told = status(schedule, seen, readiness(schedule, seen, upcoming), now, upcoming)
    wait = None if upcoming is None else min((upcoming.time - now).total_seconds() + SOON, LOOK)
    if due is None or due.time <= since:
        return Plan(status=told, requeue_after=wait)
    return carry_out(schedule, seen, due, Plan(status=told, requeue_after=wait), now)


def carry_out(schedule: VirtualMachineSchedule, seen: Seen, due: Transition, rest: Plan, now: datetime) -> Plan:
    """The last transition that was due, unless it is too late or there is nobody to make it."""
    patches: tuple[Patch, ...] = ()
    deadline = schedule.spec.starting_deadline_seconds
    if deadline is not None and (now - due.time).total_seconds() > deadline:
        outcome, event = "Missed", Event("MissedTransition", f"Missed scheduled time to {words(due)}", "Warning")
    elif not free(seen):
        outcome, event = "NoTarget", Event("NoTarget", f"{missing(schedule, seen)}: no {words(due)}", "Warning")
    else:
        turn = Turn(due.action, f"{schedule.metadata.name} {words(due)}", schedule.spec.replicas or 1)
        patches = tuple(filter(None, (schedule_targets.change(each, turn) for each in free(seen))))
        outcome, event = "Done", Event(DONE[due.action], sentence(schedule, due, patches))
    last = {"lastTransition": due.raw() | {"outcome": outcome}}
    return Plan(patches, (rest.status or {}) | last, (event,), rest.requeue_after)


def begin(schedule: VirtualMachineSchedule) -> datetime:
    """What was due until then is settled."""
    last = schedule.status.last_transition if schedule.status else None
    return conditions.parse(last.time if last else schedule.metadata.creation_timestamp or "")


def free(seen: Seen) -> tuple[Target, ...]:
    """Those whose size and strategy nobody else decides."""
    return tuple(each for each in seen.targets if each.it.metadata.controller is None)


# what is said


def words(transition: Transition) -> str:
    return f"{transition.action} {conditions.stamp(transition.time)}"


def sentence(schedule: VirtualMachineSchedule, due: Transition, patches: tuple[Patch, ...]) -> str:
    """`Stopped VirtualMachine a, b`; what was down already is not told of."""
    changed = [each.target.metadata.name for each in patches]
    if not changed:
        return f"{words(due)}: nothing to change"
    more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
    return f"{DONE[due.action]} {schedule.spec.target_ref.kind} {', '.join(changed[:NAMED])}{more}"


def missing(schedule: VirtualMachineSchedule, seen: Seen) -> str:
    """Why there is nobody to start or stop."""
    ref = schedule.spec.target_ref
    if not seen.targets:
        return f"{ref.kind} {ref.name} not found" if ref.name else f"no {ref.kind} has these labels"
    it = seen.targets[0].it
    owner = it.metadata.controller
    return f"{ref.kind} {it.metadata.name} belongs to {owner.kind} {owner.name}: schedule that" if owner else ""


def readiness(schedule: VirtualMachineSchedule, seen: Seen, upcoming: Transition | None) -> Condition:
    if upcoming is None:
        return Condition(False, "NeverDue", "the times of spec.start and spec.stop do not come again")
    if free(seen):
        return Condition(True, "Scheduled")
    return Condition(False, "TargetControlled" if seen.targets else "TargetNotFound", missing(schedule, seen))


def unreadable(schedule: VirtualMachineSchedule, seen: Seen, error: ValueError, now: datetime) -> Plan:
    """Admission lets nothing of this in; an older object may hold it."""
    reason = "UnknownTimeZone" if isinstance(error, UnknownTimeZone) else "UnparseableSchedule"
    events = () if condition(schedule) == (reason, str(error)) else (Event(reason, str(error), "Warning"),)
    return Plan(status=status(schedule, seen, Condition(False, reason, str(error)), now), events=events)


def status(
    schedule: VirtualMachineSchedule, seen: Seen, ready: Condition, now: datetime, upcoming: Transition | None = None
) -> Raw:
    before = schedule.status.conditions if schedule.status else ()
    return {
        "conditions": conditions.update(before, {"Ready": ready}, now),
        "nextTransition": upcoming.raw() if upcoming else None,
        "observedGeneration": schedule.metadata.generation,
        "targets": len(free(seen)),
    }


def condition(schedule: VirtualMachineSchedule) -> tuple[str, str] | None:
    known = schedule.status.conditions if schedule.status else ()
    return next(((each.reason or "", each.message or "") for each in known if each.type == "Ready"), None)


def failed(schedule: VirtualMachineSchedule, tried: Plan, failure: Failure, now: datetime) -> Plan:
    """Somebody refused it: it is tried again, later and later, until the next transition is due."""
    why = f"refused: {failure.action}: {failure.error}"
    events = () if condition(schedule) == ("TransitionFailed", why) else (Event("TransitionFailed", why, "Warning"),)
    before = schedule.status.conditions if schedule.status else ()
    told = {"conditions": conditions.update(before, {"Ready": Condition(False, "TransitionFailed", why)}, now)}
    kept = {key: value for key, value in (tried.status or {}).items() if key not in ("conditions", "lastTransition")}
    return Plan(status=kept | told, events=events)


CONTROLLER = Controller(
    name="schedule",
    parent=VirtualMachineSchedule,
    children=(),
    others=(*KINDS.values(), VirtualMachineInstance),
    look=look,
    plan=plan,
    failed=failed,
    concerns=concerned,
    pace=1.0,  # a thousand machines that start tell of it a thousand times
    workers=2,
)


def controller(settings: ManagerSettings) -> Controller[VirtualMachineSchedule, Seen]:
    """On top of KubeVirt pools are left out: not every version of it has them as they are here."""
    if settings.launcher_enabled:
        return CONTROLLER
    return replace(CONTROLLER, others=tuple(each for each in CONTROLLER.others if each is not VirtualMachinePool))
