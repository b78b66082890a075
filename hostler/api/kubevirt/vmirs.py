"""VirtualMachineInstanceReplicaSet: N interchangeable VMIs (kubevirt.io/v1)."""

from hostler.api.kubevirt.vmi import VirtualMachineInstanceTemplateSpec
from hostler.api.meta import Int32, LabelSelector, Model, ProbedCondition, Resource


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
