"""Changes of a running domain, in libvirt's words; called by `hypervisor`, in its thread."""

from xml.etree import ElementTree

import libvirt

from hostler.runtime.errors import Retry
from launcher.agent.facts import XML_LIMIT
from launcher.agent.hotplug import Attach, Change, Detach, Grow, SetCpus

LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE


def carry_out(domain: libvirt.virDomain, change: Change) -> None:
    """Ask for one change; libvirt's errors come through."""
    match change:
        case SetCpus(count):
            domain.setVcpusFlags(count, LIVE)
        case Grow():
            grow(domain, change)
        case Attach():
            attach(domain, change)
        case Detach(volume):
            detach(domain, volume)


def grow(domain: libvirt.virDomain, change: Grow) -> None:
    """libvirt knows its device again only by all that it says of it, so that is what it is told."""
    device = growth_device(domain.XMLDesc(0))
    if device is None:
        domain.attachDeviceFlags(change.xml, LIVE)
        return
    requested = device.find("target/requested")
    if requested is not None:
        requested.text, requested.attrib["unit"] = str(change.requested), "b"
    domain.updateDeviceFlags(ElementTree.tostring(device, encoding="unicode"), LIVE)


def growth_device(xml: str) -> ElementTree.Element | None:
    if len(xml) > XML_LIMIT or "<!DOCTYPE" in xml:
        raise Retry(60, "libvirtd's description of the domain is not one")
    return ElementTree.fromstring(xml).find("devices/memory[@model='virtio-mem']")  # noqa: S314 - no document type


def attach(domain: libvirt.virDomain, change: Attach) -> None:
    """QEMU gets the open descriptor: it needs no path to the disk, nor leave to open it."""
    domain.FDAssociate(change.group, [change.descriptor], 0)
    domain.attachDeviceFlags(change.xml, LIVE)


def detach(domain: libvirt.virDomain, volume: str) -> None:
    """Ask the guest to let go of it; an event tells when it has."""
    try:
        domain.detachDeviceAlias(f"ua-{volume}", LIVE)
    except libvirt.libvirtError as error:
        # it is gone, or its guest has been asked before
        if error.get_error_code() not in (libvirt.VIR_ERR_DEVICE_MISSING, libvirt.VIR_ERR_OPERATION_FAILED):
            raise
