"""What a pool says of itself, in KubeVirt's words; and of its update, in apps/v1's. Pure."""

from controllers import pool_rollout as rollout
from controllers.pool_choice import Crew, replicas
from controllers.pool_rollout import Update
from hostler.api.kubevirt.pool import VirtualMachinePool
from hostler.api.meta import ProbedCondition
from hostler.runtime import conditions, selectors
from hostler.runtime.conditions import Condition
from hostler.runtime.plan import Event
from hostler.runtime.protocol import Raw

NAMED = 3  # VMs that a message names
STOPPED = "ProgressDeadlineExceeded"
COMPLETE = "UpdateComplete"


def status(crew: Crew, update: Update | None, change: int) -> Raw:
    """What will be true when the plan is carried out; `update`: None while nothing is looked at."""
    pool = crew.pool
    wanted: dict[str, Condition | None] = {
        "ReplicaPaused": Condition(True, "SuccessfulPaused", "Pool controller is paused") if pool.spec.paused else None,
        "ReplicaFailure": None,
    }
    seen: Raw = {}
    if update is not None:
        wanted["Progressing"] = progress(update)
        seen["observedGeneration"] = pool.metadata.generation
    return seen | {
        "replicas": len(crew.vms) + change,
        "readyReplicas": sum(map(crew.ready, crew.vms)),
        "labelSelector": selectors.text(pool.spec.selector),
        "conditions": conditions.update(pool.status.conditions if pool.status else (), wanted, crew.now),
    }


def progress(update: Update) -> Condition | None:
    """How far the VMs are with the template; a pool that was there once is there until the template changes."""
    if not rollout.proactive(update.pool):
        return None
    name, count = update.book.name, rollout.done(update)
    total = len(update.scope) + max(replicas(update.pool) - len(update.crew.vms), 0)
    complete = Condition(True, COMPLETE, f"revision {name} is on all virtual machines")
    known = said(update.pool, "Progressing")
    was_complete = known is not None and known.reason == COMPLETE and known.message == complete.message
    if not update.running and (was_complete or count + sum(map(update.crew.resting, update.scope)) >= total):
        return complete
    if update.late:
        return Condition(False, STOPPED, trouble(update))
    return Condition(True, "Updating", f"{count} of {total} virtual machines are Ready with revision {name}")


def trouble(update: Update) -> str:
    """Which VMs keep the update from going on."""
    late = sorted(vm.metadata.name for vm in update.late)
    named = ", ".join(late[:NAMED]) + (f" and {len(late) - NAMED} more" if len(late) > NAMED else "")
    time = rollout.deadline(update.pool)
    return f"{named} not Ready within {time} seconds with revision {update.book.name}"


def said(pool: VirtualMachinePool, kind: str) -> ProbedCondition | None:
    found = pool.status.conditions if pool.status else ()
    return next((each for each in found if each.type == kind), None)


def news(pool: VirtualMachinePool, told: Raw) -> tuple[Event, ...]:
    """What is told once: when the pool is paused or goes on, when an update stops or goes on."""
    return (*paused(pool), *stopped(pool, told))


def paused(pool: VirtualMachinePool) -> tuple[Event, ...]:
    was = said(pool, "ReplicaPaused") is not None
    if bool(pool.spec.paused) == was:
        return ()
    return (Event("SuccessfulResume", "Pool is unpaused") if was else Event("SuccessfulPaused", "Pool is paused"),)


def stopped(pool: VirtualMachinePool, told: Raw) -> tuple[Event, ...]:
    before = said(pool, "Progressing")
    was = before is not None and before.reason == STOPPED
    now = next((each for each in told["conditions"] if each["type"] == "Progressing"), None)
    if now is not None and now.get("reason") == STOPPED:
        return () if was else (Event("UpdateStopped", f"The update has stopped: {now['message']}", "Warning"),)
    return (Event("UpdateResumed", "The update goes on"),) if was and now is not None else ()
