"""One machine of a plan, from step to step: switched off, disks copied, converted, created."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hostler.api.cdi import FAILED, SUCCEEDED, DataVolume
from hostler.api.imports import DiskImport, ImportPlan, ImportSource, MachineImport
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.objects import Pod
from hostler.runtime import conditions, names
from hostler.runtime.plan import Action, Create, Event, Patch, owner_reference
from hostler.runtime.protocol import Raw
from v2v import importdisks, importpod, mapping, verdict
from v2v.choice import Choice
from v2v.importdisks import Stranger
from v2v.settings import DiskSettings

PLAN_LABEL = "import.hostler.io/plan"
CONVERSION = "conversion.import.hostler.io/"  # annotations of the plan: what virt-v2v says of a machine
POWERING_OFF = "PoweringOff"  # reason of the one event that goes with a create
SHUTDOWN_SECONDS = 300
LONGEST = 200
# the phases in which a machine has need of a pod, or may have yet
WANTED: Mapping[importpod.Work, tuple[str, ...]] = {
    "off": ("Pending", "PoweringOff"),
    "convert": ("Pending", "PoweringOff", "Copying", "Converting"),
}


@dataclass(frozen=True)
class Seen:
    """What there is of a plan in the cluster."""

    source: ImportSource | None = None
    volumes: Mapping[str, DataVolume] = field(default_factory=dict)  # the plan's own
    strangers: Mapping[str, Stranger] = field(default_factory=dict)  # what else has the name of a disk
    pods: Mapping[str, Pod] = field(default_factory=dict)
    machines: Mapping[str, VirtualMachine] = field(default_factory=dict)  # all of the namespace
    missing: tuple[Action, ...] = ()  # what makes the workers' account, where it is not complete


@dataclass(frozen=True)
class Step:
    """A machine after one visit, and what is to be done for it."""

    machine: MachineImport
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Place:
    """What every step needs to know beside its machine."""

    plan: ImportPlan
    seen: Seen
    now: datetime
    settings: DiskSettings


def pending(name: str, chosen: Choice) -> MachineImport:
    disks = tuple(
        DiskImport(name=importdisks.volume_name(chosen.target, number), file=disk.file, total=disk.bytes)
        for number, disk in enumerate(chosen.machine.disks)
    )
    return MachineImport(name=name, phase="Pending", target_name=chosen.target, disks=disks, source=chosen.machine)


def step(machine: MachineImport, place: Place) -> Step:
    """One step, if the world allows it."""
    known = STEPS.get(machine.phase)
    if known is None or machine.source is None or machine.target_name is None:
        return Step(machine)
    if place.seen.source is None and machine.phase == "PoweringOff":
        return failed(machine, place, "SourceNotFound", "its ImportSource was deleted")
    machine = machine.model_copy(update={"message": None})  # what keeps it is said anew by each visit
    return hindered(machine, place) or known(machine, place)


def hindered(machine: MachineImport, place: Place) -> Step | None:
    """A name that it needs is somebody else's: what is there stays as it is."""
    target, seen = str(machine.target_name), place.seen
    if target in seen.machines and not importdisks.made_by(place.plan, seen.machines[target]):
        text = f"there is a VirtualMachine {target!r} already, which is not this import's: set targetName"
        return failed(machine, place, "VMAlreadyExists", text)
    for other in (seen.strangers[disk.name] for disk in machine.disks if disk.name in seen.strangers):
        if not other.going:
            return failed(machine, place, "VolumeAlreadyExists", str(other))
        return Step(machine.model_copy(update={"message": f"{other.kind} {other.name!r} is going: waiting for that"}))
    if machine.phase in ("Converting", "Creating"):
        for name in (disk.name for disk in machine.disks if disk.name not in seen.volumes):
            return failed(machine, place, "DiskGone", f"DataVolume {name!r} is not there any more")
    return None


def powering_off(machine: MachineImport, place: Place) -> Step:
    """A pod asks the source; an OVA has no power."""
    source = place.seen.source
    assert source is not None  # step() has seen to it
    if source.spec.vsphere is None:
        return turned(machine, "Copying", Event("Copying", f"{machine.name}: its disks are being copied"))
    pod = place.seen.pods.get(importpod.name(place.plan, str(machine.target_name), "off"))
    if pod is None:
        patience = place.plan.spec.shutdown_seconds or SHUTDOWN_SECONDS
        body = importpod.power(place.plan, source, machine, patience, place.settings)
        event = Event(POWERING_OFF, f"{machine.name} is being shut down on its source")
        return Step(machine, (Create(Pod, body, alone=True),), (event,))
    said = verdict.of(pod)
    if said is None:
        return Step(waiting(machine, pod))
    if not said.ok:
        return failed(machine, place, said.reason, said.message)
    event = Event("Copying", f"{machine.name}: {said.message}; its disks are being copied")
    return turned(machine.model_copy(update={"power": said.message[:LONGEST]}), "Copying", event)


def copying(machine: MachineImport, place: Place) -> Step:
    """A DataVolume for each disk, and how far they are."""
    creates = tuple(
        Create(DataVolume, volume(machine, number, place), alone=True)
        for number, disk in enumerate(machine.disks)
        if disk.name not in place.seen.volumes
    )
    disks = tuple(copied(disk, place.seen.volumes.get(disk.name)) for disk in machine.disks)
    machine = machine.model_copy(update={"disks": disks})
    if bad := next((each for each in disks if each.phase == FAILED), None):
        return failed(machine, place, "DiskFailed", f"disk {bad.file}: {why(place.seen.volumes[bad.name])}")
    if all(each.phase == SUCCEEDED for each in disks):
        text = f"{machine.name}: {len(disks)} disks are here; virt-v2v converts the guest"
        return turned(machine, "Converting", Event("Converting", text))
    return Step(machine, creates)


def volume(machine: MachineImport, number: int, place: Place) -> Raw:
    assert machine.source is not None  # step() has seen to it
    assert place.seen.source is not None
    name = machine.disks[number].name
    maps = place.plan.spec.map
    body = mapping.data_volume(place.seen.source, machine.source, machine.source.disks[number], name, maps)
    body["metadata"] |= {
        "namespace": place.plan.metadata.namespace,
        "labels": {PLAN_LABEL: names.label(place.plan.metadata.name)},
        # the disks of an import that did not come to its end go with the plan
        "ownerReferences": [owner_reference(place.plan)],
    }
    return body


def copied(disk: DiskImport, volume: DataVolume | None) -> DiskImport:
    """How far a disk is, by what its DataVolume says."""
    if volume is None or volume.status is None:
        return disk
    progress = volume.status.progress or "N/A"
    done = disk.total if volume.phase == SUCCEEDED else share(progress, disk.total)
    return disk.model_copy(update={"phase": volume.phase or "Pending", "progress": progress, "bytes": done})


def share(progress: str, total: int) -> int:
    """Bytes, from a percentage."""
    number = progress.removesuffix("%")
    try:
        return min(int(float(number) * total / 100), total)
    except ValueError:
        return 0


def why(volume: DataVolume) -> str:
    found = volume.status.conditions if volume.status else ()
    return next((each.message for each in found if each.type == "Running" and each.message), "no reason is given")


def converting(machine: MachineImport, place: Place) -> Step:
    """virt-v2v works on all disks at once, in one pod."""
    pod = place.seen.pods.get(importpod.name(place.plan, str(machine.target_name), "convert"))
    if pod is None:
        body = importpod.convert(place.plan, machine, place.seen.volumes, place.settings)
        return Step(machine, (Create(Pod, body, alone=True),))
    said = verdict.of(pod)
    if said is None:
        text = place.plan.metadata.annotations.get(f"{CONVERSION}{machine.target_name}", "")[:LONGEST]
        return Step(waiting(machine, pod).model_copy(update={"conversion": text or None}))
    if not said.ok:
        return failed(machine, place, said.reason, said.message)
    machine = machine.model_copy(update={"conversion": said.message[:LONGEST]})
    return turned(machine, "Creating", Event("Converted", f"{machine.name}: {said.message}"))


def creating(machine: MachineImport, place: Place) -> Step:
    """The machine, then its disks become its own, so that they live and die with it."""
    assert machine.source is not None  # step() has seen to it
    created = place.seen.machines.get(str(machine.target_name))
    if created is None:
        body = mapping.virtual_machine(
            machine.source, str(machine.target_name), place.plan.spec.map, start=bool(place.plan.spec.start)
        )
        body["metadata"] |= {
            "namespace": place.plan.metadata.namespace,
            "labels": {PLAN_LABEL: names.label(place.plan.metadata.name)},
            "annotations": body["metadata"]["annotations"] | {importdisks.MARK: place.plan.metadata.uid},
        }
        return Step(machine, (Create(VirtualMachine, body, alone=True),))
    mine = [place.seen.volumes[disk.name] for disk in machine.disks if disk.name in place.seen.volumes]
    left = [each for each in mine if owner(each) != created.metadata.uid]
    if left:
        reference = {**owner_reference(created), "controller": False, "blockOwnerDeletion": False}
        patch: Raw = {"metadata": {"ownerReferences": [reference]}}
        return Step(machine, tuple(Patch(each, patch, "hand over") for each in left))
    text = f"{machine.name} is here as VirtualMachine {machine.target_name}"
    return turned(machine, "Succeeded", Event("Imported", text), completed=conditions.stamp(place.now))


def owner(volume: DataVolume) -> str:
    return next((each.uid for each in volume.metadata.owner_references), "")


def pods_left(machine: MachineImport, plan: ImportPlan) -> Iterator[str]:
    """The names of the pods of the steps that are behind it."""
    for work, until in WANTED.items():
        if machine.phase not in until:
            yield importpod.name(plan, str(machine.target_name), work)


def refused(machine: MachineImport, plan: ImportPlan, name: str, message: str) -> MachineImport:
    """With what keeps it from its next step, if what has this name is made for this machine."""
    target = str(machine.target_name)
    pods = (importpod.name(plan, target, "off"), importpod.name(plan, target, "convert"))
    its = machine.phase in STEPS and name in (target, *pods, *(disk.name for disk in machine.disks))
    return machine.model_copy(update={"message": message}) if its else machine


def waiting(machine: MachineImport, pod: Pod) -> MachineImport:
    """What keeps a pod from its work, if it does."""
    trouble = verdict.trouble(pod)
    return machine.model_copy(update={"message": trouble or None})


def turned(machine: MachineImport, phase: str, event: Event, **more: object) -> Step:
    return Step(machine.model_copy(update={"phase": phase, "message": None, **more}), events=(event,))


def failed(machine: MachineImport, place: Place, reason: str, message: str) -> Step:
    off = f"; the source was {machine.power} and stays off" if machine.power and "was off" not in machine.power else ""
    update = {
        "phase": "Failed",
        "reason": reason,
        "message": f"{message}{off}"[:1024],
        "completed": conditions.stamp(place.now),
    }
    event = Event("ImportFailed", f"{machine.name}: {reason}: {message}{off}", "Warning")
    return Step(machine.model_copy(update=update), events=(event,))


STEPS = {"PoweringOff": powering_off, "Copying": copying, "Converting": converting, "Creating": creating}
