"""Network interfaces: a tap device that the node's agent has set up in the pod."""

from collections.abc import Iterator
from hashlib import sha256
from xml.etree.ElementTree import Element

from hostler.api import launcher
from hostler.api.kubevirt.network import Interface
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime.errors import Terminal
from launcher.domain.host import Host, virtio
from launcher.domain.xml import tag

LOCAL = 0x02  # first byte of an address that nobody bought


def interfaces(vmi: VirtualMachineInstance, host: Host) -> Iterator[Element]:
    given = vmi.spec.domain.devices.interfaces
    if len(given) > 1:
        raise Terminal("NotSupported", "spec.domain.devices.interfaces: only the one on the pod network is supported")
    for wanted in given:
        if wanted.bridge is None and wanted.masquerade is None:
            path = f"spec.domain.devices.interfaces: interface {wanted.name}"
            raise Terminal("NotSupported", f"{path} has no binding that hostler supports; use masquerade or bridge")
        model = wanted.model or "virtio"
        yield tag(
            "interface",
            tag("mac", address=seen_mac(vmi, wanted, host)),
            tag("target", dev=launcher.TAP, managed="no"),
            tag("model", type=virtio(vmi) if model == "virtio" else model),
            tag("mtu", size=host.mtu),
            tag("link", state="down") if wanted.state == "down" else None,
            tag("boot", order=wanted.boot_order) if wanted.boot_order else None,
            tag("rom", enabled="no") if not wanted.boot_order else None,
            tag("acpi", index=wanted.acpi_index) if wanted.acpi_index else None,
            tag("alias", name=f"ua-{wanted.name}"),
            type="ethernet",
        )


def seen_mac(vmi: VirtualMachineInstance, wanted: Interface, host: Host) -> str:
    """A bridged guest takes over the pod's address, which the network may insist on; any other has its own."""
    if wanted.bridge is not None and not wanted.mac_address and host.pod_mac:
        return host.pod_mac
    return mac_address(vmi, wanted)


def mac_address(vmi: VirtualMachineInstance, interface: Interface) -> str:
    """The address that the interface asks for, or one that follows from the VMI's UID and the interface's name."""
    if interface.mac_address:
        return interface.mac_address.lower().replace("-", ":")
    digest = sha256(f"{vmi.metadata.uid}/{interface.name}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (LOCAL, *digest[:5]))
