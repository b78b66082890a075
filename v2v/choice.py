"""Which machines of a source a plan means, and what stands against importing them."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hostler.api.imports import ImportMaps, ImportPlan, PlannedMachine, SourceMachine
from hostler.runtime import names
from v2v.importdisks import volume_name

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LONGEST = 50  # of a machine's name: disks and pods add to it and must stay below 63
SHOWN = 5


@dataclass(frozen=True)
class Refusal:
    """Why a machine is not imported: `reason` is CamelCase, `message` says what to do."""

    reason: str
    message: str


@dataclass(frozen=True)
class Choice:
    """A machine that a plan means, and its name here."""

    machine: SourceMachine
    target: str


@dataclass(frozen=True)
class Taken:
    """Names that are somebody's here."""

    machines: Collection[str] = ()
    disks: Mapping[str, str] = field(default_factory=dict)  # to what is to be done about it


def choose(plan: ImportPlan, machines: Sequence[SourceMachine], taken: Taken) -> dict[str, Choice | Refusal]:
    """What becomes of each of the plan's machines, by their `label`."""
    found = {label(entry): find(entry, machines) for entry in plan.spec.vms}
    twice = Counter(each.id for each in found.values() if isinstance(each, SourceMachine))
    targets = {name: target(entry, found[name]) for entry in plan.spec.vms for name in [label(entry)] if name in found}
    same = Counter(targets.values())
    result: dict[str, Choice | Refusal] = {}
    for name, machine in found.items():
        if isinstance(machine, Refusal):
            result[name] = machine
        elif twice[machine.id] > 1:
            result[name] = Refusal("DuplicateVM", f"the plan names {machine.name} ({machine.id}) more than once")
        elif same[targets[name]] > 1:
            text = f"more than one machine of the plan would be named {targets[name]!r} here: set targetName"
            result[name] = Refusal("TargetNameConflict", text)
        else:
            refusal = against(machine, targets[name], plan.spec.map, taken)
            result[name] = refusal or Choice(machine, targets[name])
    return result


def label(entry: PlannedMachine) -> str:
    """How a plan calls one of its machines."""
    return entry.id or entry.name or ""


def find(entry: PlannedMachine, machines: Sequence[SourceMachine]) -> SourceMachine | Refusal:
    """The machine that is meant, or why there is not exactly one."""
    if entry.id:
        found = [each for each in machines if each.id == entry.id and entry.name in (None, each.name)]
    else:
        found = [each for each in machines if each.name == entry.name]
    if len(found) == 1:
        return found[0]
    if found:
        identities = ", ".join(each.id for each in found)
        return Refusal("AmbiguousName", f"{len(found)} machines are named {entry.name!r}: give the id: {identities}")
    known = ", ".join(f"{each.name} ({each.id})" for each in machines[:SHOWN])
    more = f" and {len(machines) - SHOWN} more" if len(machines) > SHOWN else ""
    return Refusal("VMNotFound", f"the source has no machine {label(entry)!r}; it has {known or 'none'}{more}")


def target(entry: PlannedMachine, machine: SourceMachine | Refusal) -> str:
    """The name here: as the plan says, or the source's made into a DNS label."""
    source = machine.name if isinstance(machine, SourceMachine) else label(entry)
    return entry.target_name or dns_label(source)


def dns_label(name: str) -> str:
    """Lower case letters, digits and dashes; a name that loses too much gets a hash of itself."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not plain:
        return f"vm-{names.suffix(name)}"
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 6].rstrip('-')}-{names.suffix(name)}"


def against(machine: SourceMachine, name: str, maps: ImportMaps, taken: Taken) -> Refusal | None:
    """Why this machine cannot be imported, if so: the first reason."""
    return next(reasons(machine, name, maps, taken), None)


def reasons(machine: SourceMachine, name: str, maps: ImportMaps, taken: Taken) -> Iterator[Refusal]:
    if name in taken.machines:
        yield Refusal("VMAlreadyExists", f"there is a VirtualMachine {name!r} already: set targetName")
    if len(name) > LONGEST or not LABEL.fullmatch(name):
        yield Refusal("TargetNameInvalid", f"{name!r} is no DNS label of at most {LONGEST} characters")
    if machine.concerns:
        yield Refusal("NotImportable", "; ".join(machine.concerns))
    if not machine.disks:
        yield Refusal("NoDisks", "it has no disk")
    for number in range(len(machine.disks)):
        if problem := taken.disks.get(volume_name(name, number)):
            yield Refusal("VolumeAlreadyExists", problem)
    for disk in machine.disks:
        if disk.concern or disk.bytes < 1:
            yield Refusal("DiskNotReadable", f"disk {disk.file or disk.key}: {disk.concern or 'its size is unknown'}")
    if machine.firmware != "bios":
        yield Refusal("FirmwareNotSupported", "its firmware is efi: hostler runs no UEFI guests yet")
    yield from network_reasons(machine, maps)


def network_reasons(machine: SourceMachine, maps: ImportMaps) -> Iterator[Refusal]:
    wanted = destinations(maps)
    for nic in machine.nics:
        if wanted and nic.network not in wanted:
            text = f"network {nic.network!r} is not in spec.map.networks: map it to pod or ignored"
            yield Refusal("NetworkNotMapped", text)
    if len(pod_nics(machine, maps)) > 1:
        text = "more than one of its NICs would be on the pod network: map the others' networks to ignored"
        yield Refusal("NetworksNotSupported", text)


def destinations(maps: ImportMaps) -> Mapping[str, str]:
    return {each.source: each.destination for each in maps.networks}


def pod_nics(machine: SourceMachine, maps: ImportMaps) -> list[int]:
    """Which of the NICs are on the pod network: all, if there is no map."""
    wanted = destinations(maps)
    return [at for at, nic in enumerate(machine.nics) if wanted.get(nic.network, "pod") == "pod"]
