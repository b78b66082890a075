"""Pods that bring disks to a running guest, one a volume, and how far each disk is. Pure."""

from collections.abc import Mapping

from controllers import launcher_pod
from controllers.launcher_volumes import Claims, claim_name, disk_bytes
from controllers.settings import MIB, ManagerSettings
from hostler.api import launcher
from hostler.api.kubevirt.storage import Volume
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.kubevirt.vmi_status import VolumeStatus
from hostler.api.objects import PersistentVolumeClaim, Pod
from hostler.runtime import names
from hostler.runtime.plan import Create, Delete, owner_reference
from hostler.runtime.protocol import Raw

UNATTACHED = ("", "Pending", "Bound")  # phases of a volume before its pod runs
LET_GO = "UnMountedFromPod"  # the phase in which the guest has the disk no more
MEMORY = 16 * MIB


def wanted(
    vmi: VirtualMachineInstance, pod: Pod, claims: Claims, settings: ManagerSettings
) -> Mapping[str, Raw | None]:
    """Name -> manifest of each pod that there should be; None for one that only stays: its disk is still in use."""
    found: dict[str, Raw | None] = {}
    for volume in coming(vmi):
        if old := other_pod(vmi, volume):
            found[old] = None  # the guest has that disk yet: it is let go first
            continue
        claim = claims.get(claim_name(volume) or "")
        name = attachment_name(vmi, volume)
        found[name] = attachment(vmi, pod, volume, claim, settings) if claim and pod.spec.node_name else None
    for gone in going(vmi):
        if gone.phase != LET_GO and gone.hotplug_volume:
            found[gone.hotplug_volume.attach_pod_name or ""] = None
    return found


def make_and_remove(wanted: Mapping[str, Raw | None], pods: tuple[Pod, ...]) -> list[Create | Delete]:
    """One that ended by itself is made anew when it is gone."""
    there = {pod.metadata.name for pod in pods}
    creates = [Create(Pod, body) for name, body in wanted.items() if body and name not in there]
    useless = (pod for pod in pods if pod.finished or pod.metadata.name not in wanted)
    return [*creates, *(Delete(pod) for pod in useless if pod.metadata.deletion_timestamp is None)]


def coming(vmi: VirtualMachineInstance) -> list[Volume]:
    return [each for each in vmi.spec.volumes if each.hotpluggable]


def other_pod(vmi: VirtualMachineInstance, volume: Volume) -> str:
    """The pod whose disk the guest has under this name, where the volume is of another claim by now; "" if none."""
    told = vmi.status.volume_status if vmi.status else ()
    old = next(
        (holder(each) for each in told if each.name == volume.name and each.phase not in (*UNATTACHED, LET_GO)), ""
    )
    return old if old != attachment_name(vmi, volume) else ""


def going(vmi: VirtualMachineInstance) -> list[VolumeStatus]:
    """Disks that the VMI has no more, and that are not all gone."""
    there = {each.name for each in vmi.spec.volumes}
    found = vmi.status.volume_status if vmi.status else ()
    return [each for each in found if each.name not in there and each.hotplug_volume]


def known(vmi: VirtualMachineInstance) -> list[Raw]:
    return [plain(each) for each in vmi.status.volume_status] if vmi.status else []


def entries(vmi: VirtualMachineInstance, claims: Claims, pods: tuple[Pod, ...]) -> list[Raw]:
    """The status of all volumes, in the agent's order, since it writes them, too."""
    by_name = {pod.metadata.name: pod for pod in pods}
    seen = {each.name: each for each in vmi.status.volume_status} if vmi.status else {}
    found: list[Raw] = []
    for volume in vmi.spec.volumes:
        if volume.hotpluggable:
            if other_pod(vmi, volume):
                found.append(plain(seen[volume.name]))
                continue
            claim, mine = claims.get(claim_name(volume) or ""), by_name.get(attachment_name(vmi, volume))
            found.append(coming_status(seen.get(volume.name), volume, claim, mine))
        elif volume.name in seen:
            found.append(plain(seen[volume.name]))
    left = (each for each in going(vmi) if each.phase != LET_GO or holder(each) in by_name)
    return [*found, *map(plain, left)]


def holder(gone: VolumeStatus) -> str:
    """Name of its pod."""
    return (gone.hotplug_volume and gone.hotplug_volume.attach_pod_name) or ""


def coming_status(
    known: VolumeStatus | None, volume: Volume, claim: PersistentVolumeClaim | None, mine: Pod | None
) -> Raw:
    """How far a disk is; from the moment that its pod runs, the agent tells."""
    entry = plain(known) if known else {"name": volume.name, "target": ""}
    told = (known.phase if known else None) or ""
    if claim is None:
        why = f"PVC {claim_name(volume)} not found"
        return entry | {"phase": "Pending", "reason": "PVCNotFound", "message": why} if told in UNATTACHED else entry
    entry |= {"persistentVolumeClaimInfo": claim_info(claim)}
    if mine is None or not running(mine):
        phase = "Bound" if claim.status.phase == "Bound" else "Pending"
        note = {
            "phase": phase,
            "reason": "PVCNotReady" if phase == "Pending" else "",
            "message": f"PVC is in phase {phase}",
        }
        return entry | {k: v for k, v in note.items() if v} if told in UNATTACHED else entry
    holder = {"attachPodName": mine.metadata.name, "attachPodUID": mine.metadata.uid}
    entry |= {"hotplugVolume": holder}
    if told in UNATTACHED:
        text = f"Created hotplug attachment pod {mine.metadata.name}, for volume {volume.name}"
        entry |= {"phase": "AttachedToNode", "reason": "SuccessfulCreate", "message": text}
    return entry


def running(pod: Pod) -> bool:
    return pod.status.phase == "Running" and pod.metadata.deletion_timestamp is None


def claim_info(claim: PersistentVolumeClaim) -> Raw:
    return {
        "claimName": claim.metadata.name,
        "accessModes": list(claim.spec.access_modes),
        "volumeMode": claim.spec.volume_mode,
        "capacity": dict(claim.status.capacity),
        "requests": dict(claim.spec.resources.requests),
    }


def plain(known: VolumeStatus) -> Raw:
    return known.model_dump(mode="json", by_alias=True, exclude_unset=True)


def attachment_name(vmi: VirtualMachineInstance, volume: Volume) -> str:
    """One name for one volume of one VMI, so a repeated create finds its own work."""
    return f"hp-volume-{names.suffix(f'{vmi.metadata.uid}/{volume.name}/{claim_name(volume)}', 10)}"


def attachment(
    vmi: VirtualMachineInstance, pod: Pod, volume: Volume, claim: PersistentVolumeClaim, settings: ManagerSettings
) -> Raw:
    """A pod that holds one claim on the guest's node, and goes with the guest's pod."""
    read_only = bool(volume.persistent_volume_claim and volume.persistent_volume_claim.read_only)
    source = {"claimName": claim.metadata.name} | ({"readOnly": True} if read_only else {})
    labels = {launcher.APP_LABEL: launcher.ATTACHMENT, launcher.CREATED_BY: vmi.metadata.uid}
    return {
        "metadata": {
            "name": attachment_name(vmi, volume),
            "namespace": vmi.metadata.namespace,
            "labels": labels | {launcher.VMI_NAME: names.label(vmi.metadata.name)},
            "annotations": {launcher.DOMAIN: vmi.metadata.name},
            "ownerReferences": [owner_reference(pod)],
        },
        "spec": {
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": on_node(pod)}},
            "tolerations": [launcher_pod.plain(each) for each in vmi.spec.tolerations],
            "imagePullSecrets": launcher_pod.pull_secrets(settings),
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": launcher_pod.SECURITY,
            "containers": [container(volume, claim, settings)],
            "volumes": [{"name": "disk", "persistentVolumeClaim": source}],
        },
    }


def on_node(pod: Pod) -> Raw:
    """The node of the guest's pod, and no other."""
    field = {"key": "metadata.name", "operator": "In", "values": [pod.spec.node_name]}
    return {"nodeSelectorTerms": [{"matchFields": [field]}]}


def container(volume: Volume, claim: PersistentVolumeClaim, settings: ManagerSettings) -> Raw:
    """Makes the disk on a file system if it is not there, and waits."""
    if claim.spec.volume_mode == "Block":
        sizes, place = [], {"volumeDevices": [{"name": "disk", "devicePath": launcher.HOTPLUG_DEVICE}]}
    else:
        sizes, place = [str(disk_bytes(claim))], {"volumeMounts": [{"name": "disk", "mountPath": launcher.HOTPLUG}]}
    return {
        "name": launcher.ATTACHMENT,
        "image": settings.launcher_image,
        "imagePullPolicy": settings.launcher_pull_policy,
        "command": [*launcher.ATTACH, volume.name, *sizes],
        "resources": {"requests": {"cpu": "1m", "memory": str(MEMORY)}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        **place,
    }
