"""Disks that are added to and removed from a machine while it runs, as KubeVirt decides it: object in, patch out. Pure.

What is written is the specification, of the VM where there is one; its controller and the node's agent do the rest.
"""

from typing import Any

from pydantic import ValidationError

from gateway.lifecycle import Write, test
from gateway.refusals import VM, VMI, Refusal, bad_request, conflict
from hostler.api.kubevirt.vm import AddVolumeOptions, RemoveVolumeOptions, VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance, VirtualMachineInstanceSpec
from hostler.runtime.protocol import Ops, Raw

Machine = VirtualMachine | VirtualMachineInstance
BUS = "scsi"  # of a disk that names none


def add(machine: Machine, body: Raw) -> list[Write]:
    """One more volume, and the disk that shows it."""
    options = added(body)
    spec, base = spec_of(machine)
    if any(each.name == options.name for each in spec.volumes):
        raise refuse(machine, f"Unable to add volume [{options.name}] because volume with that name already exists")
    if options.name in held(machine):
        raise refuse(machine, f"Unable to add volume [{options.name}] because one of that name is still being removed")
    source = plain(options.volume_source)
    for kind in source.values():
        kind["hotpluggable"] = True
    disk = plain(options.disk) | {"name": options.name}
    target = next((disk[kind] for kind in ("disk", "lun", "cdrom") if kind in disk), None)
    if target is None:
        disk["disk"] = {"bus": BUS}
    elif not target.get("bus"):
        target["bus"] = BUS
    ops = [
        *append(f"{base}/volumes", spec.volumes, {"name": options.name} | source),
        *append(f"{base}/domain/devices/disks", spec.domain.devices.disks, disk),
    ]
    return [Write(machine, ops)]


def held(machine: Machine) -> set[str]:
    """Names of the disks that an instance has, those on their way out among them; its VM's controller looks itself."""
    if not isinstance(machine, VirtualMachineInstance) or machine.status is None:
        return set()
    return {each.name for each in machine.status.volume_status}


def remove(machine: Machine, body: Raw) -> list[Write]:
    """A volume that may go, and its disk."""
    try:
        options = RemoveVolumeOptions.model_validate(body)
    except ValidationError:
        raise bad_request("RemoveVolumeOptions requires name to be set") from None
    spec, base = spec_of(machine)
    index = next((n for n, each in enumerate(spec.volumes) if each.name == options.name), None)
    if index is None:
        raise refuse(machine, f"Unable to remove volume [{options.name}] because it does not exist")
    if not spec.volumes[index].hotpluggable:
        raise refuse(machine, f"Unable to remove volume [{options.name}] because it is not hotpluggable")
    disks = [n for n, each in enumerate(spec.domain.devices.disks) if each.name == options.name]
    ops = [*take(f"{base}/volumes", spec.volumes, index)]
    for place in disks[:1]:
        ops += take(f"{base}/domain/devices/disks", spec.domain.devices.disks, place)
    return [Write(machine, ops)]


def added(body: Raw) -> AddVolumeOptions:
    """The options, or KubeVirt's word on what they lack."""
    if not body.get("name"):
        raise bad_request("AddVolumeOptions requires name to be set")
    if not isinstance(body.get("disk"), dict):
        raise bad_request("AddVolumeOptions requires disk to not be nil")
    if not isinstance(body.get("volumeSource"), dict):
        raise bad_request("AddVolumeOptions requires VolumeSource to not be nil")
    try:
        options = AddVolumeOptions.model_validate({**body, "disk": {"name": body["name"]} | body["disk"]})
    except (ValidationError, TypeError) as error:
        raise bad_request(f"AddVolumeOptions: {error}") from None
    source = options.volume_source
    if (source.persistent_volume_claim is None) == (source.data_volume is None):
        raise bad_request("AddVolumeOptions: volumeSource must be either persistentVolumeClaim or dataVolume")
    return options


def spec_of(machine: Machine) -> tuple[VirtualMachineInstanceSpec, str]:
    """The machine's specification, and where it is in the object."""
    if isinstance(machine, VirtualMachineInstance):
        owner = machine.metadata.controller
        if owner is not None and owner.kind == VirtualMachine.kind():
            raise bad_request(f"VirtualMachineInstance belongs to VirtualMachine {owner.name}: change its volumes")
        return machine.spec, "/spec"
    spec = machine.spec.template.spec
    if spec is None:
        raise bad_request("the VirtualMachine has no template.spec")
    return spec, "/spec/template/spec"


def append(path: str, known: tuple[Any, ...], new: Raw) -> Ops:
    """At the end of a list that is still as it was seen."""
    if not known:
        return [{"op": "add", "path": path, "value": [new]}]
    return [test(path, [plain(each) for each in known]), {"op": "add", "path": f"{path}/-", "value": new}]


def take(path: str, known: tuple[Any, ...], index: int) -> Ops:
    place = f"{path}/{index}"
    return [test(place, plain(known[index])), {"op": "remove", "path": place}]


def refuse(machine: Machine, why: str) -> Refusal:
    return conflict(VM if isinstance(machine, VirtualMachine) else VMI, machine.metadata.name, why)


def plain(model: Any) -> Any:
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True)
