"""What is observed of a VirtualMachineInstance (kubevirt.io/v1)."""

from pydantic import Field

from hostler.api.core import AccessMode, QOSClass, VolumeMode
from hostler.api.kubevirt.domain import CPUTopology, Machine
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigrationState
from hostler.api.meta import Int32, Int64, Model, ProbedCondition, Quantity, Time


class VirtualMachineInstanceBackupVolumeInfo(Model):
    volume_name: str


class VirtualMachineInstanceBackupStatus(Model):
    backup_msg: str | None = None
    backup_name: str | None = None
    checkpoint_name: str | None = None
    completed: bool | None = None
    end_timestamp: Time | None = None
    failed: bool | None = None
    quiesce_status: str | None = None
    start_timestamp: Time | None = None
    volumes: tuple[VirtualMachineInstanceBackupVolumeInfo, ...] = ()


class ChangedBlockTrackingStatus(Model):
    """Whether the blocks that change are noted, for incremental backups."""

    state: str
    backup_status: VirtualMachineInstanceBackupStatus | None = None


class ContainerDiskInfo(Model):
    checksum: Int64 | None = None


class DomainMemoryDumpInfo(Model):
    claim_name: str | None = None
    end_timestamp: Time | None = None
    start_timestamp: Time | None = None
    target_file_name: str | None = None


class HotplugVolumeStatus(Model):
    attach_pod_name: str | None = None
    attach_pod_uid: str | None = Field(None, alias="attachPodUID")


class InitrdInfo(Model):
    checksum: Int64 | None = None


class KernelInfo(Model):
    checksum: Int64 | None = None


class KernelBootStatus(Model):
    """Checksums of the kernel and initrd that were booted."""

    initrd_info: InitrdInfo | None = None
    kernel_info: KernelInfo | None = None


class MemoryStatus(Model):
    guest_at_boot: Quantity | None = None
    guest_current: Quantity | None = None
    guest_requested: Quantity | None = None
    memory_overhead: Quantity | None = None


class PersistentVolumeClaimInfo(Model):
    access_modes: tuple[AccessMode, ...] = ()
    capacity: dict[str, Quantity] = Field(default_factory=dict)
    claim_name: str | None = None
    filesystem_overhead: str | None = None
    preallocated: bool | None = None
    requests: dict[str, Quantity] = Field(default_factory=dict)
    volume_mode: VolumeMode | None = None


class StorageMigratedVolumeInfo(Model):
    volume_name: str
    destination_pvc_info: PersistentVolumeClaimInfo | None = Field(None, alias="destinationPVCInfo")
    source_pvc_info: PersistentVolumeClaimInfo | None = Field(None, alias="sourcePVCInfo")


class TopologyHints(Model):
    """What the guest needs of a node, such as its TSC frequency."""

    tsc_frequency: Int64 | None = None


class VirtualMachineInstanceGuestOSInfo(Model):
    id: str | None = None
    kernel_release: str | None = None
    kernel_version: str | None = None
    machine: str | None = None
    name: str | None = None
    pretty_name: str | None = None
    version: str | None = None
    version_id: str | None = None


class VirtualMachineInstanceNetworkInterface(Model):
    info_source: str | None = None
    interface_name: str | None = None
    ip_address: str | None = None
    ip_addresses: tuple[str, ...] = ()
    link_state: str | None = None
    mac: str | None = None
    name: str | None = None
    pod_interface_name: str | None = None
    queue_count: Int32 | None = None


class VirtualMachineInstancePhaseTransitionTimestamp(Model):
    phase: str | None = None
    phase_transition_timestamp: Time | None = None


class VolumeStatus(Model):
    """What became of one volume."""

    name: str
    target: str
    container_disk_volume: ContainerDiskInfo | None = None
    hotplug_volume: HotplugVolumeStatus | None = None
    memory_dump_volume: DomainMemoryDumpInfo | None = None
    message: str | None = None
    persistent_volume_claim_info: PersistentVolumeClaimInfo | None = None
    phase: str | None = None
    reason: str | None = None
    size: Int64 | None = None


class VirtualMachineInstanceStatus(Model):
    """What is observed of a guest."""

    vsockcid: Int64 | None = Field(None, alias="VSOCKCID")
    active_pods: dict[str, str] = Field(default_factory=dict)
    changed_block_tracking: ChangedBlockTrackingStatus | None = None
    conditions: tuple[ProbedCondition, ...] = ()
    current_cpu_topology: CPUTopology | None = Field(None, alias="currentCPUTopology")
    evacuation_node_name: str | None = None
    exit_code: Int64 | None = None  # ours, not KubeVirt's: what the guest wrote to its port; see launcher.PORTS
    fs_freeze_status: str | None = None
    guest_os_info: VirtualMachineInstanceGuestOSInfo | None = Field(None, alias="guestOSInfo")
    interfaces: tuple[VirtualMachineInstanceNetworkInterface, ...] = ()
    kernel_boot_status: KernelBootStatus | None = None
    launcher_container_image_version: str | None = None
    machine: Machine | None = None
    memory: MemoryStatus | None = None
    migrated_volumes: tuple[StorageMigratedVolumeInfo, ...] = ()
    migration_method: str | None = None
    migration_state: VirtualMachineInstanceMigrationState | None = None
    migration_transport: str | None = None
    node_name: str | None = None
    phase: str | None = None
    phase_transition_timestamps: tuple[VirtualMachineInstancePhaseTransitionTimestamp, ...] = ()
    qos_class: QOSClass | None = None
    reason: str | None = None
    result: str | None = None  # ours, not KubeVirt's
    runtime_user: Int64 | None = None
    selinux_context: str | None = None
    topology_hints: TopologyHints | None = None
    virtual_machine_revision_name: str | None = None
    volume_status: tuple[VolumeStatus, ...] = ()
