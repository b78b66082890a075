"""The pod that a guest moves into: the one it leaves, placed anew. Pure.

It is copied, not made again from the VMI: what was plugged in since the guest was started is in it, and the two QEMUs
must see the same machine.
"""

from typing import Any

from hostler.api import launcher
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigration
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime import names, ownership
from hostler.runtime.plan import owner_reference
from hostler.runtime.protocol import Raw
from migration.kinds import LauncherPod

DAY = 86400  # seconds: longer than any move
HOSTNAME = "kubernetes.io/hostname"
# what the API server or the scheduler filled in for that pod
FILLED_IN = ("nodeName", "priority", "preemptionPolicy", "serviceAccount", "ephemeralContainers", "resourceClaims")


def pod_name(vmi: VirtualMachineInstance, move: VirtualMachineInstanceMigration) -> str:
    """One name for one move, so there are never two pods for it."""
    tail = f"-{names.suffix(move.metadata.uid)}"
    return f"virt-launcher-{vmi.metadata.name}"[: names.LONGEST_NAME - len(tail)] + tail


def next_epoch(vmi: VirtualMachineInstance, pods: tuple[LauncherPod, ...]) -> int:
    """Higher than that of the VMI and of every pod that it has, or had in a move that failed."""
    return max([ownership.epoch(vmi), *map(ownership.epoch, pods)]) + 1


def manifest(
    vmi: VirtualMachineInstance,
    move: VirtualMachineInstanceMigration,
    source: LauncherPod,
    epoch: int,
) -> Raw:
    """The whole Pod."""
    meta = source.metadata
    annotations = {launcher.OWNER_EPOCH: str(epoch), launcher.MIGRATION_NAME: move.metadata.name}
    return {
        "metadata": {
            "name": pod_name(vmi, move),
            "namespace": meta.namespace,
            "labels": meta.labels | {launcher.MIGRATION_UID: move.metadata.uid},
            "annotations": meta.annotations | annotations,
            "ownerReferences": [owner_reference(vmi)],
        },
        "spec": placed(source.spec, vmi, move),
    }


def placed(spec: Raw, vmi: VirtualMachineInstance, move: VirtualMachineInstanceMigration) -> Raw:
    """The spec without its place, kept away from every node that has a pod of this VMI."""
    free = {key: value for key, value in spec.items() if key not in FILLED_IN}
    given: Any = vmi.spec.affinity
    affinity = given.model_dump(mode="json", by_alias=True, exclude_unset=True) if given else {}
    against = affinity.get("podAntiAffinity", {})
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    elsewhere = {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {launcher.CREATED_BY: vmi.metadata.uid}}}
    affinity["podAntiAffinity"] = against | {required: [*against.get(required, ()), elsewhere]}
    selector = dict(vmi.spec.node_selector) | {launcher.SCHEDULABLE: "true"} | dict(move.spec.added_node_selector)
    if vmi.spec.architecture:
        selector["kubernetes.io/arch"] = vmi.spec.architecture
    containers = [patient(each) for each in free.get("containers", ())]
    return free | {"affinity": affinity, "nodeSelector": selector, "containers": containers}


def patient(container: Raw) -> Raw:
    """A guest that is not there yet fails its liveness probe: the kubelet shall begin with it once it has passed."""
    probe = container.get("livenessProbe")
    if probe is None or "startupProbe" in container:
        return container
    return container | {
        "startupProbe": probe | {"failureThreshold": DAY // max(1, int(probe.get("periodSeconds") or 10))}
    }
