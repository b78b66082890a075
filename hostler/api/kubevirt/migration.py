"""VirtualMachineInstanceMigration, and the state of a live migration as VMIs report it (kubevirt.io/v1)."""

from pydantic import Field

from hostler.api.meta import Int32, Int64, Model, ProbedCondition, Quantity, Resource, Time


class DowntimeTuningOptions(Model):
    cooldown_seconds: Int32 | None = None
    initial_ms: Int64 | None = None
    start_after_iteration: Int64 | None = None
    steps: Int32 | None = None


class StallDetectorOptions(Model):
    completion_timeout_factor: Quantity | None = None
    ewma_alpha: Quantity | None = None
    patience_window_decay_factor: Quantity | None = None
    precopy_possible_factor: Quantity | None = None
    search_local_minima: bool | None = None
    stall_margin: Int64 | None = None
    stall_progress_timeout: Int64 | None = None
    switchover_timeout: Int64 | None = None


class ExperimentalMigrationOptions(Model):
    compression: str | None = None
    downtime_tuning: DowntimeTuningOptions | None = None
    stall_detector: StallDetectorOptions | None = None


class VMIMConfigurationOptions(Model):
    allow_auto_converge: bool | None = None
    allow_post_copy: bool | None = None
    allow_workload_disruption: bool | None = None
    bandwidth_per_migration: Quantity | None = None
    completion_timeout_per_gi_b: Int64 | None = None
    disable_tls: bool | None = Field(None, alias="disableTLS")
    experimental: ExperimentalMigrationOptions | None = None
    match_se_linux_level_on_migration: bool | None = Field(None, alias="matchSELinuxLevelOnMigration")
    max_downtime_ms: Int64 | None = None
    network: str | None = None
    node_drain_taint_key: str | None = None
    parallel_migrations_per_cluster: Int64 | None = None
    parallel_outbound_migrations_per_node: Int64 | None = None
    progress_timeout: Int64 | None = None
    unsafe_migration_override: bool | None = None
    utility_volumes_timeout: Int64 | None = None


class VirtualMachineInstanceMigrationSourceState(Model):
    domain_name: str | None = None
    domain_namespace: str | None = None
    migration_uid: str | None = Field(None, alias="migrationUID")
    node: str | None = None
    node_selectors: dict[str, str] = Field(default_factory=dict)
    persistent_state_pvc_name: str | None = Field(None, alias="persistentStatePVCName")
    pod: str | None = None
    selinux_context: str | None = None
    sync_address: str | None = None
    virtual_machine_instance_uid: str | None = Field(None, alias="virtualMachineInstanceUID")


class VirtualMachineInstanceMigrationTargetState(Model):
    attachment_pod_uid: str | None = Field(None, alias="attachmentPodUID")
    cpu_set: tuple[Int32, ...] = ()
    direct_migration_node_ports: dict[str, Int32] = Field(default_factory=dict)
    domain_detected: bool | None = None
    domain_name: str | None = None
    domain_namespace: str | None = None
    domain_ready_timestamp: Time | None = None
    migration_uid: str | None = Field(None, alias="migrationUID")
    node: str | None = None
    node_address: str | None = None
    node_topology: str | None = None
    persistent_state_pvc_name: str | None = Field(None, alias="persistentStatePVCName")
    pod: str | None = None
    selinux_context: str | None = None
    sync_address: str | None = None
    virtual_machine_instance_uid: str | None = Field(None, alias="virtualMachineInstanceUID")


class VirtualMachineInstanceMigrationState(Model):
    abort_requested: bool | None = None
    abort_status: str | None = None
    completed: bool | None = None
    end_timestamp: Time | None = None
    failed: bool | None = None
    failure_reason: str | None = None
    migration_configuration: VMIMConfigurationOptions | None = None
    migration_network_type: str | None = None
    migration_policy_name: str | None = None
    migration_uid: str | None = None
    mode: str | None = None
    source_node: str | None = None
    source_persistent_state_pvc_name: str | None = Field(None, alias="sourcePersistentStatePVCName")
    source_pod: str | None = None
    source_state: VirtualMachineInstanceMigrationSourceState | None = None
    start_timestamp: Time | None = None
    target_attachment_pod_uid: str | None = Field(None, alias="targetAttachmentPodUID")
    target_cpu_set: tuple[Int32, ...] = Field((), alias="targetCPUSet")
    target_direct_migration_node_ports: dict[str, Int32] = Field(default_factory=dict)
    target_memory_overhead: Quantity | None = None
    target_node: str | None = None
    target_node_address: str | None = None
    target_node_domain_detected: bool | None = None
    target_node_domain_ready_timestamp: Time | None = None
    target_node_topology: str | None = None
    target_persistent_state_pvc_name: str | None = Field(None, alias="targetPersistentStatePVCName")
    target_pod: str | None = None
    target_state: VirtualMachineInstanceMigrationTargetState | None = None


class VirtualMachineInstanceMigrationSource(Model):
    connect_url: str = Field(alias="connectURL")
    migration_id: str = Field(alias="migrationID")


class VirtualMachineInstanceMigrationTarget(Model):
    migration_id: str = Field(alias="migrationID")


class VirtualMachineInstanceMigrationSpec(Model):
    """Which guest is to move, and where it may go."""

    added_node_selector: dict[str, str] = Field(default_factory=dict)
    priority: str | None = None
    receive: VirtualMachineInstanceMigrationTarget | None = None
    send_to: VirtualMachineInstanceMigrationSource | None = None
    vmi_name: str | None = None


class VirtualMachineInstanceMigrationPhaseTransitionTimestamp(Model):
    phase: str | None = None
    phase_transition_timestamp: Time | None = None


class VirtualMachineInstanceMigrationStatus(Model):
    conditions: tuple[ProbedCondition, ...] = ()
    migration_state: VirtualMachineInstanceMigrationState | None = None
    phase: str | None = None
    phase_transition_timestamps: tuple[VirtualMachineInstanceMigrationPhaseTransitionTimestamp, ...] = Field(
        (), json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    synchronization_addresses: tuple[str, ...] = Field((), json_schema_extra={"x-kubernetes-list-type": "atomic"})


class VirtualMachineInstanceMigration(Resource):
    """One move of a running guest to another node."""

    group_version = "kubevirt.io/v1"
    plural = "virtualmachineinstancemigrations"

    spec: VirtualMachineInstanceMigrationSpec
    status: VirtualMachineInstanceMigrationStatus | None = None
