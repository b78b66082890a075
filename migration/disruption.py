"""A disruption budget for each VMI that must not be evicted: the guard that stands while our webhook does not."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from hostler.api import launcher
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigration as Migration
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import Resource
from hostler.runtime import names
from hostler.runtime.plan import Controller, Create, Delete, Event, Failure, Patch, Plan, owner_reference
from hostler.runtime.store import Key, Store
from migration.eviction import protected
from migration.kinds import PodDisruptionBudget
from migration.seen import FINAL, phase, vmi_phase


@dataclass(frozen=True)
class Seen:
    """The budgets of a VMI, and whether it moves."""

    budgets: tuple[PodDisruptionBudget, ...] = ()
    moving: bool = False


def look(store: Store, vmi: VirtualMachineInstance) -> Seen:
    moves = store.within(Migration, vmi.metadata.namespace)
    moving = any(move.spec.vmi_name == vmi.metadata.name and phase(move) not in FINAL for move in moves)
    return Seen(tuple(store.owned(PodDisruptionBudget, vmi.metadata.uid)), moving)


def concerned(changed: Resource, _store: Store) -> Iterable[Key]:
    if isinstance(changed, Migration):
        yield changed.metadata.namespace, changed.spec.vmi_name or ""


def plan(vmi: VirtualMachineInstance, seen: Seen, _now: datetime) -> Plan:
    """One pod must stay; two while the guest moves, or the one that it is in could go."""
    if vmi.metadata.deletion_timestamp:
        return Plan()  # the garbage collector takes it along
    if not protected(vmi) or vmi_phase(vmi) in FINAL:
        return Plan(tuple(Delete(each) for each in seen.budgets))
    stay = 2 if seen.moving else 1
    if not seen.budgets:
        return Plan((Create(PodDisruptionBudget, budget(vmi, stay)),))
    wrong = [each for each in seen.budgets if each.spec.min_available != stay]
    return Plan(tuple(Patch(each, {"spec": {"minAvailable": stay}}, "protect") for each in wrong))


def budget(vmi: VirtualMachineInstance, stay: int) -> dict[str, object]:
    return {
        "metadata": {
            "name": "kubevirt-disruption-budget-" + names.suffix(vmi.metadata.uid),
            "namespace": vmi.metadata.namespace,
            "ownerReferences": [owner_reference(vmi)],
        },
        "spec": {
            "minAvailable": stay,
            "selector": {"matchLabels": {launcher.CREATED_BY: vmi.metadata.uid}},
        },
    }


def failed(_vmi: VirtualMachineInstance, _plan: Plan, failure: Failure, _now: datetime) -> Plan:
    note = f"cannot create a disruption budget: {failure.error}"
    return Plan(events=(Event("FailedCreatePodDisruptionBudget", note[:1024], "Warning"),))


CONTROLLER = Controller(
    name="disruption",
    parent=VirtualMachineInstance,
    children=(PodDisruptionBudget,),
    others=(Migration,),
    look=look,
    plan=plan,
    failed=failed,
    concerns=concerned,
    subresource=None,
)
