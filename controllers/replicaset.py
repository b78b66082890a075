"""VirtualMachineInstanceReplicaSet: N interchangeable VMIs."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from itertools import count, islice

from controllers.members import HOLD, born, finished, membership, ready, replaceable
from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet as ReplicaSet
from hostler.api.meta import Resource
from hostler.runtime import conditions, names, selectors
from hostler.runtime.conditions import Condition
from hostler.runtime.plan import Controller, Create, Delete, Event, Failure, Plan, owner_reference
from hostler.runtime.protocol import Raw
from hostler.runtime.store import Key, Store

BURST = 250  # as many creates, and deletes, per visit as KubeVirt allows
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"  # annotation: the cheapest go first
COST = re.compile("0|-?[1-9][0-9]{0,9}")
PACE = 0.5  # seconds between visits: one status write tells of many members


@dataclass(frozen=True)
class Seen:
    """The VMIs that matter to a set."""

    owned: tuple[VMI, ...] = ()
    orphans: tuple[VMI, ...] = ()  # of the namespace; the selector decides
    taken: Set[str] = frozenset()  # names of the namespace


def look(store: Store, rs: ReplicaSet) -> Seen:
    namespace = rs.metadata.namespace
    owned, orphans = store.owned(VMI, rs.metadata.uid), store.orphans(VMI, namespace)
    return Seen(tuple(owned), tuple(orphans), store.names(VMI, namespace))


def who_might_adopt(changed: Resource, store: Store) -> Iterable[Key]:
    """A VMI that nobody owns concerns every set that selects it."""
    if not isinstance(changed, VMI) or changed.metadata.controller:
        return
    for rs in store.within(ReplicaSet, changed.metadata.namespace):
        if selectors.matches(rs.spec.selector, changed.metadata.labels):
            yield rs.metadata.namespace, rs.metadata.name


def plan(rs: ReplicaSet, seen: Seen, now: datetime) -> Plan:
    """Adopt and release by the selector, replace what has ended, create what is missing, delete what is too much."""
    if rs.metadata.deletion_timestamp:
        return Plan()  # the garbage collector deletes the members, or leaves them, as the user asked
    orphans = (vmi for vmi in seen.orphans if not finished(vmi))
    members, moves = membership(rs, rs.spec.selector, seen.owned, orphans)
    alive = [vmi for vmi in members if not finished(vmi)]
    if rs.spec.paused:
        return Plan(moves, status(rs, alive, 0, now), pause_events(rs))
    ended, held = replaceable((vmi for vmi in members if finished(vmi)), now)
    missing = wanted(rs) - len(alive)
    free = islice(free_names(rs, seen.taken), min(max(missing - len(held), 0), BURST))
    template = Template(rs, now)
    creates = tuple(Create(VMI, template.body(name)) for name in free)
    surplus = tuple(map(Delete, ranked(alive)[: min(max(-missing, 0), BURST)])) if missing < 0 else ()
    deletes = tuple(map(Delete, ended[:BURST])) + surplus
    again = 0.0 if BURST in (len(creates), len(surplus)) else HOLD if held else None
    change = len(creates) - len(surplus)
    events = (*(created(each) for each in creates), *(deleted(each) for each in deletes), *pause_events(rs))
    return Plan(moves + deletes + creates, status(rs, alive, change, now), events, again)


def wanted(rs: ReplicaSet) -> int:
    return 1 if rs.spec.replicas is None else rs.spec.replicas


def ranked(vmis: Sequence[VMI]) -> list[VMI]:
    """Who goes first when there are too many: unready, not running, cheap, crowded on a node, young."""
    crowd = Counter(map(node, vmis))

    def worth(vmi: VMI) -> tuple[bool, bool, int, int, float, str]:
        running = vmi.status is not None and vmi.status.phase == "Running"
        return ready(vmi), running, cost(vmi), -crowd[node(vmi)], -born(vmi), vmi.metadata.name

    return sorted(vmis, key=worth)


def node(vmi: VMI) -> str:
    return (vmi.status and vmi.status.node_name) or ""


def cost(vmi: VMI) -> int:
    """What its owner says that it costs to delete it; what is no number says nothing."""
    text = vmi.metadata.annotations.get(DELETION_COST, "")
    return int(text) if COST.fullmatch(text) else 0


def free_names(rs: ReplicaSet, taken: Set[str]) -> Iterator[str]:
    """<name><5 characters>, as generateName makes; but of the UID and a number, so a repeated create is known."""
    template = rs.spec.template.metadata
    base = (template and (template.name or template.generate_name)) or rs.metadata.name
    slots = (f"{base}{names.suffix(f'{rs.metadata.uid}/{number}')}" for number in count())
    return (name for name in slots if name not in taken)


class Template:
    """What every new member is made of; parsed and dumped once for a whole burst."""

    def __init__(self, rs: ReplicaSet, now: datetime) -> None:
        template = rs.spec.template
        meta = template.metadata
        self._metadata: Raw = {
            "namespace": rs.metadata.namespace,
            "labels": meta.labels if meta else {},
            "annotations": meta.annotations if meta else {},
            "finalizers": [launcher.VMI_FINALIZER],
            "ownerReferences": [owner_reference(rs)],
        }
        self._spec = template.spec and template.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
        pending = {"phase": "Pending", "phaseTransitionTimestamp": conditions.stamp(now)}
        self._status = {"phase": "Pending", "phaseTransitionTimestamps": [pending]}

    def body(self, name: str) -> Raw:
        return {"metadata": self._metadata | {"name": name}, "spec": self._spec, "status": self._status}


def status(rs: ReplicaSet, alive: list[VMI], change: int, now: datetime) -> Raw:
    """What will be true when the plan is carried out."""
    paused = Condition(True, "Paused") if rs.spec.paused else None
    existing = rs.status.conditions if rs.status else ()
    return {
        "replicas": len(alive) + change,
        "readyReplicas": sum(map(ready, alive)),
        "labelSelector": selectors.text(rs.spec.selector),
        "conditions": conditions.update(existing, {"ReplicaPaused": paused, "ReplicaFailure": None}, now),
    }


def failed(rs: ReplicaSet, plan: Plan, failure: Failure, now: datetime) -> Plan:
    """A member was refused; those that were not are counted at the next visit."""
    creates = sum(isinstance(action, Create) for action in plan.actions)
    trouble = {"ReplicaFailure": Condition(True, "FailedCreate", str(failure.error))}
    existing = rs.status.conditions if rs.status else ()
    left = plan.status or {}
    told = left | {"conditions": conditions.update(existing, trouble, now)}
    if "replicas" in left:
        told["replicas"] = left["replicas"] - creates
    note = f"Error creating virtual machine instance: {failure.error}"
    return Plan(status=told, events=(Event("FailedCreate", note, "Warning"),))


def pause_events(rs: ReplicaSet) -> tuple[Event, ...]:
    """Told once, when the condition turns."""
    was = rs.status is not None and any(c.type == "ReplicaPaused" for c in rs.status.conditions)
    if bool(rs.spec.paused) == was:
        return ()
    return (Event("SuccessfulPaused", "Paused") if rs.spec.paused else Event("SuccessfulResumed", "Resumed"),)


def created(create: Create) -> Event:
    name = create.body["metadata"]["name"]
    note = f"Started the virtual machine by creating the new virtual machine instance {name}"
    return Event("SuccessfulCreate", note)


def deleted(delete: Delete) -> Event:
    name = delete.target.metadata.name
    return Event("SuccessfulDelete", f"Stopped the virtual machine by deleting the virtual machine instance {name}")


CONTROLLER = Controller(
    name="replicaset",
    parent=ReplicaSet,
    children=(VMI,),
    look=look,
    plan=plan,
    failed=failed,
    concerns=who_might_adopt,
    pace=PACE,
    workers=4,
)
