"""How much memory the guest has."""

from xml.etree.ElementTree import Element

from hostler.api import quantity
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime.errors import Terminal
from launcher.domain.host import Host
from launcher.domain.xml import tag


def memory(vmi: VirtualMachineInstance, _host: Host) -> list[Element]:
    return [tag("memory", str(guest_bytes(vmi)), unit="b")]


def guest_bytes(vmi: VirtualMachineInstance) -> int:
    """memory.guest, else what the VMI requests, else its limit."""
    domain = vmi.spec.domain
    given = domain.memory.guest if domain.memory else None
    if given is None and domain.resources:
        given = domain.resources.requests.get("memory") or domain.resources.limits.get("memory")
    if given is None or (size := quantity.whole(given)) <= 0:
        raise Terminal("NoMemory", "spec.domain.memory.guest: set how much memory the guest has")
    return size
