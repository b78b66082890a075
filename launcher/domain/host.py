"""What a domain depends on besides its VMI."""

from dataclasses import dataclass

from hostler.api.kubevirt.vmi import VirtualMachineInstance


@dataclass(frozen=True)
class Host:
    """Facts of the node and of the pod that the domain will live in."""

    kvm: bool  # else software emulation (TCG)
    mtu: int = 1500  # of the pod's network
    block_volumes: frozenset[str] = frozenset()  # claims that the pod has as devices, not as folders
    pod_mac: str | None = None  # of the pod's interface, which a bridged guest takes over; None: it gets its own


def virtio(vmi: VirtualMachineInstance) -> str:
    """The model of virtio devices: modern ones only, unless the guest is too old for them."""
    return "virtio-transitional" if vmi.spec.domain.devices.use_virtio_transitional else "virtio-non-transitional"
