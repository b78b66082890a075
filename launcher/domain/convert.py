"""VMI -> libvirt domain XML: one ordered list of parts, one of devices."""

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from launcher.domain.clock import clock
from launcher.domain.consoles import graphics, guest_agent, outcome, serial
from launcher.domain.controllers import controllers
from launcher.domain.cpu import cpu
from launcher.domain.disks import disks
from launcher.domain.features import features
from launcher.domain.firmware import boot, ends, identity, sysinfo
from launcher.domain.host import Host
from launcher.domain.inputs import inputs
from launcher.domain.interfaces import interfaces
from launcher.domain.iothreads import iothreads
from launcher.domain.memory import memory
from launcher.domain.small import balloon, panic, rng, watchdog
from launcher.domain.unsupported import refuse
from launcher.domain.xml import Part, tag, text

PARTS: tuple[Part, ...] = (identity, memory, iothreads, cpu, sysinfo, boot, features, clock, ends)
DEVICES: tuple[Part, ...] = (
    *(disks, interfaces, serial, guest_agent, outcome),
    *(inputs, graphics, rng, watchdog, panic, balloon),
)


def convert(vmi: VirtualMachineInstance, host: Host) -> str:
    """The domain of a VMI on a host. Terminal, with the field's path, for what cannot be had."""
    refuse(vmi)
    devices = built(DEVICES, vmi, host)
    buses = controllers(vmi, devices)
    domain = tag("domain", *built(PARTS, vmi, host), type="kvm" if host.kvm else "qemu")
    domain.append(tag("devices", *buses, *devices))
    return text(domain)


def built(parts: Iterable[Part], vmi: VirtualMachineInstance, host: Host) -> list[Element]:
    return [element for part in parts for element in part(vmi, host)]
