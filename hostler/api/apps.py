"""VirtualMachineDeployment, -DaemonSet and -StatefulSet (hostler.io/v1alpha1): apps/v1, with guests in place of pods.

Fields, defaults and words are those of apps/v1; docs/workloads.md lists each and what differs. Labels and annotations
keep apps/v1's names, too, so that Services, selectors and people find what they know.
"""

from typing import Annotated

from hostler.api.core import PersistentVolumeClaimSpec
from hostler.api.kubevirt.vm import DataVolumeTemplateSpec
from hostler.api.kubevirt.vmi import VirtualMachineInstanceTemplateSpec
from hostler.api.meta import (
    Condition,
    Int32,
    Int64,
    IntOrString,
    LabelSelector,
    Model,
    NullableTime,
    ObjectMeta,
    Resource,
    one_of,
)

GROUP = "hostler.io/v1alpha1"

TEMPLATE_HASH = "pod-template-hash"  # label of a deployment's sets and guests
REVISION_HASH = "controller-revision-hash"  # label of the guests of daemon sets and stateful sets
ORDINAL = "apps.kubernetes.io/pod-index"  # labels of a stateful set's guests
MEMBER = "statefulset.kubernetes.io/pod-name"
REVISION = "deployment.kubernetes.io/revision"  # annotations of a deployment and its sets
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
CHANGE_CAUSE = "kubernetes.io/change-cause"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"  # annotation of a template
REVISION_OF = "hostler.io/revision-of"  # label: the kind of set that a ControllerRevision is of

RolloutType = Annotated[str, one_of("Recreate", "RollingUpdate")]
UpdateType = Annotated[str, one_of("OnDelete", "RollingUpdate")]
ManagementPolicy = Annotated[str, one_of("OrderedReady", "Parallel")]
RetentionPolicy = Annotated[str, one_of("Delete", "Retain")]


class WorkloadCondition(Condition):
    last_update_time: NullableTime = None


class Printable(Model):
    """Columns of `kubectl get` that JSONPath cannot compute."""

    ready: str | None = None


class RollingUpdateDeployment(Model):
    max_surge: IntOrString | None = None
    max_unavailable: IntOrString | None = None


class DeploymentStrategy(Model):
    rolling_update: RollingUpdateDeployment | None = None
    type: RolloutType | None = None


class VirtualMachineDeploymentSpec(Model):
    """So many guests of a template, and how they follow when it changes."""

    selector: LabelSelector
    template: VirtualMachineInstanceTemplateSpec
    min_ready_seconds: Int32 | None = None
    paused: bool | None = None
    progress_deadline_seconds: Int32 | None = None
    replicas: Int32 | None = None
    revision_history_limit: Int32 | None = None
    strategy: DeploymentStrategy | None = None


class VirtualMachineDeploymentStatus(Model):
    available_replicas: Int32 | None = None
    collision_count: Int32 | None = None
    conditions: tuple[WorkloadCondition, ...] = ()
    label_selector: str | None = None  # for the scale subresource
    observed_generation: Int64 | None = None
    printable: Printable | None = None
    ready_replicas: Int32 | None = None
    replicas: Int32 | None = None
    terminating_replicas: Int32 | None = None
    unavailable_replicas: Int32 | None = None
    updated_replicas: Int32 | None = None


class VirtualMachineDeployment(Resource):
    """Interchangeable guests that follow their template."""

    group_version = GROUP
    plural = "virtualmachinedeployments"

    spec: VirtualMachineDeploymentSpec
    status: VirtualMachineDeploymentStatus | None = None


class RollingUpdateDaemonSet(Model):
    max_surge: IntOrString | None = None
    max_unavailable: IntOrString | None = None


class DaemonSetUpdateStrategy(Model):
    rolling_update: RollingUpdateDaemonSet | None = None
    type: UpdateType | None = None


class VirtualMachineDaemonSetSpec(Model):
    """A guest on every node that the template allows."""

    selector: LabelSelector
    template: VirtualMachineInstanceTemplateSpec
    min_ready_seconds: Int32 | None = None
    revision_history_limit: Int32 | None = None
    update_strategy: DaemonSetUpdateStrategy | None = None


class VirtualMachineDaemonSetStatus(Model):
    collision_count: Int32 | None = None
    conditions: tuple[WorkloadCondition, ...] = ()
    current_number_scheduled: Int32 | None = None
    desired_number_scheduled: Int32 | None = None
    number_available: Int32 | None = None
    number_misscheduled: Int32 | None = None
    number_ready: Int32 | None = None
    number_unavailable: Int32 | None = None
    observed_generation: Int64 | None = None
    updated_number_scheduled: Int32 | None = None


class VirtualMachineDaemonSet(Resource):
    """A guest on every node."""

    group_version = GROUP
    plural = "virtualmachinedaemonsets"

    spec: VirtualMachineDaemonSetSpec
    status: VirtualMachineDaemonSetStatus | None = None


class RollingUpdateStatefulSet(Model):
    max_unavailable: IntOrString | None = None
    partition: Int32 | None = None


class StatefulSetUpdateStrategy(Model):
    rolling_update: RollingUpdateStatefulSet | None = None
    type: UpdateType | None = None


class Ordinals(Model):
    start: Int32 | None = None


class ClaimRetentionPolicy(Model):
    when_deleted: RetentionPolicy | None = None
    when_scaled: RetentionPolicy | None = None


class VolumeClaimTemplate(Model):
    """A claim that is made for each ordinal; its name is that of a volume of the template."""

    spec: PersistentVolumeClaimSpec
    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta | None = None


class VirtualMachineStatefulSetSpec(Model):
    """Guests with a number, a name and disks that they keep."""

    selector: LabelSelector
    template: VirtualMachineInstanceTemplateSpec
    data_volume_templates: tuple[DataVolumeTemplateSpec, ...] = ()  # ours: claims with something on them
    min_ready_seconds: Int32 | None = None
    ordinals: Ordinals | None = None
    persistent_volume_claim_retention_policy: ClaimRetentionPolicy | None = None
    pod_management_policy: ManagementPolicy | None = None
    replicas: Int32 | None = None
    revision_history_limit: Int32 | None = None
    service_name: str | None = None
    update_strategy: StatefulSetUpdateStrategy | None = None
    volume_claim_templates: tuple[VolumeClaimTemplate, ...] = ()


class VirtualMachineStatefulSetStatus(Model):
    available_replicas: Int32 | None = None
    collision_count: Int32 | None = None
    conditions: tuple[WorkloadCondition, ...] = ()
    current_replicas: Int32 | None = None
    current_revision: str | None = None
    label_selector: str | None = None  # for the scale subresource
    observed_generation: Int64 | None = None
    printable: Printable | None = None
    ready_replicas: Int32 | None = None
    replicas: Int32 | None = None
    update_revision: str | None = None
    updated_replicas: Int32 | None = None


class VirtualMachineStatefulSet(Resource):
    """Guests that are not alike: each has its number, name and disks."""

    group_version = GROUP
    plural = "virtualmachinestatefulsets"

    spec: VirtualMachineStatefulSetSpec
    status: VirtualMachineStatefulSetStatus | None = None
