"""A launcher pod as the agent reads it, and whether a guest may be started in it. Pure."""

from pydantic import Field

from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import Model, Quantity, Resource, Time
from hostler.runtime import ownership

FINAL = ("Succeeded", "Failed")


class VolumeDevice(Model):
    device_path: str

    @property
    def volume(self) -> str:
        """The VMI's name of it; the pod's may differ, where its own volumes have that name."""
        return self.device_path.rpartition("/")[2]


class ResourceRequirements(Model):
    limits: dict[str, Quantity] = Field(default_factory=dict)


class Container(Model):
    name: str
    image: str = ""
    resources: ResourceRequirements = ResourceRequirements()
    volume_devices: tuple[VolumeDevice, ...] = ()


class LauncherPodSpec(Model):
    node_name: str = ""
    hostname: str = ""
    host_network: bool = False
    containers: tuple[Container, ...] = ()


class LauncherPodStatus(Model):
    phase: str = "Pending"
    pod_ip: str | None = Field(None, alias="podIP")
    start_time: Time | None = None
    qos_class: str | None = None


class LauncherPod(Resource):
    """A pod in which libvirtd runs."""

    group_version = "v1"
    plural = "pods"

    spec: LauncherPodSpec = LauncherPodSpec()
    status: LauncherPodStatus = LauncherPodStatus()

    @classmethod
    def kind(cls) -> str:
        return "Pod"

    @property
    def compute(self) -> Container:
        """The container with libvirtd."""
        return next((c for c in self.spec.containers if c.name == launcher.COMPUTE), Container(name=launcher.COMPUTE))

    @property
    def kvm(self) -> bool:
        """Whether the pod was given KVM; if not, its guest is emulated."""
        return launcher.KVM in self.compute.resources.limits

    @property
    def over(self) -> bool:
        return self.status.phase in FINAL

    @property
    def vmi_name(self) -> str | None:
        """The VMI that controls this pod, as far as the pod says so."""
        owner = self.metadata.controller
        ours = owner and owner.kind == VirtualMachineInstance.kind() and owner.api_version.startswith("kubevirt.io/")
        return owner.name if owner and ours else None


def stranger(pod: LauncherPod, vmi: VirtualMachineInstance, node: str) -> str:
    """Why this pod is not the one that runs the VMI; "" if it is."""
    owner = pod.metadata.controller
    status = vmi.status
    if owner is None or owner.uid != vmi.metadata.uid:
        why = "the pod belongs to another VMI of that name"
    elif pod.spec.host_network:
        why = "the pod is in the node's network"
    elif ownership.epoch(pod) > ownership.epoch(vmi) >= 0:
        why = ""  # the guest may come into it
    elif ownership.epoch(pod) < ownership.epoch(vmi):
        why = "the guest has moved to another pod"
    elif status is not None and status.node_name not in (None, "", node):
        why = f"the VMI runs on node {status.node_name}"
    elif status is not None and status.active_pods and pod.metadata.uid not in status.active_pods:
        why = "the VMI runs in another pod"
    else:
        why = ""
    return why


def too_late(pod: LauncherPod, vmi: VirtualMachineInstance) -> str:
    """Why no guest may be started in this pod any more; "" if one may: it would be the first."""
    phase = vmi.status.phase if vmi.status else None
    if pod.metadata.deletion_timestamp or pod.over:
        return "the pod is ending"
    if vmi.metadata.deletion_timestamp:
        return "the VMI is being deleted"
    if phase in FINAL or phase == "Running":
        return f"the VMI is {phase} already"
    return ""
