"""What a stateful set's guest keeps for ever: its number, name, disks, MAC addresses and the machine's UUID. Pure."""

from collections.abc import Iterable
from datetime import datetime

from controllers import members, vm_instance
from hostler.api import apps
from hostler.api.apps import VirtualMachineStatefulSet as StatefulSet
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.runtime.names import LONGEST_LABEL
from hostler.runtime.plan import Create
from hostler.runtime.protocol import Raw


def first(stateful_set: StatefulSet) -> int:
    ordinals = stateful_set.spec.ordinals
    return (ordinals and ordinals.start) or 0


def replicas(stateful_set: StatefulSet) -> int:
    return 1 if stateful_set.spec.replicas is None else stateful_set.spec.replicas


def numbers(stateful_set: StatefulSet) -> range:
    """The ordinals that there should be."""
    return range(first(stateful_set), first(stateful_set) + replicas(stateful_set))


def ordinal(stateful_set: StatefulSet, vmi: VMI) -> int | None:
    """The number in a guest's name; None if it is not a name of this set."""
    head, _, tail = vmi.metadata.name.rpartition("-")
    own = head == stateful_set.metadata.name and tail.isdecimal() and str(int(tail)) == tail
    return int(tail) if own else None


def name(stateful_set: StatefulSet, number: int) -> str:
    return f"{stateful_set.metadata.name}-{number}"


def disk_names(stateful_set: StatefulSet) -> tuple[str, ...]:
    """Of the disks that each ordinal has for itself: names of claim and DataVolume templates."""
    spec = stateful_set.spec
    named = [each.metadata for each in spec.volume_claim_templates] + [
        each.metadata for each in spec.data_volume_templates
    ]
    return tuple(meta.name for meta in named if meta)


def claim(disk: str, stateful_set: StatefulSet, number: int) -> str:
    return f"{disk}-{name(stateful_set, number)}"


def guest(stateful_set: StatefulSet, number: int, template: Raw, revision: str, now: datetime) -> Create:
    """The guest of an ordinal, of a revision's template. Who it is follows from the set's UID and the ordinal."""
    meta, own = template["metadata"], name(stateful_set, number)
    labels = meta["labels"] | {apps.REVISION_HASH: revision, apps.ORDINAL: str(number), apps.MEMBER: own}
    whole = {"metadata": meta | {"labels": labels}, "spec": spec(stateful_set, number, template["spec"])}
    return Create(VMI, members.guest(stateful_set, own, whole, now))


def spec(stateful_set: StatefulSet, number: int, template: Raw) -> Raw:
    seed = f"{stateful_set.metadata.uid}/{number}"
    domain = template["domain"]
    firmware = domain.get("firmware") or {}
    if not firmware.get("uuid"):
        firmware = firmware | {"uuid": vm_instance.stable_uuid(seed)}
    devices = domain.get("devices") or {}
    if interfaces := devices.get("interfaces"):
        devices = devices | {"interfaces": [addressed(each, seed) for each in interfaces]}
    own = name(stateful_set, number)
    made = template | {"domain": domain | {"firmware": firmware, "devices": devices}}
    made["volumes"] = volumes(stateful_set, number, template.get("volumes") or ())
    if len(own) <= LONGEST_LABEL and "." not in own:
        made["hostname"] = own
    if stateful_set.spec.service_name:
        made["subdomain"] = stateful_set.spec.service_name
    return made


def addressed(interface: Raw, seed: str) -> Raw:
    # a bridged guest takes over the pod's address, which the network may insist on
    if "bridge" in interface or interface.get("macAddress"):
        return interface
    return interface | {"macAddress": vm_instance.stable_mac(seed, interface["name"])}


def volumes(stateful_set: StatefulSet, number: int, given: Iterable[Raw]) -> list[Raw]:
    """The template's volumes; those that the ordinal has for itself in place of others of their names."""
    own = disk_names(stateful_set)
    made = {each.metadata.name for each in stateful_set.spec.data_volume_templates if each.metadata}
    kept = [each for each in given if each["name"] not in own]
    for disk in own:
        target = claim(disk, stateful_set, number)
        source = {"dataVolume": {"name": target}} if disk in made else {"persistentVolumeClaim": {"claimName": target}}
        kept.append({"name": disk} | source)
    return kept
