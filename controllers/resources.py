"""What a launcher pod asks the scheduler for."""

import math

from controllers.settings import MIB, ManagerSettings
from hostler.api import launcher, quantity
from hostler.api.kubevirt.vmi import VirtualMachineInstance, VirtualMachineInstanceSpec
from hostler.runtime.errors import Terminal
from hostler.runtime.protocol import Raw

PAGE_TABLES = 512  # a guest's memory costs the host about one part in so many for page tables
CLUSTER = 13  # bits: QEMU keeps 8 bytes of table for each 64 KiB of a qcow2 image
TABLES = 32 * MIB  # the most that it keeps of one image


def whole(field: str, asked: str | float) -> int:
    """A quantity of the VMI's spec, rounded up."""
    try:
        return quantity.whole(asked)
    except ValueError as error:
        raise Terminal("QuantityInvalid", f"spec.{field}: {error}") from error


def vcpus(spec: VirtualMachineInstanceSpec) -> int:
    """The guest's CPUs, by topology or else by the CPU that the user requests."""
    if cpu := spec.domain.cpu:
        count = (cpu.cores or 1) * (cpu.sockets or 1) * (cpu.threads or 1)
        if cpu.cores or cpu.sockets or cpu.threads:
            return count
    if (resources := spec.domain.resources) and (asked := resources.limits.get("cpu") or resources.requests.get("cpu")):
        return max(whole("domain.resources", asked), 1)
    return 1


def guest_memory(spec: VirtualMachineInstanceSpec) -> int:
    """Bytes that the guest sees."""
    resources = spec.domain.resources
    for field, asked in (
        ("memory.guest", spec.domain.memory and spec.domain.memory.guest),
        ("resources.requests.memory", resources and resources.requests.get("memory")),
        ("resources.limits.memory", resources and resources.limits.get("memory")),
    ):
        if asked:
            return whole(f"domain.{field}", asked)
    raise Terminal("MemoryMissing", "spec.domain.memory.guest: say how much memory the guest has, such as 128Mi")


def grown(vmi: VirtualMachineInstance) -> int:
    """Bytes that a running guest is to have beside what it began with."""
    known = vmi.status.memory if vmi.status else None
    first = known.guest_at_boot if known else None
    return max(0, guest_memory(vmi.spec) - whole("domain.memory.guest", first)) if first is not None else 0


def has_interface(spec: VirtualMachineInstanceSpec) -> bool:
    """Whether the pod needs /dev/net/tun; KubeVirt attaches the pod network where nothing is said."""
    devices = spec.domain.devices
    return bool(devices.interfaces) or devices.autoattach_pod_interface is not False


def overhead(vmi: VirtualMachineInstance, settings: ManagerSettings) -> int:
    """Bytes that the pod needs beside the guest's memory, from measurements (tests/bench/memory.py)."""
    spec, memory = vmi.spec, guest_memory(vmi.spec)
    mib = settings.overhead_launcher + settings.overhead_qemu + settings.overhead_vcpu * vcpus(spec)
    if spec.domain.devices.autoattach_graphics_device is not False:
        mib += settings.overhead_graphics
    if settings.use_emulation:
        mib += math.ceil(settings.overhead_emulation * launcher.tb_cache_mib(memory - grown(vmi)))
    return mib * MIB + memory // PAGE_TABLES + tables(spec)


def tables(spec: VirtualMachineInstanceSpec) -> int:
    """Bytes of its qcow2 images' tables that QEMU keeps; without overlays, whose size is seen only in the pod."""
    sizes = (
        whole(f"volumes[{volume.name}].emptyDisk.capacity", volume.empty_disk.capacity)
        for volume in spec.volumes
        if volume.empty_disk
    )
    return sum(min(max(size, 0) >> CLUSTER, TABLES) for size in sizes)


def resources(vmi: VirtualMachineInstance, settings: ManagerSettings) -> Raw:
    """The compute container's requests and limits."""
    asked = vmi.spec.domain.resources
    requests = dict(asked.requests) if asked else {}
    limits = dict(asked.limits) if asked else {}
    extra = overhead(vmi, settings)
    requested = 0 if asked and asked.overcommit_guest_overhead else extra
    memory = requests.get("memory") or limits.get("memory")
    base = guest_memory(vmi.spec) if memory is None else whole("domain.resources.requests.memory", memory) + grown(vmi)
    requests["memory"] = str(base + requested)
    if "memory" in limits:
        limits["memory"] = str(whole("domain.resources.limits.memory", limits["memory"]) + grown(vmi) + extra)
    if "cpu" not in requests and "cpu" not in limits:
        requests["cpu"] = f"{vcpus(vmi.spec) * 1000 // settings.cpu_allocation_ratio}m"
    if has_interface(vmi.spec):
        limits[launcher.TUN] = "1"
    if not settings.use_emulation:
        limits[launcher.KVM] = "1"
    return {"requests": {k: str(v) for k, v in requests.items()}, "limits": {k: str(v) for k, v in limits.items()}}
