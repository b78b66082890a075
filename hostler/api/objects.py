"""Kubernetes' own kinds, as narrow as we read them."""

from base64 import b64decode
from typing import Any

from pydantic import Field

from hostler.api import quantity
from hostler.api.meta import Condition, Int32, Model, Quantity, Resource, Time


class ContainerStateWaiting(Model):
    reason: str = ""
    message: str = ""


class ContainerStateTerminated(Model):
    exit_code: Int32 = 0
    reason: str = ""
    message: str = ""  # what the container left in its termination log


class ContainerStateRunning(Model):
    started_at: Time | None = None


class ContainerState(Model):
    running: ContainerStateRunning | None = None
    waiting: ContainerStateWaiting | None = None
    terminated: ContainerStateTerminated | None = None


class ContainerResources(Model):
    requests: dict[str, Quantity] = Field(default_factory=dict)
    limits: dict[str, Quantity] = Field(default_factory=dict)


class Container(Model):
    name: str
    resources: ContainerResources = ContainerResources()


class ContainerStatus(Model):
    name: str
    ready: bool = False
    restart_count: Int32 = 0
    last_state: ContainerState = ContainerState()
    state: ContainerState = ContainerState()
    resources: ContainerResources | None = None  # what the kubelet has given it


class PodClaim(Model):
    claim_name: str


class PodVolume(Model):
    persistent_volume_claim: PodClaim | None = None


class PodSpec(Model):
    node_name: str | None = None
    termination_grace_period_seconds: int | None = None
    volumes: tuple[PodVolume, ...] = ()
    containers: tuple[Container, ...] = ()


class PodStatus(Model):
    phase: str = "Pending"
    reason: str | None = None
    message: str | None = None
    start_time: Time | None = None
    qos_class: str | None = None
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Resource):
    group_version = "v1"
    plural = "pods"

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    def container(self, name: str) -> ContainerStatus | None:
        return next((c for c in self.status.container_statuses if c.name == name), None)

    def condition(self, kind: str) -> Condition | None:
        return next((c for c in self.status.conditions if c.type == kind), None)

    @property
    def finished(self) -> bool:
        return self.status.phase in ("Succeeded", "Failed")


class VolumeResources(Model):
    requests: dict[str, Quantity] = Field(default_factory=dict)


class PersistentVolumeClaimSpec(Model):
    access_modes: tuple[str, ...] = ()
    resources: VolumeResources = VolumeResources()
    volume_mode: str = "Filesystem"
    volume_name: str | None = None


class PersistentVolumeClaimStatus(Model):
    phase: str = "Pending"
    capacity: dict[str, Quantity] = Field(default_factory=dict)


class PersistentVolumeClaim(Resource):
    group_version = "v1"
    plural = "persistentvolumeclaims"

    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()
    status: PersistentVolumeClaimStatus = PersistentVolumeClaimStatus()

    @property
    def size(self) -> int:
        """Bytes: what it has, or asks for as long as it is not bound."""
        return quantity.whole(self.status.capacity.get("storage") or self.spec.resources.requests.get("storage") or 0)


class Secret(Resource):
    group_version = "v1"
    plural = "secrets"

    data: dict[str, str] = Field(default_factory=dict)

    def texts(self) -> dict[str, str]:
        """Its values as they were before the API encoded them."""
        return {key: b64decode(value).decode() for key, value in self.data.items()}


class ServiceAccount(Resource):
    group_version = "v1"
    plural = "serviceaccounts"


class RoleBinding(Resource):
    group_version = "rbac.authorization.k8s.io/v1"
    plural = "rolebindings"


class Taint(Model):
    key: str
    effect: str
    value: str | None = None
    time_added: Time | None = None


class NodeSpec(Model):
    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class NodeCondition(Model):
    type: str
    status: str
    reason: str | None = None


class NodeAddress(Model):
    type: str
    address: str


class NodeStatus(Model):
    conditions: tuple[NodeCondition, ...] = ()
    addresses: tuple[NodeAddress, ...] = ()


class Node(Resource):
    group_version = "v1"
    plural = "nodes"

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    @property
    def ready(self) -> bool:
        return any(c.type == "Ready" and c.status == "True" for c in self.status.conditions)

    @property
    def address(self) -> str | None:
        """Where its kubelet listens."""
        return next((a.address for a in self.status.addresses if a.type == "InternalIP"), None)


class LeaseSpec(Model):
    holder_identity: str | None = None
    lease_duration_seconds: Int32 = 0
    renew_time: Time | None = None
    lease_transitions: Int32 = 0


class Lease(Resource):
    group_version = "coordination.k8s.io/v1"
    plural = "leases"

    spec: LeaseSpec = LeaseSpec()


class Event(Resource):
    group_version = "events.k8s.io/v1"
    plural = "events"


class ServiceReference(Model):
    name: str
    namespace: str
    port: Int32 = 443


class APIServiceSpec(Model):
    ca_bundle: str | None = None
    service: ServiceReference | None = None


class APIService(Resource):
    """A part of the API that another process than the API server serves."""

    group_version = "apiregistration.k8s.io/v1"
    plural = "apiservices"

    spec: APIServiceSpec = APIServiceSpec()

    @classmethod
    def kind(cls) -> str:
        return "APIService"


class WebhookClientConfig(Model):
    ca_bundle: str | None = None


class Webhook(Model):
    name: str
    client_config: WebhookClientConfig = WebhookClientConfig()


class ValidatingWebhookConfiguration(Resource):
    group_version = "admissionregistration.k8s.io/v1"
    plural = "validatingwebhookconfigurations"

    webhooks: tuple[Webhook, ...] = ()


class MutatingWebhookConfiguration(Resource):
    group_version = "admissionregistration.k8s.io/v1"
    plural = "mutatingwebhookconfigurations"

    webhooks: tuple[Webhook, ...] = ()


class Namespace(Resource):
    """Only its metadata is of interest."""

    group_version = "v1"
    plural = "namespaces"


class ConfigMap(Resource):
    """Only its metadata is read as a model."""

    group_version = "v1"
    plural = "configmaps"


class SubjectAccessReview(Resource):
    """A question to the API server: may this user do that?"""

    group_version = "authorization.k8s.io/v1"
    plural = "subjectaccessreviews"


class SelfSubjectReview(Resource):
    """A question to the API server: who am I?"""

    group_version = "authentication.k8s.io/v1"
    plural = "selfsubjectreviews"


class ControllerRevision(Resource):
    """A state that somebody may go back to."""

    group_version = "apps/v1"
    plural = "controllerrevisions"

    data: dict[str, Any] = Field(default_factory=dict)
    revision: int = 0
