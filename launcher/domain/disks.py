"""Disks and CD-ROMs."""

from collections.abc import Collection, Iterator
from itertools import count
from xml.etree.ElementTree import Element

from hostler.api.kubevirt.storage import Disk, Volume
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime.errors import Terminal
from launcher.domain import iothreads
from launcher.domain.cpu import cpus
from launcher.domain.host import Host, virtio
from launcher.domain.volumes import Source, source
from launcher.domain.xml import tag

PREFIX = {"virtio": "vd", "sata": "sd", "scsi": "sd", "usb": "sd"}
BUS = "sata"  # KubeVirt's default
LETTERS = 26


def disks(vmi: VirtualMachineInstance, host: Host) -> Iterator[Element]:
    """Those that are there from the start; hotpluggable ones come when the guest runs."""
    volumes = {volume.name: volume for volume in vmi.spec.volumes}
    threads = iothreads.assignment(vmi)
    targets = target_names(vmi)
    units = count()
    for wanted in vmi.spec.domain.devices.disks:
        volume = volume_of(wanted, volumes)
        if volume.hotpluggable:
            continue
        found = source(volume, host)
        place = address(wanted, units)
        yield disk(vmi, wanted, found, target=targets[wanted.name], thread=threads.get(wanted.name), place=place)


def disk(  # noqa: PLR0913 - an element has many parts
    vmi: VirtualMachineInstance,
    wanted: Disk,
    found: Source,
    *,
    target: str,
    thread: int | None = None,
    place: Element | None = None,
) -> Element:
    """One disk; libvirt finds a place for it where none is given."""
    return tag(
        "disk",
        driver(vmi, wanted, found, thread),
        found.element(),
        tag("target", dev=target, bus=bus(wanted), tray=tray(wanted)),
        place,
        *options(wanted, found),
        type=found.type,
        device="cdrom" if wanted.cdrom else "disk",
        model=virtio(vmi) if bus(wanted) == "virtio" else None,
    )


def volume_of(wanted: Disk, volumes: dict[str, Volume]) -> Volume:
    if wanted.name not in volumes:
        raise Terminal("NoVolume", f"spec.domain.devices.disks: disk {wanted.name} has no volume of the same name")
    return volumes[wanted.name]


def bus(wanted: Disk) -> str:
    device = wanted.cdrom or wanted.disk
    return device.bus or BUS if device else BUS


def tray(wanted: Disk) -> str | None:
    return wanted.cdrom.tray if wanted.cdrom else None


def target_names(vmi: VirtualMachineInstance) -> dict[str, str]:
    """Disk -> vda, vdb, sda, ...: in the order of the spec; a disk that has a name in the status keeps it."""
    seen = vmi.status.volume_status if vmi.status else ()
    kept = {volume.name: volume.target for volume in seen if volume.target}
    free = {prefix: (name for name in letters(prefix) if name not in kept.values()) for prefix in PREFIX.values()}
    return {disk.name: kept.get(disk.name) or next(free[PREFIX[bus(disk)]]) for disk in vmi.spec.domain.devices.disks}


def free_target(wanted: Disk, taken: Collection[str]) -> str:
    """A name for one more disk."""
    return next(name for name in letters(PREFIX[bus(wanted)]) if name not in taken)


def letters(prefix: str) -> Iterator[str]:
    """sda ... sdz, sdaa, ..., as Linux counts."""
    for number in count():
        name, rest = "", number
        while rest >= 0:
            name, rest = chr(ord("a") + rest % LETTERS) + name, rest // LETTERS - 1
        yield prefix + name


def driver(vmi: VirtualMachineInstance, wanted: Disk, found: Source, thread: int | None) -> Element:
    """How QEMU reads and writes.

    The cache mode stays QEMU's own (write back, flushed when the guest says so) unless the VMI names one: only who
    can see the file system knows whether it could do without.
    """
    queues = cpus(vmi) if vmi.spec.domain.devices.block_multi_queue else None
    on_virtio = bus(wanted) == "virtio"
    return tag(
        "driver",
        name="qemu",
        type=found.format,
        cache="none" if wanted.shareable else wanted.cache,
        error_policy=wanted.error_policy or "stop",
        io=wanted.io,
        discard=None if wanted.cdrom or found.read_only else "unmap",
        queues=queues if on_virtio else None,
        iothread=thread if on_virtio else None,
    )


def address(wanted: Disk, units: Iterator[int]) -> Element | None:
    """SCSI disks sit on the one SCSI controller, in the order of the spec."""
    if bus(wanted) != "scsi":
        return None
    return tag("address", type="drive", controller=0, bus=0, target=0, unit=next(units))


def options(wanted: Disk, found: Source) -> list[Element | None]:
    return [
        tag("readonly") if read_only(wanted, found) else None,
        tag("shareable") if wanted.shareable else None,
        tag("serial", wanted.serial) if wanted.serial else None,
        tag("boot", order=wanted.boot_order) if wanted.boot_order else None,
        block_size(wanted),
        tag("alias", name=f"ua-{wanted.name}"),
    ]


def read_only(wanted: Disk, found: Source) -> bool:
    """CD-ROMs are, unless they say no; disks are if they or their volumes say so."""
    if wanted.cdrom:
        return wanted.cdrom.readonly is not False
    return found.read_only or bool(wanted.disk and wanted.disk.readonly)


def block_size(wanted: Disk) -> Element | None:
    size = wanted.block_size.custom if wanted.block_size else None
    if size is None:
        return None
    return tag(
        "blockio",
        logical_block_size=size.logical,
        physical_block_size=size.physical,
        discard_granularity=size.discard_granularity,
    )
