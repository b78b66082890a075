"""The VMI, handed to the agents of both nodes. Pure."""

from datetime import datetime

from hostler.api import launcher
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigration as Migration
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime import ownership
from hostler.runtime.conditions import Condition
from hostler.runtime.plan import Event, Patch, Plan
from hostler.runtime.protocol import Raw
from migration.report import report
from migration.seen import Seen
from migration.settings import MigrationSettings


def hand(move: Migration, vmi: VirtualMachineInstance, seen: Seen, now: datetime, settings: MigrationSettings) -> Plan:
    """Tell both nodes, in one write."""
    source, target = seen.owner, seen.target
    if source is None or target is None or source.ending:
        return report(move, None, "Scheduled", now, Admitted=Condition(False, "NotRunning", "the guest does not run"))
    old = vmi.status.migration_state if vmi.status else None
    # a merge patch: what an earlier move left must be named to go
    cleared = dict.fromkeys(old.model_dump(by_alias=True, exclude_unset=True)) if old else {}
    state: Raw = {
        "migrationUid": move.metadata.uid,
        "sourceNode": source.node,
        "sourcePod": source.metadata.name,
        "targetNode": target.node,
        "targetPod": target.metadata.name,
        "migrationConfiguration": configuration(settings),
    }
    patch: Raw = {
        "metadata": {
            "annotations": {launcher.TARGET_EPOCH: str(ownership.epoch(target))},
            "labels": {launcher.TARGET_NODE: target.node},
        },
        "status": {
            "migrationState": cleared | state,
            "activePods": {source.metadata.uid: source.node, target.metadata.uid: target.node},
        },
    }
    event = Event("SuccessfulHandOver", f"Migration target pod {target.metadata.name} is ready for preparation")
    step = report(move, None, "PreparingTarget", now, Admitted=None, PodScheduled=None)
    return Plan((Patch(vmi, patch, "prepare"),), step.status, (event,), settings.preparing_timeout)


def configuration(settings: MigrationSettings) -> Raw:
    """What the source's agent keeps to; KubeVirt's names."""
    return {
        "bandwidthPerMigration": settings.bandwidth,
        "completionTimeoutPerGiB": settings.completion_timeout,
        "progressTimeout": settings.progress_timeout,
        "allowAutoConverge": settings.auto_converge,
        "allowPostCopy": False,  # needs userfaultfd, which a launcher pod may not use
        "allowWorkloadDisruption": settings.workload_disruption,
        "parallelMigrationsPerCluster": settings.parallel_per_cluster,
        "parallelOutboundMigrationsPerNode": settings.parallel_outbound,
    }
