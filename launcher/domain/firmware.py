"""Who the machine is and how it starts: names, UUID, SMBIOS, BIOS, kernel."""

from uuid import UUID, uuid5
from xml.etree.ElementTree import Element

from hostler.api import launcher
from hostler.api.kubevirt.domain import Chassis
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime.errors import Terminal
from launcher.domain.host import Host
from launcher.domain.xml import tag, yes

GUESTS = UUID("8f1bd1c5-6c0f-5d0e-9f3c-3c5f7a1f2f10")  # namespace of the UUIDs that guests get from their VMI's
# What KubeVirt tells guests, and what cloud-init and monitoring agents look for.
SYSTEM = {"manufacturer": "KubeVirt", "family": "KubeVirt", "product": "None"}


def identity(vmi: VirtualMachineInstance, _host: Host) -> list[Element]:
    meta = vmi.metadata
    return [
        tag("name", launcher.domain_name(meta.namespace, meta.name)),
        tag("uuid", guest_uuid(vmi)),
        tag("metadata", tag("kubevirt", tag("uid", meta.uid), xmlns="http://kubevirt.io")),
    ]


def guest_uuid(vmi: VirtualMachineInstance) -> str:
    """firmware.uuid, or one that follows from the VMI's UID: the same whoever converts, and whenever."""
    firmware = vmi.spec.domain.firmware
    return firmware.uuid if firmware and firmware.uuid else str(uuid5(GUESTS, vmi.metadata.uid))


def sysinfo(vmi: VirtualMachineInstance, _host: Host) -> list[Element]:
    firmware = vmi.spec.domain.firmware
    serial = firmware.serial if firmware else None
    system = {"uuid": guest_uuid(vmi)} | ({"serial": serial} if serial else {}) | SYSTEM
    entries = [tag("entry", value, name=name) for name, value in system.items()]
    return [tag("sysinfo", tag("system", *entries), chassis(vmi.spec.domain.chassis), type="smbios")]


def chassis(wanted: Chassis | None) -> Element | None:
    entries = wanted.model_dump(exclude_none=True) if wanted else {}
    return tag("chassis", *(tag("entry", value, name=name) for name, value in entries.items())) if entries else None


def boot(vmi: VirtualMachineInstance, _host: Host) -> list[Element]:
    """`<os>`: q35 only, since the layout of PCI Express ports for hot-plug is made for it."""
    domain = vmi.spec.domain
    machine = domain.machine.type if domain.machine and domain.machine.type else "q35"
    if machine != "q35" and not machine.startswith("pc-q35"):
        raise Terminal("NotSupported", f"spec.domain.machine.type: {machine!r} is not supported; use q35")
    bios = domain.firmware and domain.firmware.bootloader and domain.firmware.bootloader.bios
    serial = tag("bios", useserial=yes(bios.use_serial)) if bios and bios.use_serial is not None else None
    parts = [tag("type", "hvm", arch="x86_64", machine=machine), tag("smbios", mode="sysinfo"), serial]
    return [tag("os", *parts, *kernel(vmi))]


def kernel(vmi: VirtualMachineInstance) -> list[Element]:
    """Direct boot of a kernel that comes in an image of its own; PID 1 has checked that it is there."""
    firmware = vmi.spec.domain.firmware
    wanted = firmware.kernel_boot if firmware else None
    if wanted is None:
        return []
    box = wanted.container
    paths = {"kernel": box.kernel_path, "initrd": box.initrd_path} if box else {}
    found = [tag(name, f"{launcher.KERNEL}/{path.lstrip('/')}") for name, path in paths.items() if path]
    return found + ([tag("cmdline", wanted.kernel_args)] if wanted.kernel_args else [])


def ends(vmi: VirtualMachineInstance, _host: Host) -> list[Element]:
    """What follows when the guest ends: the pod ends with it, but for a reboot."""
    reboot = "destroy" if vmi.spec.domain.reboot_policy == "Terminate" else "restart"
    return [tag("on_poweroff", "destroy"), tag("on_reboot", reboot), tag("on_crash", "destroy")]
