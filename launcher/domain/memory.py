"""How much memory the guest has."""

from xml.etree.ElementTree import Element

from hostler.api import quantity
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime.errors import Terminal
from launcher.domain.host import Host
from launcher.domain.xml import tag

SLOTS = 16  # for memory devices; there is one, which grows
BLOCK = 2 << 20  # bytes: virtio-mem's steps


def memory(vmi: VirtualMachineInstance, _host: Host) -> list[Element]:
    size, most = guest_bytes(vmi), most_bytes(vmi)
    room = [tag("maxMemory", str(most), slots=SLOTS, unit="b")] if most > size else []
    return [*room, tag("memory", str(size), unit="b")]


def cells(vmi: VirtualMachineInstance, cpus: int) -> Element | None:
    """One NUMA cell for all: libvirt wants it of a guest whose memory may grow."""
    if most_bytes(vmi) <= guest_bytes(vmi):
        return None
    size = str(guest_bytes(vmi))
    return tag("numa", tag("cell", id=0, cpus=f"0-{cpus - 1}" if cpus > 1 else "0", memory=size, unit="b"))


def growth(size: int, requested: int) -> Element:
    """The device by which memory grows: `requested` of its `size` bytes are the guest's."""
    target = tag(
        "target",
        tag("size", str(size), unit="b"),
        tag("node", "0"),
        tag("block", str(BLOCK), unit="b"),
        tag("requested", str(requested), unit="b"),
    )
    return tag("memory", target, tag("alias", name="ua-growth"), model="virtio-mem")


def most_bytes(vmi: VirtualMachineInstance) -> int:
    """memory.maxGuest, or nothing more than the guest has; a device is whole blocks long."""
    domain = vmi.spec.domain
    given = domain.memory.max_guest if domain.memory else None
    size = guest_bytes(vmi)
    return size + max(0, quantity.whole(given) - size) // BLOCK * BLOCK if given is not None else size


def guest_bytes(vmi: VirtualMachineInstance) -> int:
    """memory.guest, else what the VMI requests, else its limit."""
    domain = vmi.spec.domain
    given = domain.memory.guest if domain.memory else None
    if given is None and domain.resources:
        given = domain.resources.requests.get("memory") or domain.resources.limits.get("memory")
    if given is None or (size := quantity.whole(given)) <= 0:
        raise Terminal("NoMemory", "spec.domain.memory.guest: set how much memory the guest has")
    return size
