"""VirtualMachineInstanceReplicaSet: N interchangeable VMIs (kubevirt.io/v1)."""

from hostler.api.kubevirt.vmi import VirtualMachineInstanceTemplateSpec
from hostler.api.meta import Int32, LabelSelector, Model, ProbedCondition, Resource

# on an installed KubeVirt; docs/decisions/0025
RUN_BY = "hostler.io/run-by"  # annotation on a set that is paused for KubeVirt: who makes and deletes its guests
HOSTLER_FAILURE = "hostler.io/ReplicaFailure"  # condition of such a set: it cannot make its guests


class VirtualMachineInstanceReplicaSetSpec(Model):
    selector: LabelSelector
    template: VirtualMachineInstanceTemplateSpec
    paused: bool | None = None
    replicas: Int32 | None = None


class VirtualMachineInstanceReplicaSetStatus(Model):
    conditions: tuple[ProbedCondition, ...] = ()
    label_selector: str | None = None
    ready_replicas: Int32 | None = None
    replicas: Int32 | None = None


class VirtualMachineInstanceReplicaSet(Resource):
    """N interchangeable guests."""

    group_version = "kubevirt.io/v1"
    plural = "virtualmachineinstancereplicasets"

    spec: VirtualMachineInstanceReplicaSetSpec
    status: VirtualMachineInstanceReplicaSetStatus | None = None
