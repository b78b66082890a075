"""VirtualMachineInstanceMigration: one move of a running guest, from the wish to the end.

The agents of both nodes do the work; what they, and we, have done so far is in the VMI's status.migrationState:

    we      a target pod, once a slot is free                    Scheduling, Scheduled
    we      migrationState: from where, to where                 PreparingTarget
    target  its address: network and libvirtd are ready          TargetReady
    source  startTimestamp: from here on only the source says how it ends     Running
    source  hand-over, or failure                                Succeeded, Failed
"""

from collections.abc import Iterable
from datetime import datetime
from functools import partial

from hostler.api import launcher
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigration as Migration
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigrationState as State
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import Resource
from hostler.runtime import conditions, names, ownership
from hostler.runtime.conditions import Condition
from hostler.runtime.errors import Forbidden, Terminal
from hostler.runtime.plan import Controller, Create, Event, Failure, Patch, Plan
from hostler.runtime.store import Key, Store
from migration import budget, target_pod
from migration.cleanup import after
from migration.kinds import LauncherPod
from migration.report import FINAL, failed, report, since
from migration.seen import QUOTA, Seen, alive, look, migratable, phase, state_of, vmi_phase
from migration.settings import MigrationSettings
from migration.start import hand

ABORT = "migrationAbortRequested"


def controller(settings: MigrationSettings) -> Controller[Migration, Seen]:
    return Controller(
        name="migration",
        parent=Migration,
        children=(),
        others=(VirtualMachineInstance, LauncherPod),
        look=look,
        plan=partial(plan, settings=settings),
        failed=refused,
        concerns=concerned,
        selectors={LauncherPod: f"{launcher.APP_LABEL}={launcher.APP_VALUE}"},
        workers=1,  # limits hold only if one decision sees the one before it
    )


def concerned(changed: Resource, store: Store) -> Iterable[Key]:
    """A VMI or its pod concerns its moves; a move concerns those that wait for its slot."""
    name = changed.metadata.name
    if isinstance(changed, LauncherPod):
        owner = changed.metadata.controller
        name = owner.name if owner else ""
    for move in store.all(Migration):
        same = move.metadata.namespace == changed.metadata.namespace and move.spec.vmi_name == name
        waits = isinstance(changed, Migration) and phase(move) not in FINAL
        if waits or (same and not isinstance(changed, Migration)):
            yield move.metadata.namespace, move.metadata.name


def plan(move: Migration, seen: Seen, now: datetime, settings: MigrationSettings) -> Plan:
    """One step of a move."""
    if phase(move) in FINAL:
        return after(move, seen, settings)
    if launcher.MIGRATION_FINALIZER not in move.metadata.finalizers:
        return Plan() if move.metadata.deletion_timestamp else Plan((guard(move),))
    vmi, state = seen.vmi, state_of(move, seen.vmi)
    if vmi is None:
        return failed(move, None, f'the VMI "{move.metadata.namespace}/{move.spec.vmi_name}" does not exist', now)
    if state is not None and state.completed:
        return ended(move, vmi, state, now)
    if vmi.metadata.deletion_timestamp or vmi_phase(vmi) in FINAL:
        return failed(move, state, "the VMI has ended, or is being deleted", now)
    return begun(move, vmi, state, seen, now, settings) if state else before(move, vmi, seen, now, settings)


def before(
    move: Migration, vmi: VirtualMachineInstance, seen: Seen, now: datetime, settings: MigrationSettings
) -> Plan:
    """No agent knows of it yet."""
    if move.metadata.deletion_timestamp:
        return failed(move, None, "the migration was deleted before it had begun", now)
    return scheduling(move, vmi, seen, now, settings) if seen.target else waiting(move, vmi, seen, now, settings)


def guard(move: Migration) -> Patch:
    """The finalizer, and the label by which people find the moves of a VMI."""
    labels = {launcher.MIGRATION_VMI: names.label(move.spec.vmi_name or "")}
    finalizers = [*move.metadata.finalizers, launcher.MIGRATION_FINALIZER]
    return Patch(move, {"metadata": {"finalizers": finalizers, "labels": labels}}, "guard")


def waiting(
    move: Migration, vmi: VirtualMachineInstance, seen: Seen, now: datetime, settings: MigrationSettings
) -> Plan:
    """Make the target pod as soon as the guest can be moved and there is a slot."""
    if why := migratable(vmi):
        return failed(move, None, f"Cannot migrate VMI, {why}", now)
    source = seen.owner
    limits = budget.Limits(settings.parallel_per_cluster, settings.parallel_outbound, settings.parallel_inbound)
    if vmi_phase(vmi) != "Running" or source is None or source.ending:
        why, reason = "the guest does not run", "NotRunning"
    elif seen.earlier:
        why, reason = f"migration {seen.earlier} of the same VMI goes first", "InFlight"
    elif any(alive(pod) and not ownership.owns(pod, vmi) for pod in seen.pods):
        why, reason = "a pod of an earlier migration is still there", "Leftover"
    else:
        why, reason = budget.why_wait(move.metadata.uid, seen.slots, limits), "NoSlot"
    if why or source is None:
        return report(move, None, "Pending", now, Admitted=Condition(False, reason, why))
    body = target_pod.manifest(vmi, move, source, target_pod.next_epoch(vmi, seen.pods))
    event = Event("SuccessfulCreate", f"Created migration target pod {body['metadata']['name']}")
    made = report(move, None, "Scheduling", now, Admitted=None, **{QUOTA: None})
    return Plan((Create(LauncherPod, body),), made.status, (event,), settings.unschedulable_timeout)


def scheduling(
    move: Migration, vmi: VirtualMachineInstance, seen: Seen, now: datetime, settings: MigrationSettings
) -> Plan:
    """Wait for the target pod, not for ever; then for a slot of its node; then hand the VMI to the agents."""
    pod = seen.target
    assert pod is not None
    if pod.ending:
        return failed(
            move, None, f"the target pod {pod.metadata.name} ended: {pod.status.message or 'it was deleted'}", now
        )
    scheduled = pod.condition("PodScheduled")
    if pod.status.phase == "Running":  # it is not ready if its guest has a readiness probe: that one is not there yet
        limits = budget.Limits(settings.parallel_per_cluster, settings.parallel_outbound, settings.parallel_inbound)
        if why := budget.why_hold(move.metadata.uid, seen.slots, limits):
            return report(move, None, "Scheduled", now, Admitted=Condition(False, "NoSlot", why))
        return hand(move, vmi, seen, now, settings)
    unscheduled = scheduled is not None and scheduled.status == "False"
    limit = settings.unschedulable_timeout if unscheduled else settings.pending_timeout
    left = limit - (now - conditions.parse(pod.metadata.creation_timestamp or "")).total_seconds()
    trouble = (scheduled.message if scheduled and unscheduled else "") or ""
    if left <= 0:
        why = f"no node can take the target pod: {trouble}" if unscheduled else "the target pod did not start in time"
        return failed(move, None, why, now)
    told = Condition(False, "Unschedulable", trouble[:1024]) if unscheduled else None
    step = report(move, None, "Scheduling", now, PodScheduled=told)
    news = (
        unscheduled and not any(each.type == "PodScheduled" for each in move.status.conditions)
        if move.status
        else False
    )
    events = (Event("FailedScheduling", trouble[:1024], "Warning"),) if news else ()
    return Plan(status=step.status, events=events, requeue_after=left)


def begun(  # noqa: PLR0913, PLR0917 - what a step of a move depends on
    move: Migration,
    vmi: VirtualMachineInstance,
    state: State,
    seen: Seen,
    now: datetime,
    settings: MigrationSettings,
) -> Plan:
    """The agents have it. Who has written startTimestamp ends it; before that, we may."""
    if state.start_timestamp:
        return copying(move, vmi, state, seen, now)
    target = seen.target
    aborted = move.metadata.deletion_timestamp is not None
    left = settings.preparing_timeout - (now - since(move, "PreparingTarget", now)).total_seconds()
    why = ""
    if aborted:
        why = "the migration was aborted before the guest was copied"
    elif target is None or target.ending:
        said = (target and target.status.message) or "it was deleted"
        why = f"the target pod ended before the guest was copied: {said}"
    elif left <= 0:
        why = f"the agents of nodes {state.source_node} and {state.target_node} did not begin in time"
    step = report(move, state, "TargetReady" if state.target_node_address else "PreparingTarget", now)
    actions = (Patch(vmi, ownership.give_up(vmi, why, now, aborted=aborted), "give up"),) if why else ()
    return Plan(actions, step.status, requeue_after=max(left, 1))


def copying(move: Migration, vmi: VirtualMachineInstance, state: State, seen: Seen, now: datetime) -> Plan:
    """Only ask; but where the source's agent went away between the end of its QEMU and the hand-over, do that."""
    target, owner = seen.target, seen.owner
    step = report(move, state, "Running", now)
    if owner is not None and left_by_moving(owner) and target is not None and not target.ending:
        return Plan((Patch(vmi, ownership.hand_over(vmi, now), "hand over"),), step.status)
    if move.metadata.deletion_timestamp and not state.abort_requested:
        request = {"abortRequested": True, "abortStatus": "Aborting"}
        asked = report(move, state, "Running", now, **{ABORT: Condition(True, "Deleted")})
        event = Event("AbortRequested", "the migration is to be aborted")
        return Plan((Patch(vmi, {"status": {"migrationState": request}}, "abort"),), asked.status, (event,))
    return step


def left_by_moving(owner: LauncherPod) -> bool:
    """Whether PID 1 of this pod has seen its QEMU end because the guest had moved."""
    compute = owner.container(launcher.COMPUTE)
    last = compute.state.terminated if compute else None
    return owner.status.phase == "Succeeded" and last is not None and launcher.ending_reason(last.message) == "Migrated"


def ended(move: Migration, vmi: VirtualMachineInstance, state: State, now: datetime) -> Plan:
    """The source has said how."""
    if state.failed:
        return failed(move, state, state.failure_reason or "the source does not say why", now)
    note = f"{vmi.metadata.name} runs on {state.target_node} now; it ran on {state.source_node}"
    step = report(move, state, "Succeeded", now, Admitted=None, PodScheduled=None)
    return Plan(status=step.status, events=(Event("SuccessfulMigration", note),))


def refused(move: Migration, _plan: Plan, failure: Failure, now: datetime) -> Plan:
    """The target pod was refused: a quota may become free, all else may not."""
    if isinstance(failure.error, Forbidden) and "quota" in failure.error.message:
        told = Condition(True, "QuotaExceeded", failure.error.message[:1024])
        return report(move, None, "Pending", now, **{QUOTA: told})
    message = failure.error.message if isinstance(failure.error, Terminal) else str(failure.error)
    return failed(move, None, f"failed to create the target pod: {message}", now)
