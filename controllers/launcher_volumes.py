"""The volumes of a VMI as its launcher pod sees them: mounts, devices, and what PID 1 makes of them."""

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controllers.resources import whole
from hostler.api import launcher
from hostler.api.kubevirt.storage import (
    CloudInitConfigDriveSource,
    CloudInitNoCloudSource,
    ContainerDiskSource,
    Volume,
)
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.objects import PersistentVolumeClaim
from hostler.runtime.errors import Terminal
from hostler.runtime.protocol import Raw

Claims = Mapping[str, PersistentVolumeClaim]
Disk = launcher.Overlay | launcher.EmptyDisk | launcher.ClaimDisk | launcher.CloudInit

RESERVED = (launcher.PRIVATE_VOLUME, launcher.DISKS_VOLUME, launcher.KERNEL_VOLUME)
# Of sockets, pipes, configuration, UEFI variables and logs, which together are below 10 MiB. What QEMU is made to say
# can grow faster than PID 1 cuts it off: then the kubelet evicts this pod, and not the others of a node that is full.
PRIVATE_LIMIT = "64Mi"
FILESYSTEM_OVERHEAD = 0.06  # of a claim, kept free for its file system's own needs, as KubeVirt does
MIB = 2**20


@dataclass
class Storage:
    """What all volumes together need; each volume adds to it."""

    volumes: list[Raw] = field(default_factory=list)
    mounts: list[Raw] = field(default_factory=list)
    devices: list[Raw] = field(default_factory=list)
    pull_secrets: list[str] = field(default_factory=list)
    disks: list[Disk] = field(default_factory=list)

    def mount(self, name: str, path: str, *, read_only: bool = False, **source: Any) -> None:
        self.volumes.append({"name": name, **source})
        self.mounts.append({"name": name, "mountPath": path} | ({"readOnly": True} if read_only else {}))

    def image(self, name: str, path: str, image: str, policy: str | None, secret: str | None) -> None:
        reference = {"reference": image} | ({"pullPolicy": policy} if policy else {})
        self.mount(name, path, read_only=True, image=reference)
        if secret and secret not in self.pull_secrets:
            self.pull_secrets.append(secret)


def storage(vmi: VirtualMachineInstance, claims: Claims) -> Storage:
    """All that the VMI's kernel and volumes need in the pod."""
    result = Storage()
    result.mount(launcher.PRIVATE_VOLUME, launcher.PRIVATE, emptyDir={"sizeLimit": PRIVATE_LIMIT})
    result.mount(launcher.DISKS_VOLUME, launcher.DISKS, emptyDir={})
    kernel = vmi.spec.domain.firmware and vmi.spec.domain.firmware.kernel_boot
    if kernel and (box := kernel.container):
        result.image(launcher.KERNEL_VOLUME, launcher.KERNEL, box.image, box.image_pull_policy, box.image_pull_secret)
    for volume in vmi.spec.volumes:
        if not volume.hotpluggable:  # those have pods of their own
            add(result, vmi, volume, claims)
    return result


def claim_name(volume: Volume) -> str | None:
    """The PVC behind a volume; a DataVolume's has the DataVolume's name."""
    if volume.persistent_volume_claim:
        return volume.persistent_volume_claim.claim_name
    return volume.data_volume.name if volume.data_volume else None


def add(result: Storage, vmi: VirtualMachineInstance, volume: Volume, claims: Claims) -> None:
    """One volume; a source that needs nothing in the pod adds nothing."""
    if volume.container_disk:
        container_disk(result, volume.name, volume.container_disk)
    elif volume.empty_disk:
        size = whole(f"volumes[{volume.name}].emptyDisk.capacity", volume.empty_disk.capacity)
        result.disks.append(launcher.EmptyDisk(volume=volume.name, bytes=size))
    elif name := claim_name(volume):
        claim(result, volume, claims[name])
    elif source := volume.cloud_init_no_cloud:
        cloud_init(result, vmi, volume.name, source, "cidata")
    elif drive := volume.cloud_init_config_drive:
        cloud_init(result, vmi, volume.name, drive, "config-2")
    else:
        source_name = next(iter(volume.model_dump(by_alias=True, exclude_none=True, exclude={"name"})), "nothing")
        raise Terminal("VolumeNotSupported", f"spec.volumes[{volume.name}].{source_name}: not supported by hostler")


def container_disk(result: Storage, name: str, source: ContainerDiskSource) -> None:
    result.image(
        pod_volume(name),
        f"{launcher.IMAGES}/{name}",
        source.image,
        source.image_pull_policy,
        source.image_pull_secret,
    )
    result.disks.append(launcher.Overlay(volume=name, path=source.path))


def claim(result: Storage, volume: Volume, pvc: PersistentVolumeClaim) -> None:
    """A block claim is a device in the pod, a filesystem claim a folder with disk.img."""
    name = pod_volume(volume.name)
    read_only = bool(volume.persistent_volume_claim and volume.persistent_volume_claim.read_only)
    source = {"claimName": pvc.metadata.name} | ({"readOnly": True} if read_only else {})
    if pvc.spec.volume_mode == "Block":
        result.volumes.append({"name": name, "persistentVolumeClaim": source})
        result.devices.append({"name": name, "devicePath": launcher.device_path(volume.name)})
        return
    result.mount(name, f"{launcher.CLAIMS}/{volume.name}", read_only=read_only, persistentVolumeClaim=source)
    result.disks.append(launcher.ClaimDisk(volume=volume.name, bytes=disk_bytes(pvc)))


def disk_bytes(pvc: PersistentVolumeClaim) -> int:
    """How large a disk image on a filesystem claim is."""
    return int(pvc.size * (1 - FILESYSTEM_OVERHEAD)) // MIB * MIB


def cloud_init(
    result: Storage,
    vmi: VirtualMachineInstance,
    name: str,
    source: CloudInitNoCloudSource | CloudInitConfigDriveSource,
    label: Any,
) -> None:
    """Data given in the VMI travels in the request to PID 1; data in Secrets is mounted, never copied."""
    secrets = {"userdata": source.secret_ref, "networkdata": source.network_data_secret_ref}
    used = {key: ref.name for key, ref in secrets.items() if ref and ref.name}
    if used:
        parts = [{"secret": {"name": secret}} for secret in dict.fromkeys(used.values())]
        path = f"{launcher.SECRETS}/{name}"
        result.mount(pod_volume(name), path, read_only=True, projected={"sources": parts, "defaultMode": 0o440})
    result.disks.append(
        launcher.CloudInit(
            volume=name,
            label=label,
            instance_id=f"{vmi.metadata.name}.{vmi.metadata.namespace}",  # the same disk is the same instance
            hostname=vmi.spec.hostname or vmi.metadata.name,
            user_data=document(name, "userData", source.user_data, source.user_data_base64),
            network_data=document(name, "networkData", source.network_data, source.network_data_base64),
            secrets=tuple(used),
        )
    )


def document(volume: str, field_name: str, plain: str | None, encoded: str | None) -> bytes | None:
    if plain is not None:
        return plain.encode()
    if encoded is None:
        return None
    try:
        return b64decode(encoded, validate=True)
    except NotBase64:
        raise Terminal("CloudInitInvalid", f"spec.volumes[{volume}].{field_name}Base64: not valid base64") from None


def pod_volume(name: str) -> str:
    """The pod's name for a volume of the VMI: the same, unless it is one of ours."""
    return f"{name}-of-vmi" if name in RESERVED else name
