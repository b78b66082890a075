"""VirtualMachineInstance: one running guest (kubevirt.io/v1)."""

from pydantic import Field

from hostler.api.core import (
    Affinity,
    DNSPolicy,
    ExecAction,
    HTTPGetAction,
    PodDNSConfig,
    TCPSocketAction,
    Toleration,
    TopologySpreadConstraint,
)
from hostler.api.kubevirt.domain import DomainSpec
from hostler.api.kubevirt.network import Network, VirtualMachineInstanceResourceClaim
from hostler.api.kubevirt.storage import UtilityVolume, Volume
from hostler.api.kubevirt.vmi_status import VirtualMachineInstanceStatus
from hostler.api.meta import Int32, Int64, Model, ObjectMeta, Resource, keyed_by


class ConfigDriveSSHPublicKeyAccessCredentialPropagation(Model):
    """Present or absent; it has no fields."""


class NoCloudSSHPublicKeyAccessCredentialPropagation(Model):
    """Present or absent; it has no fields."""


class QemuGuestAgentSSHPublicKeyAccessCredentialPropagation(Model):
    users: tuple[str, ...] = Field(json_schema_extra={"x-kubernetes-list-type": "set"})


class SSHPublicKeyAccessCredentialPropagationMethod(Model):
    config_drive: ConfigDriveSSHPublicKeyAccessCredentialPropagation | None = None
    no_cloud: NoCloudSSHPublicKeyAccessCredentialPropagation | None = None
    qemu_guest_agent: QemuGuestAgentSSHPublicKeyAccessCredentialPropagation | None = None


class AccessCredentialSecretSource(Model):
    secret_name: str


class SSHPublicKeyAccessCredentialSource(Model):
    secret: AccessCredentialSecretSource | None = None


class SSHPublicKeyAccessCredential(Model):
    propagation_method: SSHPublicKeyAccessCredentialPropagationMethod
    source: SSHPublicKeyAccessCredentialSource


class QemuGuestAgentUserPasswordAccessCredentialPropagation(Model):
    """Present or absent; it has no fields."""


class UserPasswordAccessCredentialPropagationMethod(Model):
    qemu_guest_agent: QemuGuestAgentUserPasswordAccessCredentialPropagation | None = None


class UserPasswordAccessCredentialSource(Model):
    secret: AccessCredentialSecretSource | None = None


class UserPasswordAccessCredential(Model):
    propagation_method: UserPasswordAccessCredentialPropagationMethod
    source: UserPasswordAccessCredentialSource


class AccessCredential(Model):
    """Keys or passwords that are put into the guest."""

    ssh_public_key: SSHPublicKeyAccessCredential | None = None
    user_password: UserPasswordAccessCredential | None = None


class GuestAgentPing(Model):
    """Asks the guest agent whether it is there; it has no fields."""


class Probe(Model):
    """How to see whether the guest is alive or ready."""

    exec: ExecAction | None = None
    failure_threshold: Int32 | None = None
    guest_agent_ping: GuestAgentPing | None = None
    http_get: HTTPGetAction | None = None
    initial_delay_seconds: Int32 | None = None
    period_seconds: Int32 | None = None
    success_threshold: Int32 | None = None
    tcp_socket: TCPSocketAction | None = None
    timeout_seconds: Int32 | None = None


class VirtualMachineInstanceSpec(Model):
    """One guest: its machine, and where and how its pod runs."""

    domain: DomainSpec
    access_credentials: tuple[AccessCredential, ...] = ()
    affinity: Affinity | None = None
    architecture: str | None = None
    dns_config: PodDNSConfig | None = None
    dns_policy: DNSPolicy | None = None
    eviction_strategy: str | None = None
    hostname: str | None = None
    liveness_probe: Probe | None = None
    networks: tuple[Network, ...] = ()
    node_selector: dict[str, str] = Field(default_factory=dict)
    priority_class_name: str | None = None
    readiness_probe: Probe | None = None
    resource_claims: tuple[VirtualMachineInstanceResourceClaim, ...] = Field((), json_schema_extra=keyed_by("name"))
    scheduler_name: str | None = None
    service_account_name: str | None = None
    start_strategy: str | None = None
    subdomain: str | None = None
    termination_grace_period_seconds: Int64 | None = None
    tolerations: tuple[Toleration, ...] = ()
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = Field(
        (), json_schema_extra=keyed_by("topologyKey", "whenUnsatisfiable")
    )
    utility_volumes: tuple[UtilityVolume, ...] = Field((), json_schema_extra=keyed_by("name"))
    volumes: tuple[Volume, ...] = ()


class VirtualMachineInstance(Resource):
    """One guest while it runs."""

    group_version = "kubevirt.io/v1"
    plural = "virtualmachineinstances"

    spec: VirtualMachineInstanceSpec
    status: VirtualMachineInstanceStatus | None = None


class VirtualMachineInstanceTemplateSpec(Model):
    """What each VMI is made from."""

    metadata: ObjectMeta | None = None
    spec: VirtualMachineInstanceSpec | None = None
