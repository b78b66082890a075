"""The small devices: random numbers, watchdog, panic notifier, memory balloon."""

from xml.etree.ElementTree import Element

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from launcher.domain.host import Host, virtio
from launcher.domain.xml import tag

STATS_SECONDS = 10  # between two readings of the guest's memory statistics


def rng(vmi: VirtualMachineInstance, _host: Host) -> list[Element]:
    if vmi.spec.domain.devices.rng is None:
        return []
    return [tag("rng", tag("backend", "/dev/urandom", model="random"), model=virtio(vmi))]


def watchdog(vmi: VirtualMachineInstance, _host: Host) -> list[Element]:
    wanted = vmi.spec.domain.devices.watchdog
    if wanted is None or wanted.i6300esb is None:
        return []
    action = wanted.i6300esb.action or "reset"
    return [tag("watchdog", tag("alias", name=f"ua-{wanted.name}"), model="i6300esb", action=action)]


def panic(vmi: VirtualMachineInstance, _host: Host) -> list[Element]:
    """Devices by which the guest's kernel says that it has panicked: the domain then ends as crashed."""
    return [tag("panic", model=wanted.model) for wanted in vmi.spec.domain.devices.panic_devices]


def balloon(vmi: VirtualMachineInstance, _host: Host) -> list[Element]:
    """Gives free pages back to the node by itself, and tells how much memory the guest uses."""
    if vmi.spec.domain.devices.autoattach_mem_balloon is False:
        return [tag("memballoon", model="none")]
    return [tag("memballoon", tag("stats", period=STATS_SECONDS), model=virtio(vmi), freePageReporting="on")]
