"""What the agents write of a move into the VMI, and what they read of it. Pure."""

import json
from datetime import datetime

from hostler.api import launcher, quantity
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigrationState as State
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime import conditions, ownership
from hostler.runtime.protocol import Raw
from launcher.agent.migration.dialogue import Job, Policy
from launcher.agent.pods import LauncherPod

MIB = 2**20


def leaving(pod: LauncherPod, vmi: VirtualMachineInstance) -> State | None:
    """The move by which the guest is to leave this pod, once its target is ready."""
    state = ownership.moving(vmi)
    ours = state is not None and state.source_pod == pod.metadata.name and ownership.owns(pod, vmi)
    return state if ours and state is not None and state.target_node_address else None


def coming(pod: LauncherPod, vmi: VirtualMachineInstance) -> State | None:
    """The move by which the guest is to come into this pod."""
    state = ownership.moving(vmi)
    ours = state is not None and state.target_pod == pod.metadata.name
    known = pod.metadata.labels.get(launcher.MIGRATION_UID)
    fits = ownership.epoch(pod) == ownership.epoch(vmi, launcher.TARGET_EPOCH) > ownership.epoch(vmi)
    return state if ours and state is not None and fits and state.migration_uid == known else None


def came(pod: LauncherPod, vmi: VirtualMachineInstance) -> bool:
    """Whether the guest came into this pod by its last move, and nobody has stopped it since."""
    state = vmi.status.migration_state if vmi.status else None
    known = pod.metadata.labels.get(launcher.MIGRATION_UID)
    arrived = state is not None and bool(state.completed) and not state.failed and state.migration_uid == known
    return arrived and ownership.owns(pod, vmi) and not paused_by_user(vmi)


def paused_by_user(vmi: VirtualMachineInstance) -> bool:
    found = vmi.status.conditions if vmi.status else ()
    return any(each.type == "Paused" and each.status == "True" for each in found)


def prepared(vmi: VirtualMachineInstance, pod: LauncherPod, address: str) -> Raw:
    """The target is ready at this address of its agent."""
    if coming(pod, vmi) is None:
        return {}
    state = {"targetNodeAddress": address, "targetState": {"node": pod.spec.node_name, "pod": pod.metadata.name}}
    return {"status": {"migrationState": state}}


def started(vmi: VirtualMachineInstance, uid: str, live: bool, now: datetime) -> Raw:
    """The copy begins; {} if the move is over already."""
    state = ownership.moving(vmi)
    if state is None or state.migration_uid != uid or state.start_timestamp:
        return {}
    begun = {"startTimestamp": conditions.stamp(now), "mode": "PreCopy" if live else "Paused"}
    return {"status": {"migrationState": begun, "migrationTransport": "Unix"}}


def progress(vmi: VirtualMachineInstance, uid: str, job: Job) -> Raw:
    """How far it is, for people who wait."""
    state = ownership.moving(vmi)
    if state is None or state.migration_uid != uid:
        return {}
    told = {"total": job.total, "processed": job.processed, "remaining": job.remaining}
    return {"metadata": {"annotations": {launcher.PROGRESS: json.dumps(told)}}}


def policy(state: State) -> Policy:
    given = state.migration_configuration
    if given is None:
        return Policy()
    return Policy(
        completion_per_gib=given.completion_timeout_per_gi_b or Policy.completion_per_gib,
        progress=given.progress_timeout or Policy.progress,
        disruption=bool(given.allow_workload_disruption),
    )


def bandwidth(state: State) -> int:
    """MiB a second; 0 means no limit."""
    given = state.migration_configuration
    rate = quantity.whole(given.bandwidth_per_migration or 0) if given else 0
    return -(-rate // MIB)


def auto_converge(state: State) -> bool:
    return bool(state.migration_configuration and state.migration_configuration.allow_auto_converge)


def copied_disks(vmi: VirtualMachineInstance) -> tuple[str, ...]:
    """Disks that live in the pod alone, so they go along: container disks' overlays and empty disks.

    What is made again in each pod, cloud-init, is not; what both nodes see, claims, must not be.
    """
    own = {volume.name for volume in vmi.spec.volumes if volume.container_disk or volume.empty_disk}
    targets = {each.name: each.target for each in vmi.status.volume_status} if vmi.status else {}
    writable = [disk.name for disk in vmi.spec.domain.devices.disks if disk.cdrom is None]
    return tuple(targets[name] for name in writable if name in own and targets.get(name))
