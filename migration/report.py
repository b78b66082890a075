"""What a migration's status says. Pure."""

from datetime import datetime

from hostler.api.kubevirt.migration import VirtualMachineInstanceMigration as Migration
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigrationState as State
from hostler.runtime import conditions
from hostler.runtime.conditions import Condition
from hostler.runtime.plan import Event, Plan
from hostler.runtime.protocol import Raw
from migration.seen import FINAL, phase

__all__ = ["FINAL", "failed", "report", "since"]


def report(move: Migration, state: State | None, to: str, now: datetime, **wanted: Condition | None) -> Plan:
    """The phase and when it began, the conditions, and a copy of what the VMI says."""
    status: Raw = {}
    if phase(move) != to:
        passed = move.status.phase_transition_timestamps if move.status else ()
        known = [each.model_dump(mode="json", by_alias=True, exclude_unset=True) for each in passed]
        stamp = {"phase": to, "phaseTransitionTimestamp": conditions.stamp(now)}
        status = {"phase": to, "phaseTransitionTimestamps": [*known, stamp]}
    if wanted:
        status["conditions"] = conditions.update(move.status.conditions if move.status else (), wanted, now)
    if state is not None:
        status["migrationState"] = state.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return Plan(status=status)


def failed(move: Migration, state: State | None, why: str, now: datetime) -> Plan:
    """Over, and the guest stays where it is."""
    step = report(move, state, "Failed", now, Admitted=None)
    assert step.status is not None
    if state is None:
        step.status["migrationState"] = {
            "migrationUid": move.metadata.uid,
            "completed": True,
            "failed": True,
            "failureReason": why[:1024],
            "endTimestamp": conditions.stamp(now),
        }
    return Plan(status=step.status, events=(Event("FailedMigration", why[:1024], "Warning"),))


def since(move: Migration, name: str, now: datetime) -> datetime:
    """When a phase began; now, if it has not."""
    passed = move.status.phase_transition_timestamps if move.status else ()
    found = next((each.phase_transition_timestamp for each in passed if each.phase == name), None)
    return conditions.parse(found) if found else now
