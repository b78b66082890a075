"""VirtualMachine: a guest that outlives its runs (kubevirt.io/v1)."""

from pydantic import Field

from hostler.api.cdi import DataVolumeSpec
from hostler.api.kubevirt.storage import Disk, HotplugVolumeSource
from hostler.api.kubevirt.vmi import VirtualMachineInstanceTemplateSpec
from hostler.api.kubevirt.vmi_status import ChangedBlockTrackingStatus, StorageMigratedVolumeInfo
from hostler.api.meta import Int32, Int64, Model, ObjectMeta, ProbedCondition, Resource, Time


class AddVolumeOptions(Model):
    disk: Disk
    name: str
    volume_source: HotplugVolumeSource
    dry_run: tuple[str, ...] = ()


class ControllerRevisionRef(Model):
    name: str | None = None


class DataVolumeTemplateDummyStatus(Model):
    """Present or absent; it has no fields."""


class DataVolumeTemplateSpec(Model):
    """A DataVolume that is made with the VM and removed with it."""

    spec: DataVolumeSpec
    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta | None = None
    status: DataVolumeTemplateDummyStatus | None = None


class InstancetypeMatcher(Model):
    """Which instance type gives the machine its size."""

    infer_from_volume: str | None = None
    infer_from_volume_failure_policy: str | None = None
    kind: str | None = None
    name: str | None = None
    revision_name: str | None = None


class InstancetypeStatusRef(Model):
    controller_revision_ref: ControllerRevisionRef | None = None
    infer_from_volume: str | None = None
    infer_from_volume_failure_policy: str | None = None
    kind: str | None = None
    name: str | None = None


class PreferenceMatcher(Model):
    """Which preference fills in what the template leaves open."""

    infer_from_volume: str | None = None
    infer_from_volume_failure_policy: str | None = None
    kind: str | None = None
    name: str | None = None
    revision_name: str | None = None


class RemoveVolumeOptions(Model):
    name: str
    dry_run: tuple[str, ...] = ()


class VirtualMachineSpec(Model):
    template: VirtualMachineInstanceTemplateSpec
    data_volume_templates: tuple[DataVolumeTemplateSpec, ...] = ()
    instancetype: InstancetypeMatcher | None = None
    preference: PreferenceMatcher | None = None
    run_strategy: str | None = None
    running: bool | None = None
    update_volumes_strategy: str | None = None


class VirtualMachineMemoryDumpRequest(Model):
    claim_name: str
    phase: str
    end_timestamp: Time | None = None
    file_name: str | None = None
    message: str | None = None
    remove: bool | None = None
    start_timestamp: Time | None = None


class VirtualMachineStartFailure(Model):
    """How often in a row the guest failed to start, and when it is tried again."""

    consecutive_fail_count: Int32 | None = None
    last_failed_vmiuid: str | None = Field(None, alias="lastFailedVMIUID")
    retry_after_timestamp: Time | None = None


class VirtualMachineStateChangeRequest(Model):
    """A start or stop that somebody asked for and that has not happened yet."""

    action: str
    data: dict[str, str] = Field(default_factory=dict)
    uid: str | None = None


class VirtualMachineVolumeRequest(Model):
    add_volume_options: AddVolumeOptions | None = None
    remove_volume_options: RemoveVolumeOptions | None = None


class VolumeSnapshotStatus(Model):
    enabled: bool
    name: str
    reason: str | None = None


class VolumeMigrationState(Model):
    migrated_volumes: tuple[StorageMigratedVolumeInfo, ...] = ()


class VolumeUpdateState(Model):
    volume_migration_state: VolumeMigrationState | None = None


class VirtualMachineStatus(Model):
    changed_block_tracking: ChangedBlockTrackingStatus | None = None
    conditions: tuple[ProbedCondition, ...] = ()
    created: bool | None = None
    desired_generation: Int64 | None = None
    instancetype_ref: InstancetypeStatusRef | None = None
    memory_dump_request: VirtualMachineMemoryDumpRequest | None = None
    observed_generation: Int64 | None = None
    preference_ref: InstancetypeStatusRef | None = None
    printable_status: str | None = None
    ready: bool | None = None
    restore_in_progress: str | None = None
    run_strategy: str | None = None
    snapshot_in_progress: str | None = None
    start_failure: VirtualMachineStartFailure | None = None
    state_change_requests: tuple[VirtualMachineStateChangeRequest, ...] = ()
    volume_requests: tuple[VirtualMachineVolumeRequest, ...] = ()
    volume_snapshot_statuses: tuple[VolumeSnapshotStatus, ...] = ()
    volume_update_state: VolumeUpdateState | None = None


class VirtualMachine(Resource):
    """A guest that outlives its runs."""

    group_version = "kubevirt.io/v1"
    plural = "virtualmachines"

    spec: VirtualMachineSpec
    status: VirtualMachineStatus | None = None
