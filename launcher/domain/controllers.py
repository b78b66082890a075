"""Buses: PCI Express with room for hot-plug, SCSI, USB, virtio-serial."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from launcher.domain.host import virtio
from launcher.domain.memory import guest_bytes
from launcher.domain.xml import tag

SMALL = 2 << 30  # bytes of guest memory
# KubeVirt's topology v3: (ports in all, free ones at least) of a small and of a larger guest.
PORTS_SMALL = (8, 3)
PORTS_LARGE = (16, 6)


def controllers(vmi: VirtualMachineInstance, devices: Sequence[Element]) -> list[Element]:
    """The buses that `devices` need, and ports to plug more in."""
    found = [usb(devices), tag("controller", type="virtio-serial", index=0, model=virtio(vmi))]
    hotplug = not vmi.spec.domain.devices.disable_hotplug
    if hotplug or any(bus_of(device) == "scsi" for device in devices):
        found.append(tag("controller", type="scsi", index=0, model=virtio(vmi)))
    return found + (ports(vmi, [*devices, *found]) if hotplug else [])


def usb(devices: Sequence[Element]) -> Element:
    """None unless something sits on it: an idle USB controller costs the host a timer."""
    if any(bus_of(device) == "usb" for device in devices):
        return tag("controller", type="usb", index=0, model="qemu-xhci")
    return tag("controller", type="usb", index=0, model="none")


def ports(vmi: VirtualMachineInstance, devices: Sequence[Element]) -> list[Element]:
    """Root ports for the devices that are there and for those to come; libvirt wants the root named with them."""
    used = sum(on_pcie(device) for device in devices)
    total, free = PORTS_SMALL if guest_bytes(vmi) <= SMALL else PORTS_LARGE
    root = tag("controller", type="pci", index=0, model="pcie-root")
    count = used + max(total - used, free)
    return [root, *(tag("controller", type="pci", index=n, model="pcie-root-port") for n in range(1, count + 1))]


def bus_of(device: Element) -> str | None:
    """The bus of a disk or an input."""
    target = device.find("target") if device.tag == "disk" else device
    return target.get("bus") if target is not None else None


def on_pcie(device: Element) -> bool:
    """Whether a device takes up a root port."""
    match device.tag:
        case "interface" | "rng":
            return True
        case "disk" | "input":
            return bus_of(device) == "virtio"
        case "controller" | "memballoon":
            return device.get("model") != "none"
    return False
