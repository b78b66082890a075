"""The parts of the core/v1 API that VirtualMachineInstances carry to their pods."""

from typing import Annotated

from pydantic import Field

from hostler.api.meta import Int32, Int64, IntOrString, LabelSelector, Model, Quantity, one_of

PullPolicy = Annotated[str, one_of("Always", "IfNotPresent", "Never")]
DNSPolicy = Annotated[str, one_of("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")]
HonorOrIgnore = Annotated[str, one_of("Honor", "Ignore")]
Spread = Annotated[str, one_of("DoNotSchedule", "ScheduleAnyway")]
TaintEffect = Annotated[str, one_of("NoExecute", "NoSchedule", "PreferNoSchedule")]
TolerationOperator = Annotated[str, one_of("Equal", "Exists")]
NodeSelectorOperator = Annotated[str, one_of("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn")]
Scheme = Annotated[str, one_of("HTTP", "HTTPS")]
QOSClass = Annotated[str, one_of("BestEffort", "Burstable", "Guaranteed")]
AccessMode = Annotated[str, one_of("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")]
VolumeMode = Annotated[str, one_of("Block", "Filesystem", "FromStorageProfile")]


class NodeSelectorRequirement(Model):
    key: str
    operator: NodeSelectorOperator
    values: tuple[str, ...] = ()


class NodeSelectorTerm(Model):
    match_expressions: tuple[NodeSelectorRequirement, ...] = ()
    match_fields: tuple[NodeSelectorRequirement, ...] = ()


class NodeSelector(Model):
    node_selector_terms: tuple[NodeSelectorTerm, ...]


class PreferredSchedulingTerm(Model):
    preference: NodeSelectorTerm
    weight: Int32


class NodeAffinity(Model):
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredSchedulingTerm, ...] = ()
    required_during_scheduling_ignored_during_execution: NodeSelector | None = None


class PodAffinityTerm(Model):
    topology_key: str
    label_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    mismatch_label_keys: tuple[str, ...] = ()
    namespace_selector: LabelSelector | None = None
    namespaces: tuple[str, ...] = ()


class WeightedPodAffinityTerm(Model):
    pod_affinity_term: PodAffinityTerm
    weight: Int32


class PodAffinity(Model):
    preferred_during_scheduling_ignored_during_execution: tuple[WeightedPodAffinityTerm, ...] = ()
    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] = ()


class PodAntiAffinity(Model):
    preferred_during_scheduling_ignored_during_execution: tuple[WeightedPodAffinityTerm, ...] = ()
    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] = ()


class Affinity(Model):
    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAntiAffinity | None = None


class CorePersistentVolumeClaimVolumeSource(Model):
    claim_name: str
    read_only: bool | None = None


class ObjectFieldSelector(Model):
    field_path: str
    api_version: str | None = None


class ResourceFieldSelector(Model):
    resource: str
    container_name: str | None = None
    divisor: Quantity | None = None


class DownwardAPIVolumeFile(Model):
    path: str
    field_ref: ObjectFieldSelector | None = None
    mode: Int32 | None = None
    resource_field_ref: ResourceFieldSelector | None = None


class ExecAction(Model):
    command: tuple[str, ...] = ()


class HTTPHeader(Model):
    name: str
    value: str


class HTTPGetAction(Model):
    port: IntOrString
    host: str | None = None
    http_headers: tuple[HTTPHeader, ...] = ()
    path: str | None = None
    scheme: Scheme | None = None


class LocalObjectReference(Model):
    name: str | None = None


class TypedLocalObjectReference(Model):
    kind: str
    name: str
    api_group: str | None = None


class TypedObjectReference(Model):
    kind: str
    name: str
    api_group: str | None = None
    namespace: str | None = None


class VolumeResourceRequirements(Model):
    limits: dict[str, Quantity] = Field(default_factory=dict)
    requests: dict[str, Quantity] = Field(default_factory=dict)


class PersistentVolumeClaimSpec(Model):
    access_modes: tuple[AccessMode, ...] = ()
    data_source: TypedLocalObjectReference | None = None
    data_source_ref: TypedObjectReference | None = None
    resources: VolumeResourceRequirements | None = None
    selector: LabelSelector | None = None
    storage_class_name: str | None = None
    volume_attributes_class_name: str | None = None
    volume_mode: VolumeMode | None = None
    volume_name: str | None = None


class PodDNSConfigOption(Model):
    name: str | None = None
    value: str | None = None


class PodDNSConfig(Model):
    nameservers: tuple[str, ...] = ()
    options: tuple[PodDNSConfigOption, ...] = ()
    searches: tuple[str, ...] = ()


class TCPSocketAction(Model):
    port: IntOrString
    host: str | None = None


class Toleration(Model):
    effect: TaintEffect | None = None
    key: str | None = None
    operator: TolerationOperator | None = None
    toleration_seconds: Int64 | None = None
    value: str | None = None


class TopologySpreadConstraint(Model):
    max_skew: Int32
    topology_key: str
    when_unsatisfiable: Spread
    label_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    min_domains: Int32 | None = None
    node_affinity_policy: HonorOrIgnore | None = None
    node_taints_policy: HonorOrIgnore | None = None
