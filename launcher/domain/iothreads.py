"""I/O threads: which of QEMU's threads serves which virtio disk."""

from itertools import count, cycle
from xml.etree.ElementTree import Element

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from launcher.domain.cpu import cpus
from launcher.domain.host import Host
from launcher.domain.xml import tag


def iothreads(vmi: VirtualMachineInstance, _host: Host) -> list[Element]:
    threads = set(assignment(vmi).values())
    return [tag("iothreads", str(len(threads)))] if threads else []


def assignment(vmi: VirtualMachineInstance) -> dict[str, int]:
    """Disk -> number of its thread, from 1; disks that QEMU's main loop serves are not named."""
    virtio = [disk for disk in vmi.spec.domain.devices.disks if disk.disk and disk.disk.bus == "virtio"]
    dedicated = [disk.name for disk in virtio if disk.dedicated_io_thread]
    common = [disk.name for disk in virtio if not disk.dedicated_io_thread]
    pool = min(pool_size(vmi, bool(dedicated)), len(common))
    found = dict(zip(common, cycle(range(1, pool + 1)), strict=False))
    return found | dict(zip(dedicated, count(pool + 1), strict=False))


def pool_size(vmi: VirtualMachineInstance, dedicated: bool) -> int:
    """Threads for the disks that have none of their own, as many as KubeVirt's."""
    match vmi.spec.domain.io_threads_policy:
        case "auto":
            return 2 * cpus(vmi)
        case "shared":
            return 1
    return int(dedicated)
