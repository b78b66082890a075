"""Fencing: how a node's power is switched, and what was done to a node that fell silent (hostler.io/v1alpha1).

The words are Pacemaker's and the fence agents' own: device, level, agent, parameters.
"""

from typing import Annotated, Literal

from pydantic import Field

from hostler.api.meta import Condition, Int32, Model, Resource, Time, keyed_by, one_of

GROUP_VERSION = "hostler.io/v1alpha1"

# the node lease: one a node, in the namespace of the installation
LEASE_LABEL = "hostler.io/node-lease"  # label: name of the node, shortened where it is too long
LEASE_PREFIX = "hostler-node-"
LEASE_PERIOD, LEASE_DURATION = 2.0, 10.0  # seconds between renewals, and after which its holder counts as silent

MAINTENANCE = "hostler.io/maintenance"  # annotation on a Node: it is not fenced, whatever it says
FENCED_BY = "hostler.io/fenced-by"  # annotation on a Node: the FenceOperation that put the taint there
FENCED_BOOT = "hostler.io/fenced-boot"  # annotation on a Node: the boot that the taint is against
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
NODE_FENCED = "NodeFenced"  # the reason of a VMI that ended with its node

PENDING, OBSERVED, CONFIRMING = "Pending", "Observed", "Confirming"
POWERING_OFF, VERIFYING, NEEDS_ACK = "PoweringOff", "Verifying", "NeedsAck"
FENCED, RECOVERING, RECOVERED = "Fenced", "Recovering", "Recovered"
CANCELLED, FAILED = "Cancelled", "Failed"
PROVEN = (FENCED, RECOVERING, RECOVERED)  # nobody is here without a proof: the API server itself sees to it
FINAL = (RECOVERED, CANCELLED, FAILED)
PHASES = (PENDING, OBSERVED, CONFIRMING, POWERING_OFF, VERIFYING, NEEDS_ACK, *PROVEN, CANCELLED, FAILED)

Mode = Literal["Observe", "Enforce"]
FencingMode = Annotated[str, one_of("Observe", "Enforce")]
AfterFencing = Annotated[str, one_of("StayOff", "PowerOn")]
ProofKind = Annotated[str, one_of("PowerOff", "NewBoot", "Acknowledged")]
FencePhase = Annotated[str, one_of(*PHASES)]


class SecretReference(Model):
    """A Secret in the namespace of the installation; each of its keys is a parameter."""

    name: str
    prefix: str | None = None  # only keys that begin so, which is taken off: one Secret can serve many nodes


class FenceDevice(Model):
    """One switch of a node's power: a fence agent and what it is told on its standard input."""

    name: str
    agent: str
    parameters: dict[str, str] = Field(default_factory=dict)
    secret_ref: SecretReference | None = None
    timeout_seconds: Int32 | None = None  # of one run of the agent; then it is killed, and has failed
    retries: Int32 | None = None  # runs after the first that failed


class FenceLevel(Model):
    """Devices that must all be off (two power supplies: two devices)."""

    devices: tuple[FenceDevice, ...] = Field(json_schema_extra=keyed_by("name"))


class NodeFencingSpec(Model):
    levels: tuple[FenceLevel, ...]  # tried in order until one is off as a whole
    after_fencing: AfterFencing | None = None


class NodeFencingStatus(Model):
    """What the devices said when they were last asked."""

    conditions: tuple[Condition, ...] = ()
    observed_generation: int | None = None
    power: str | None = None  # On, Off or Unknown


class NodeFencing(Resource):
    """How the node of the same name is switched off."""

    group_version = GROUP_VERSION
    plural = "nodefencings"

    spec: NodeFencingSpec
    status: NodeFencingStatus | None = None


class Acknowledgement(Model):
    """A person's word that the node is off."""

    by: str
    message: str


class FenceOperationSpec(Model):
    node_name: str
    node_uid: str | None = Field(None, alias="nodeUID")
    boot_id: str = Field(alias="bootID")  # of the boot that is fenced; "" for a node that never had a lease of ours
    mode: FencingMode
    reason: str
    requested_by: str
    acknowledgement: Acknowledgement | None = None


class PhaseTransition(Model):
    phase: str
    at: Time


class FenceAttempt(Model):
    """One run of a fence agent."""

    device: str
    action: str
    started_at: Time
    seconds: float
    exit_code: Int32 | None = None  # none: it was killed at its timeout
    message: str = ""


class PowerReading(Model):
    """What one device said, and when."""

    device: str
    at: Time
    power: str


class FenceProof(Model):
    """Why the boot that is fenced cannot write any more."""

    kind: ProofKind
    at: Time
    boot_id: str = Field("", alias="bootID")  # of the boot that is proven to be over
    message: str
    by: str | None = None  # who said so, when a person did
    readings: tuple[PowerReading, ...] = ()


class EndedInstance(Model):
    """A VMI that ended with its node."""

    namespace: str
    name: str
    uid: str
    epoch: Int32


class FenceOperationStatus(Model):
    phase: FencePhase = PENDING
    reason: str | None = None
    message: str | None = None
    transitions: tuple[PhaseTransition, ...] = ()
    attempts: tuple[FenceAttempt, ...] = ()  # the latest ones
    proof: FenceProof | None = None
    instances: tuple[EndedInstance, ...] = ()
    pods: Int32 | None = None  # deleted
    rejoined_at: Time | None = None


class FenceOperation(Resource):
    """One incident of one node, from the first suspicion to its end; afterwards, the record of it."""

    group_version = GROUP_VERSION
    plural = "fenceoperations"

    spec: FenceOperationSpec
    status: FenceOperationStatus | None = None

    @property
    def phase(self) -> str:
        return self.status.phase if self.status else PENDING

    @property
    def proof(self) -> FenceProof | None:
        return self.status.proof if self.status else None


def lease_name(node: str) -> str:
    return f"{LEASE_PREFIX}{node}"
