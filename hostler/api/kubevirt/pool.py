"""VirtualMachinePool: N VirtualMachines of one template, each with an index (pool.kubevirt.io/v1beta1)."""

from hostler.api.core import NodeSelectorRequirement
from hostler.api.kubevirt.vm import VirtualMachineSpec
from hostler.api.meta import (
    Int32,
    Int64,
    IntOrString,
    LabelSelector,
    Model,
    ObjectMeta,
    ProbedCondition,
    Resource,
)

REVISION = "kubevirt.io/vm-pool-revision-name"  # label of a VM and its instance: the state of the template they are of
FINALIZER = (
    "pool.kubevirt.io/finalizer"  # of a pool and its VMs: a VM's disks are kept, if they are to be, before it goes
)
KEPT = "hostler.io/pool-kept"  # annotation of a disk: the pool whose VM had it, and takes it again
UPDATED = "hostler.io/pool-updated"  # annotation of a VM: when it got the template that it has
REPLACED = "hostler.io/pool-replaced"  # annotation of a VM: when an update took it away, for disks that it lacks
# annotations of a pool, for what KubeVirt's API has no field for
PROGRESS_DEADLINE = "hostler.io/progress-deadline-seconds"
MIN_READY = "hostler.io/min-ready-seconds"


class VirtualMachineTemplateSpec(Model):
    metadata: ObjectMeta | None = None
    spec: VirtualMachineSpec | None = None


class VirtualMachinePoolNameGeneration(Model):
    """Which references get the VM's index, beside those to its own DataVolumes."""

    append_index_to_config_map_refs: bool | None = None
    append_index_to_secret_refs: bool | None = None


class VirtualMachinePoolUnmanagedStrategy(Model):
    """Present or absent; it has no fields."""


class VirtualMachineOpportunisticUpdateStrategy(Model):
    """Present or absent; it has no fields."""


class VirtualMachinePoolSelectors(Model):
    """What a VM must match, by its template's labels and by its template's nodeSelector."""

    label_selector: LabelSelector | None = None
    node_selector_requirement_matcher: tuple[NodeSelectorRequirement, ...] = ()


class VirtualMachinePoolSelectionPolicy(Model):
    """Which VMs, and in which order."""

    selectors: VirtualMachinePoolSelectors | None = None
    sort_policy: str | None = None


class VirtualMachinePoolOpportunisticScaleInStrategy(Model):
    state_preservation: str | None = None


class VirtualMachinePoolProactiveScaleInStrategy(Model):
    selection_policy: VirtualMachinePoolSelectionPolicy | None = None
    state_preservation: str | None = None


class VirtualMachinePoolScaleInStrategy(Model):
    """Who takes VMs away: we, or somebody else; and whether their disks stay."""

    opportunistic: VirtualMachinePoolOpportunisticScaleInStrategy | None = None
    proactive: VirtualMachinePoolProactiveScaleInStrategy | None = None
    unmanaged: VirtualMachinePoolUnmanagedStrategy | None = None


class VirtualMachinePoolProactiveUpdateStrategy(Model):
    selection_policy: VirtualMachinePoolSelectionPolicy | None = None


class VirtualMachinePoolUpdateStrategy(Model):
    """How VMs follow the template: not, at their next start, or now."""

    opportunistic: VirtualMachineOpportunisticUpdateStrategy | None = None
    proactive: VirtualMachinePoolProactiveUpdateStrategy | None = None
    unmanaged: VirtualMachinePoolUnmanagedStrategy | None = None


class VirtualMachinePoolAutohealingStrategy(Model):
    """When a VM that does not start is replaced."""

    min_failing_to_start_duration: str | None = None
    start_up_failure_threshold: Int64 | None = None


class VirtualMachinePoolSpec(Model):
    selector: LabelSelector
    virtual_machine_template: VirtualMachineTemplateSpec
    autohealing: VirtualMachinePoolAutohealingStrategy | None = None
    max_unavailable: IntOrString | None = None
    name_generation: VirtualMachinePoolNameGeneration | None = None
    paused: bool | None = None
    replicas: Int32 | None = None
    scale_in_strategy: VirtualMachinePoolScaleInStrategy | None = None
    update_strategy: VirtualMachinePoolUpdateStrategy | None = None


class VirtualMachinePoolStatus(Model):
    conditions: tuple[ProbedCondition, ...] = ()
    label_selector: str | None = None
    observed_generation: Int64 | None = None  # ours: what conditions and counts are about
    ready_replicas: Int32 | None = None
    replicas: Int32 | None = None


class VirtualMachinePool(Resource):
    """N virtual machines of one template, each with an index."""

    group_version = "pool.kubevirt.io/v1beta1"
    plural = "virtualmachinepools"

    spec: VirtualMachinePoolSpec
    status: VirtualMachinePoolStatus | None = None
