"""Empties nodes: a VMI that is to leave its node gets a migration, again and again until it has left."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from hostler.api import launcher
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigration as Migration
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import Resource
from hostler.runtime import conditions, names
from hostler.runtime.plan import Controller, Create, Event, Failure, Plan
from hostler.runtime.store import Key, Store
from migration.eviction import moves_away
from migration.kinds import Node
from migration.seen import FINAL, age, phase, vmi_phase

DRAIN = "kubevirt.io/drain"  # a taint on a node that is to be empty
FIRST, LONGEST = 20.0, 600.0  # seconds until a failed evacuation is tried again; doubled each time


@dataclass(frozen=True)
class Seen:
    """A VMI's moves, newest first, and whether its node is to be empty."""

    moves: tuple[Migration, ...] = ()
    draining: bool = False


def look(store: Store, vmi: VirtualMachineInstance) -> Seen:
    namespace, name = vmi.metadata.namespace, vmi.metadata.name
    moves = sorted((each for each in store.within(Migration, namespace) if each.spec.vmi_name == name), key=age)
    node = store.get(Node, ("", node_of(vmi)))
    draining = node is not None and any(taint.key == DRAIN for taint in node.spec.taints)
    return Seen(tuple(reversed(moves)), draining)


def concerned(changed: Resource, store: Store) -> Iterable[Key]:
    if isinstance(changed, Migration):
        yield changed.metadata.namespace, changed.spec.vmi_name or ""
    elif isinstance(changed, Node):
        for vmi in store.all(VirtualMachineInstance):
            if node_of(vmi) == changed.metadata.name:
                yield vmi.metadata.namespace, vmi.metadata.name


def plan(vmi: VirtualMachineInstance, seen: Seen, now: datetime) -> Plan:
    """A migration, if the VMI is to go, can, and does not yet."""
    node = node_of(vmi)
    asked = vmi.status is not None and vmi.status.evacuation_node_name == node
    if not node or vmi.metadata.deletion_timestamp or vmi_phase(vmi) != "Running":
        return Plan()
    if not (asked or seen.draining) or not moves_away(vmi):
        return Plan()
    if any(phase(move) not in FINAL for move in seen.moves):
        return Plan()
    tries = failures(vmi, seen.moves)
    if tries and (left := pause(len(tries)) - (now - ended(tries[0], now)).total_seconds()) > 0:
        return Plan(requeue_after=left)
    body = {
        "metadata": {
            # so often was it tried: a repeated create finds its own work
            "name": "kubevirt-evacuation-" + names.suffix(f"{vmi.metadata.uid}/{node}/{last(seen.moves)}"),
            "namespace": vmi.metadata.namespace,
            "annotations": {launcher.EVACUATION: node},
        },
        "spec": {"vmiName": vmi.metadata.name, "priority": "system-critical"},
    }
    return Plan((Create(Migration, body),), events=(Event("EvacuationMigration", f"the guest leaves node {node}"),))


def failures(vmi: VirtualMachineInstance, moves: tuple[Migration, ...]) -> list[Migration]:
    """The evacuations from this node that have failed since the last one that did not, newest first."""
    found = []
    for move in moves:
        if move.metadata.annotations.get(launcher.EVACUATION) != node_of(vmi) or phase(move) != "Failed":
            break
        found.append(move)
    return found


def pause(tries: int) -> float:
    return min(FIRST * 2.0 ** (tries - 1), LONGEST)


def ended(move: Migration, now: datetime) -> datetime:
    state = move.status.migration_state if move.status else None
    return conditions.parse(state.end_timestamp) if state and state.end_timestamp else now - timedelta(seconds=LONGEST)


def last(moves: tuple[Migration, ...]) -> str:
    return moves[0].metadata.uid if moves else ""


def node_of(vmi: VirtualMachineInstance) -> str:
    return (vmi.status and vmi.status.node_name) or ""


def failed(_vmi: VirtualMachineInstance, _plan: Plan, failure: Failure, _now: datetime) -> Plan:
    return Plan(events=(Event("FailedEvacuation", f"cannot create a migration: {failure.error}"[:1024], "Warning"),))


CONTROLLER = Controller(
    name="evacuation",
    parent=VirtualMachineInstance,
    children=(),
    others=(Migration, Node),
    look=look,
    plan=plan,
    failed=failed,
    concerns=concerned,
    subresource=None,
)
