"""All virtual machines of a vSphere in a few calls: the property collector pages them."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from pyVmomi import vim, vmodl

from hostler.api.imports import SourceDisk, SourceMachine, SourceNic
from hostler.runtime.errors import Retry, Terminal
from v2v.vsphere.session import Session

PATHS = (
    "name",
    "config.uuid",
    "config.instanceUuid",
    "config.firmware",
    "config.guestId",
    "config.template",
    "config.hardware.numCPU",
    "config.hardware.numCoresPerSocket",
    "config.hardware.memoryMB",
    "config.hardware.device",
    "runtime.powerState",
    "guest.hostName",
    "snapshot",
)
UNREADABLE = "its configuration cannot be read: the host may be disconnected"
SNAPSHOTS = "it has snapshots: delete them in vSphere first, so that all its data is in its base disks"
AGAIN = 15.0  # seconds until a machine that cannot be read is looked at again
MOST = 1000  # machines that are told; a status must stay below etcd's 1.5 MB
DATASTORE = re.compile(r"\[(.+?)\] (.+)")
TEXT = 253  # characters of any text that we keep

Collector = vmodl.query.PropertyCollector


def machines(session: Session) -> tuple[list[SourceMachine], int]:
    """Machines by name, MOST of them at most, and how many there are; templates are none."""
    told = listed(session, PATHS)
    found = [machine(identity, values) for identity, values in told if not values.get("config.template")]
    found.sort(key=lambda each: (each.name, each.id))
    return found[:MOST], len(found)


def listed(session: Session, paths: Iterable[str]) -> list[tuple[str, dict[str, Any]]]:
    """(id, property -> value) of every machine."""
    content = session.content
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    try:
        through = Collector.TraversalSpec(name="view", path="view", skip=False, type=vim.view.ContainerView)
        spec = Collector.FilterSpec(
            objectSet=[Collector.ObjectSpec(obj=view, skip=True, selectSet=[through])],
            propSet=[Collector.PropertySpec(type=vim.VirtualMachine, pathSet=list(paths))],
        )
        return list(pages(content.propertyCollector, spec))
    finally:
        view.DestroyView()


def look(session: Session, uuid: str) -> SourceMachine:
    """The one machine with a UUID, as it is now; Retry if its configuration cannot be read."""
    content, known = session.content, session.machine(find(session, uuid))
    spec = Collector.FilterSpec(
        objectSet=[Collector.ObjectSpec(obj=known, skip=False)],
        propSet=[Collector.PropertySpec(type=vim.VirtualMachine, pathSet=list(PATHS))],
    )
    (found,) = (machine(*each) for each in pages(content.propertyCollector, spec))
    if UNREADABLE in found.concerns:
        raise Retry(AGAIN, f"{found.name}: {UNREADABLE}")
    return found


def find(session: Session, uuid: str) -> str:
    """The id of the machine with this instance UUID, or else BIOS UUID; Terminal if there is not exactly one."""
    if not uuid:
        raise Terminal("VMNotFound", "the machine has no UUID, by which it could be found")
    paths = ["config.instanceUuid", "config.uuid"]
    known = list(listed(session, paths))
    for path in paths:
        found = [identity for identity, values in known if str(values.get(path, "")).lower() == uuid.lower()]
        if len(found) == 1:
            return found[0]
        if found:
            raise Terminal("AmbiguousUuid", f"machines {', '.join(found[:5])} have one UUID: {uuid}")
    raise Terminal("VMNotFound", f"the source has no machine with UUID {uuid!r}")


def pages(collector: Any, spec: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """(id, property -> value) of every object that the specification selects."""
    result = collector.RetrievePropertiesEx([spec], Collector.RetrieveOptions())
    while result is not None:
        for each in result.objects:
            yield each.obj._moId, {each.name: each.val for each in each.propSet}
        result = collector.ContinueRetrievePropertiesEx(result.token) if result.token else None


def machine(identity: str, values: dict[str, Any]) -> SourceMachine:
    """One machine as we tell it; what stands against its import is in `concerns`."""
    devices = values.get("config.hardware.device") or []
    return SourceMachine(
        id=identity,
        name=short(values.get("name")),
        uuid=short(values.get("config.uuid")),
        instance_uuid=short(values.get("config.instanceUuid")),
        cpus=values.get("config.hardware.numCPU") or 1,
        cores_per_socket=values.get("config.hardware.numCoresPerSocket") or 1,
        memory_mib=values.get("config.hardware.memoryMB") or 512,
        firmware="efi" if values.get("config.firmware") == "efi" else "bios",
        guest_id=short(values.get("config.guestId")),
        hostname=short(values.get("guest.hostName")),
        power=str(values.get("runtime.powerState") or ""),
        concerns=tuple(concerns(values, devices)),
        disks=tuple(map(disk, of(devices, vim.vm.device.VirtualDisk))),
        nics=tuple(map(nic, of(devices, vim.vm.device.VirtualEthernetCard))),
    )


def concerns(values: dict[str, Any], devices: list[Any]) -> Iterator[str]:
    """Why this machine cannot be imported as it is."""
    if "config.hardware.numCPU" not in values:
        yield UNREADABLE
    if values.get("snapshot") is not None:
        yield SNAPSHOTS
    if any(isinstance(each, vim.vm.device.VirtualTPM) for each in devices):
        yield "it has a virtual TPM, whose secrets cannot leave vSphere"


def disk(device: Any) -> SourceDisk:
    file = short(getattr(device.backing, "fileName", ""))
    match = DATASTORE.fullmatch(file)
    return SourceDisk(
        key=str(device.key),
        file=file,
        bytes=device.capacityInBytes or (device.capacityInKB or 0) * 1024,
        datastore=match[1] if match else "",
        concern=unreadable(device.backing, bool(match)),
    )


def unreadable(backing: Any, named: bool) -> str | None:
    if not isinstance(backing, vim.vm.device.VirtualDisk.FlatVer2BackingInfo):
        return f"its backing is {type(backing).__name__.rpartition('.')[2]}: only disks in flat files can be read"
    if backing.parent is not None:
        return "it is a snapshot's difference to another disk"
    return None if named else "the name of its file is not understood"


def nic(device: Any) -> SourceNic:
    """The network by the name that it has in vSphere, or the key of its distributed port group."""
    backing, label = device.backing, getattr(device.deviceInfo, "summary", "")
    port = getattr(backing, "port", None)
    name = getattr(backing, "deviceName", None) or (port and port.portgroupKey) or label
    return SourceNic(mac=short(device.macAddress), network=short(name))


def of(devices: Iterable[Any], kind: type) -> list[Any]:
    return [device for device in devices if isinstance(device, kind)]


def short(text: Any) -> str:
    """A text of the source, capped, in one line."""
    return "".join(char for char in str(text or "") if char.isprintable())[:TEXT]


def datacenter(session: Session, identity: str) -> str:
    """The path of the datacenter that a machine is in, as the datastores' web server wants it."""
    names: list[str] = []
    inside = False
    at = session.machine(identity)
    for _ in range(MOST):
        at = at.parent
        if at is None or at._moId == session.content.rootFolder._moId:
            break
        inside = inside or isinstance(at, vim.Datacenter)
        if inside:
            names.append(str(at.name))
    return "/".join(reversed(names)) or "ha-datacenter"  # what an ESXi host calls its only one
