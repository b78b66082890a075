"""Disks and the volumes behind them (kubevirt.io/v1)."""

from pydantic import Field

from hostler.api.core import (
    CorePersistentVolumeClaimVolumeSource,
    DownwardAPIVolumeFile,
    LocalObjectReference,
    PullPolicy,
)
from hostler.api.kubevirt.common import FeatureState
from hostler.api.meta import Int32, Model, Quantity


class CustomBlockSize(Model):
    discard_granularity: Int32 | None = None
    logical: Int32 | None = None
    physical: Int32 | None = None


class BlockSize(Model):
    """The sector sizes that the guest sees."""

    custom: CustomBlockSize | None = None
    match_volume: FeatureState | None = None


class CDRomTarget(Model):
    bus: str | None = None
    readonly: bool | None = None
    tray: str | None = None


class CloudInitConfigDriveSource(Model):
    """cloud-init data on a disk labelled config-2."""

    network_data: str | None = None
    network_data_base64: str | None = None
    network_data_secret_ref: LocalObjectReference | None = None
    secret_ref: LocalObjectReference | None = None
    user_data: str | None = None
    user_data_base64: str | None = None


class CloudInitNoCloudSource(Model):
    """cloud-init data on a disk labelled cidata."""

    network_data: str | None = None
    network_data_base64: str | None = None
    network_data_secret_ref: LocalObjectReference | None = None
    secret_ref: LocalObjectReference | None = None
    user_data: str | None = None
    user_data_base64: str | None = None


class ConfigMapVolumeSource(Model):
    name: str | None = None
    optional: bool | None = None
    volume_label: str | None = None


class ContainerDiskSource(Model):
    """A disk image inside a container image; the guest writes to an overlay that ends with it."""

    image: str
    image_pull_policy: PullPolicy | None = None
    image_pull_secret: str | None = None
    path: str | None = None


class ContainerPathVolumeSource(Model):
    path: str
    read_only: bool | None = None


class DataVolumeSource(Model):
    name: str
    hotpluggable: bool | None = None


class DiskTarget(Model):
    bus: str | None = None
    pci_address: str | None = None
    readonly: bool | None = None


class LunTarget(Model):
    """A SCSI device passed through to the guest, commands and all."""

    bus: str | None = None
    readonly: bool | None = None
    reservation: bool | None = None


class Disk(Model):
    """How the guest sees a volume of the same name: as a disk, a LUN or a CD-ROM (a disk when nothing is said)."""

    name: str
    block_size: BlockSize | None = None
    boot_order: Int32 | None = None
    cache: str | None = None
    cdrom: CDRomTarget | None = None
    changed_block_tracking: bool | None = None
    dedicated_io_thread: bool | None = Field(None, alias="dedicatedIOThread")
    disk: DiskTarget | None = None
    error_policy: str | None = None
    io: str | None = None
    lun: LunTarget | None = None
    serial: str | None = None
    shareable: bool | None = None
    tag: str | None = None


class DownwardAPIVolumeSource(Model):
    fields: tuple[DownwardAPIVolumeFile, ...] = ()
    volume_label: str | None = None


class DownwardMetricsVolumeSource(Model):
    """Present or absent; it has no fields."""


class EmptyDiskSource(Model):
    """A new disk that ends with the guest."""

    capacity: Quantity


class EphemeralVolumeSource(Model):
    """A claim that the guest reads; its writes end with it."""

    persistent_volume_claim: CorePersistentVolumeClaimVolumeSource | None = None


class HostDisk(Model):
    path: str
    type: str
    capacity: Quantity | None = None
    shared: bool | None = None


class PersistentVolumeClaimVolumeSource(Model):
    claim_name: str
    hotpluggable: bool | None = None
    read_only: bool | None = None


class HotplugVolumeSource(Model):
    """What may back a disk that is added to a running guest."""

    data_volume: DataVolumeSource | None = None
    persistent_volume_claim: PersistentVolumeClaimVolumeSource | None = None


class MemoryDumpVolumeSource(Model):
    """A claim that receives a dump of the guest's memory."""

    claim_name: str
    hotpluggable: bool | None = None
    read_only: bool | None = None


class SecretVolumeSource(Model):
    optional: bool | None = None
    secret_name: str | None = None
    volume_label: str | None = None


class ServiceAccountVolumeSource(Model):
    service_account_name: str | None = None


class SysprepSource(Model):
    config_map: LocalObjectReference | None = None
    secret: LocalObjectReference | None = None


class UtilityVolume(Model):
    """A claim for the launcher pod, not for the guest."""

    claim_name: str
    name: str
    read_only: bool | None = None
    type: str | None = None


class Volume(Model):
    """Where the bytes of a disk are: exactly one source."""

    name: str
    cloud_init_config_drive: CloudInitConfigDriveSource | None = None
    cloud_init_no_cloud: CloudInitNoCloudSource | None = None
    config_map: ConfigMapVolumeSource | None = None
    container_disk: ContainerDiskSource | None = None
    container_path: ContainerPathVolumeSource | None = None
    data_volume: DataVolumeSource | None = None
    downward_api: DownwardAPIVolumeSource | None = Field(None, alias="downwardAPI")
    downward_metrics: DownwardMetricsVolumeSource | None = None
    empty_disk: EmptyDiskSource | None = None
    ephemeral: EphemeralVolumeSource | None = None
    host_disk: HostDisk | None = None
    memory_dump: MemoryDumpVolumeSource | None = None
    persistent_volume_claim: PersistentVolumeClaimVolumeSource | None = None
    secret: SecretVolumeSource | None = None
    service_account: ServiceAccountVolumeSource | None = None
    sysprep: SysprepSource | None = None

    @property
    def hotpluggable(self) -> bool:
        """It comes when the guest runs, and may go."""
        source = self.persistent_volume_claim or self.data_volume
        return bool(source and source.hotpluggable)
