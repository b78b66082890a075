"""From a source's machine to the VirtualMachine and the DataVolumes that are the same machine here."""

import re

from hostler.api.imports import ImportMaps, ImportSource, SourceDisk, SourceMachine
from hostler.runtime.protocol import Raw
from v2v.choice import pod_nics
from v2v.importdisks import volume_name

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
MIB = 2**20
THUMBPRINT = "import.hostler.io/thumbprint"  # annotation of a DataVolume: DataVolumes have no field for it
EVERYWHERE = ""  # a storage map's source that stands for all other datastores


def data_volume(source: ImportSource, machine: SourceMachine, disk: SourceDisk, name: str, maps: ImportMaps) -> Raw:
    """A volume as large as the disk, and where its bytes come from."""
    size = -(-disk.bytes // MIB)
    storage: Raw = {"resources": {"requests": {"storage": f"{size}Mi"}}, "accessModes": ["ReadWriteOnce"]}
    wanted = {each.source: each for each in maps.storage}
    if chosen := wanted.get(disk.datastore) or wanted.get(EVERYWHERE):
        if chosen.storage_class:
            storage["storageClassName"] = chosen.storage_class
        if chosen.access_mode:
            storage["accessModes"] = [chosen.access_mode]
    metadata: Raw = {"name": name}
    if source.spec.ova and source.spec.ova.thumbprint:
        metadata["annotations"] = {THUMBPRINT: source.spec.ova.thumbprint}
    return {"metadata": metadata, "spec": {"source": origin(source, machine, disk), "storage": storage}}


def origin(source: ImportSource, machine: SourceMachine, disk: SourceDisk) -> Raw:
    """The DataVolume source: CDI's `vddk`, which we read by HTTPS; or the member of an OVA."""
    if vsphere := source.spec.vsphere:
        found = {
            "url": vsphere.url,
            "uuid": identity(machine),
            "backingFile": disk.file,
            "secretRef": vsphere.secret_ref.name,
        }
        return {"vddk": found | ({"thumbprint": vsphere.thumbprint} if vsphere.thumbprint else {})}
    ova = source.spec.ova
    assert ova is not None  # CEL: exactly one
    plain: Raw = {"url": f"{ova.url}#{disk.file}"}
    return {"http": plain | ({"secretRef": ova.secret_ref.name} if ova.secret_ref else {})}


def identity(machine: SourceMachine) -> str:
    """Which machine it is: unlike its id, that is no other one's if the source becomes another vCenter."""
    return machine.instance_uuid or machine.uuid


def virtual_machine(machine: SourceMachine, target: str, maps: ImportMaps, *, start: bool) -> Raw:
    """The same CPUs, memory, firmware, identity, MACs and disks; its bus is virtio, as virt-v2v has prepared it."""
    volumes = [volume_name(target, number) for number in range(len(machine.disks))]
    interfaces, networks = network(machine, maps)
    domain = {
        "cpu": topology(machine),
        "memory": {"guest": f"{machine.memory_mib}Mi"},
        "firmware": firmware(machine),
        "devices": {
            "disks": [disk(number) for number in range(len(volumes))],
            "interfaces": interfaces,
            "autoattachPodInterface": bool(interfaces),
        },
    }
    spec: Raw = {
        "domain": domain,
        "networks": networks,
        "volumes": [{"name": f"disk{at}", "dataVolume": {"name": name}} for at, name in enumerate(volumes)],
    }
    return {
        "metadata": {"name": target, "annotations": notes(machine)},
        "spec": {
            "runStrategy": "Always" if start else "Halted",
            "template": {"metadata": {"labels": {"kubevirt.io/vm": target}}, "spec": spec},
        },
    }


def topology(machine: SourceMachine) -> Raw:
    """Sockets and cores as the guest knows them; a topology that does not add up becomes sockets of one core."""
    cores = machine.cores_per_socket
    if cores < 1 or machine.cpus % cores:
        cores = 1
    return {"sockets": machine.cpus // cores, "cores": cores, "threads": 1}


def firmware(machine: SourceMachine) -> Raw:
    """The SMBIOS UUID stays: licences and configuration management know the machine by it."""
    result: Raw = {"bootloader": {"bios": {}}}
    if machine.firmware == "efi":
        result = {"bootloader": {"efi": {"secureBoot": False}}}
    return result | ({"uuid": machine.uuid.lower()} if UUID.fullmatch(machine.uuid) else {})


def disk(number: int) -> Raw:
    found: Raw = {"name": f"disk{number}", "disk": {"bus": "virtio"}}
    return found | ({"bootOrder": 1} if number == 0 else {})


def network(machine: SourceMachine, maps: ImportMaps) -> tuple[list[Raw], list[Raw]]:
    """Interfaces and networks; a NIC that is ignored has neither."""
    interfaces: list[Raw] = []
    networks: list[Raw] = []
    for number in pod_nics(machine, maps):
        mac = machine.nics[number].mac
        name = f"net{number}"
        address = {"macAddress": mac.lower()} if MAC.fullmatch(mac) else {}
        interfaces.append({"name": name, "masquerade": {}, "model": "virtio"} | address)
        networks.append({"name": name, "pod": {}})
    return interfaces, networks


def notes(machine: SourceMachine) -> dict[str, str]:
    """Where it came from."""
    return {
        "import.hostler.io/source-name": machine.name,
        "import.hostler.io/source-id": machine.id,
        "import.hostler.io/source-guest": machine.guest_id,
    }
