"""What the agent reports of a guest's CPUs, memory and disks, which may change while it runs. Pure."""

from collections.abc import Mapping
from typing import Any

from hostler.api import quantity
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.kubevirt.vmi_status import VolumeStatus
from hostler.runtime.protocol import Raw
from launcher.agent.facts import Domain
from launcher.agent.hotplug import volume_statuses

LONGEST_MESSAGE = 1024


def volumes(vmi: VirtualMachineInstance, domain: Domain, troubles: Mapping[str, str]) -> list[Raw]:
    """Each volume and the device that it is in the guest; also those that are still to be let go."""
    known = volume_statuses(vmi)
    there = [volume(known.get(each.name), each.name, domain, troubles) for each in vmi.spec.volumes]
    names = {each.name for each in vmi.spec.volumes}
    going = [each for each in known.values() if each.hotplug_volume and each.name not in names]
    return there + [leaving(each, domain) for each in going]


def volume(known: VolumeStatus | None, name: str, domain: Domain, troubles: Mapping[str, str]) -> Raw:
    """What the manager knows of the volume, and whether the guest has it."""
    said = plain(known) | {"name": name, "target": domain.disks.get(name, "")}
    if name in domain.plugged:
        text = f"Successfully attach hotplugged volume {name} to VM"
        return said | {"phase": "Ready", "reason": "VolumeReady", "message": text}
    if name in troubles:
        return said | {"reason": "FailedHotplug", "message": troubles[name][:LONGEST_MESSAGE]}
    return said


def leaving(known: VolumeStatus, domain: Domain) -> Raw:
    """The manager takes the attachment pod away when the guest has let go of the disk."""
    if known.name in domain.disks:
        return plain(known) | {"phase": "Detaching", "reason": "Detaching", "message": "the guest is asked to let go"}
    text = f"Volume {known.name} has been unmounted from virt-launcher pod"
    gone = {"phase": "UnMountedFromPod", "reason": "VolumeUnMountedFromPod", "message": text}
    return plain(known) | {"target": ""} | gone


def plain(known: VolumeStatus | None) -> Raw:
    return known.model_dump(mode="json", by_alias=True, exclude_unset=True) if known else {}


def topology(vmi: VirtualMachineInstance, domain: Domain) -> Raw:
    """Sockets are what is plugged."""
    cpu = vmi.spec.domain.cpu
    shape: dict[str, int] = {name: (getattr(cpu, name) if cpu else None) or 1 for name in ("cores", "threads")}
    return shape | {"sockets": max(1, domain.vcpus // (shape["cores"] * shape["threads"]))}


def memory(vmi: VirtualMachineInstance, domain: Domain) -> Raw:
    """What the guest began with, what the manager grants it, and what it has."""
    given, known = vmi.spec.domain.memory, vmi.status.memory if vmi.status else None
    if given is None or given.guest is None:
        return {}
    first: Any = known.guest_at_boot if known and known.guest_at_boot is not None else given.guest
    granted: Any = known.guest_requested if known and known.guest_requested is not None else first
    used = domain.growth[1] if domain.growth else 0
    now = text(quantity.whole(first) + used) if used else first
    kept = {"memoryOverhead": known.memory_overhead} if known and known.memory_overhead is not None else {}
    return {"guestAtBoot": first, "guestCurrent": now, "guestRequested": granted} | kept


def text(size: int) -> str:
    """Bytes as people write them, where that is exact."""
    for unit, power in (("Gi", 30), ("Mi", 20), ("Ki", 10)):
        if size % (1 << power) == 0:
            return f"{size >> power}{unit}"
    return str(size)
