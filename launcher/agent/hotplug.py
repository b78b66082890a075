"""What a running guest lacks of what its VMI says by now: CPUs, memory, disks. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hostler.api import quantity
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.kubevirt.vmi_status import VolumeStatus
from launcher.agent.facts import Domain
from launcher.domain import disks, memory, volumes
from launcher.domain.cpu import cpus
from launcher.domain.xml import text

GRANTED = "HotVCPUChange"  # condition: True when the pod has been given what more CPUs need


@dataclass(frozen=True)
class SetCpus:
    """This many virtual CPUs."""

    count: int

    def __str__(self) -> str:
        return f"{self.count} vCPUs"


@dataclass(frozen=True)
class Grow:
    """This much memory beside the guest's first: `xml` for a domain that has no device for it yet."""

    requested: int  # bytes
    xml: str

    def __str__(self) -> str:
        return f"{self.requested >> 20} MiB of memory beside the first"


@dataclass(frozen=True)
class Attach:
    """A disk whose bytes are in an attachment pod; `descriptor` is filled in by who opens it."""

    volume: str
    pod: str  # UID
    block: bool
    read_only: bool
    group: str
    xml: str
    descriptor: int = -1

    def __str__(self) -> str:
        return f"disk {self.volume}"


@dataclass(frozen=True)
class Detach:
    volume: str

    def __str__(self) -> str:
        return f"no disk {self.volume}"


Change = SetCpus | Grow | Attach | Detach


def changes(vmi: VirtualMachineInstance, domain: Domain) -> Iterator[Change]:
    """All that is to be done now, in an order of its own."""
    yield from more_cpus(vmi, domain)
    yield from more_memory(vmi, domain)
    yield from other_disks(vmi, domain)


def more_cpus(vmi: VirtualMachineInstance, domain: Domain) -> Iterator[SetCpus]:
    """Only more: taking CPUs away does not work under emulation, and needs the guest's help elsewhere."""
    found = vmi.status.conditions if vmi.status else ()
    granted = any(each.type == GRANTED and each.status == "True" for each in found)
    if granted and cpus(vmi) > domain.vcpus:
        yield SetCpus(cpus(vmi))


def more_memory(vmi: VirtualMachineInstance, domain: Domain) -> Iterator[Grow]:
    """More or less, between what the guest began with and what it may have; the manager says when."""
    known = vmi.status.memory if vmi.status else None
    if known is None or known.guest_at_boot is None or known.guest_requested is None:
        return
    first = quantity.whole(known.guest_at_boot)
    room = room_to_grow(vmi, first)
    beside = min(max(0, quantity.whole(known.guest_requested) - first), room) // memory.BLOCK * memory.BLOCK
    asked = domain.growth[0] if domain.growth else 0
    if room and beside != asked:
        yield Grow(beside, text(memory.growth(room, beside)))


def room_to_grow(vmi: VirtualMachineInstance, first: int) -> int:
    """Bytes that the guest's memory may grow by, in whole blocks."""
    given = vmi.spec.domain.memory.max_guest if vmi.spec.domain.memory else None
    return max(0, quantity.whole(given) - first) // memory.BLOCK * memory.BLOCK if given is not None else 0


def other_disks(vmi: VirtualMachineInstance, domain: Domain) -> Iterator[Attach | Detach]:
    """Disks whose attachment pod is there, and disks that the VMI has no more."""
    known = volume_statuses(vmi)
    sources = {volume.name: volume for volume in vmi.spec.volumes if volume.hotpluggable}
    taken = set(domain.disks.values())
    for wanted in vmi.spec.domain.devices.disks:
        volume, seen = sources.get(wanted.name), known.get(wanted.name)
        pod = seen.hotplug_volume.attach_pod_uid if seen and seen.hotplug_volume else None
        if volume is None or not pod or wanted.name in domain.disks:
            continue
        block = bool(seen and seen.persistent_volume_claim_info and is_block(seen))
        source = volumes.plugged(volume, block=block)
        target = disks.free_target(wanted, taken)
        taken.add(target)
        element = disks.disk(vmi, wanted, source, target=target)
        yield Attach(wanted.name, pod, block, source.read_only, source.group or "", text(element))
    yield from (Detach(name) for name in sorted(domain.plugged) if name not in sources)


def is_block(seen: VolumeStatus) -> bool:
    info = seen.persistent_volume_claim_info
    return info is not None and info.volume_mode == "Block"


def volume_statuses(vmi: VirtualMachineInstance) -> Mapping[str, VolumeStatus]:
    return {each.name: each for each in vmi.status.volume_status} if vmi.status else {}
