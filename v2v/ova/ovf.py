"""The machine that an OVF describes, as a SourceMachine. No entities, no DTD; sizes, counts and texts are capped."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID, uuid5
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from hostler.api.imports import SourceDisk, SourceMachine, SourceNic
from hostler.runtime.errors import Terminal

LARGEST = 1 << 20  # bytes of an OVF
MOST = 64  # disks, or NICs
TEXT = 253
LARGEST_DISK = 64 << 40  # bytes
OVAS = UUID("5b1f2b8e-8d4f-5f7e-a7a7-0d6a4b5f9d11")  # namespace of the ids that machines get from their OVA's place
CPU, MEMORY, NIC, DISK = "3", "4", "10", "17"
UNITS = re.compile(r"byte(?: ?\* ?2 ?\^ ?([1-4]?\d))?")
NAMED = {"kb": 2**10, "mb": 2**20, "gb": 2**30, "kilobytes": 2**10, "megabytes": 2**20, "gigabytes": 2**30}
MEMBER = re.compile(r"[^/\\\0-\x1f]{1,200}")


@dataclass(frozen=True)
class Item:
    """One piece of virtual hardware: its resource type, and its other fields by name."""

    kind: str
    fields: dict[str, str]


def parse(text: bytes, place: str) -> SourceMachine:
    """The one machine of an OVF; `place` is where the OVA is, from which the machine gets its id."""
    root = read(text)
    systems = list(root.iter("VirtualSystem"))
    if len(systems) != 1:
        raise refused(f"describes {len(systems)} machines; hostler takes one")
    system = systems[0]
    items = [item(node) for node in system.iter("Item")]
    return SourceMachine(
        id=str(uuid5(OVAS, place)),
        name=short(system.findtext("Name") or system.get("id") or "imported"),
        cpus=number(first(items, CPU, "VirtualQuantity"), 1, 1024),
        cores_per_socket=number(first(items, CPU, "CoresPerSocket"), 1, 1024),
        memory_mib=memory(items),
        firmware="efi" if config(system, "firmware") == "efi" else "bios",
        guest_id=short(next((each.get("osType", "") for each in system.iter("OperatingSystemSection")), "")),
        power="poweredOff",
        disks=tuple(disks(root, items)),
        nics=tuple(nics(items)),
    )


def read(text: bytes) -> Element:
    """The tree, without namespaces: exporters differ in prefixes, not in names."""
    if len(text) > LARGEST:
        raise refused(f"is larger than {LARGEST} bytes")
    try:
        root: Element = fromstring(text, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise Terminal("SourceCorrupt", f"the OVF cannot be read: {error}") from error
    for node in root.iter():
        node.tag = local(node.tag)
        node.attrib = {local(key): value for key, value in node.attrib.items()}
    return root


def local(name: str) -> str:
    return name.rpartition("}")[2]


def item(node: Element) -> Item:
    fields = {child.tag: (child.text or "").strip() for child in node}
    return Item(fields.get("ResourceType", ""), fields)


def first(items: list[Item], kind: str, field: str) -> str:
    return next((each.fields.get(field, "") for each in items if each.kind == kind), "")


def memory(items: list[Item]) -> int:
    """MiB."""
    found = next((each.fields for each in items if each.kind == MEMORY), {})
    unit = factor(found.get("AllocationUnits", "byte * 2^20"))
    return max(number(found.get("VirtualQuantity", ""), 512, 1 << 50) * unit // 2**20, 1)


def factor(units: str) -> int:
    """Bytes in a unit, as "byte * 2^20" or "MegaBytes"."""
    plain = units.strip().lower()
    if match := UNITS.fullmatch(plain):
        return 1 << int(match[1] or 0)
    if plain in NAMED:
        return NAMED[plain]
    raise refused(f"counts in {short(units)!r}, which is not understood")


def number(text: str, otherwise: int, most: int) -> int:
    if not text:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= most):
        raise refused(f"says {short(text)!r} where a number from 1 to {most} belongs")
    return int(text)


def disks(root: Element, items: list[Item]) -> Iterator[SourceDisk]:
    """In the order of the hardware; each must be a file of the archive."""
    files = {node.get("id", ""): node.get("href", "") for node in root.iter("File")}
    known = {node.get("diskId", ""): node for node in root.iter("Disk")}
    wanted = [each.fields.get("HostResource", "").rpartition("/")[2] for each in items if each.kind == DISK]
    if len(wanted) > MOST:
        raise refused(f"has more than {MOST} disks")
    for identity in wanted:
        node = known.get(identity)
        href = files.get(node.get("fileRef", ""), "") if node is not None else ""
        if node is None or not MEMBER.fullmatch(href):
            raise refused(f"names a disk {short(identity)!r} that is no file of the archive")
        size = number(node.get("capacity", ""), 0, LARGEST_DISK) * factor(node.get("capacityAllocationUnits", "byte"))
        if size > LARGEST_DISK:
            raise refused(f"claims a disk of {size} bytes")
        yield SourceDisk(key=short(identity), file=href, bytes=size)


def nics(items: list[Item]) -> Iterator[SourceNic]:
    found = [each for each in items if each.kind == NIC]
    if len(found) > MOST:
        raise refused(f"has more than {MOST} NICs")
    for each in found:
        yield SourceNic(mac=short(each.fields.get("Address", "")), network=short(each.fields.get("Connection", "")))


def config(system: Element, key: str) -> str:
    """VMware's own settings: firmware, and more."""
    return next((node.get("value", "") for node in system.iter("Config") if node.get("key") == key), "")


def short(text: str) -> str:
    return "".join(char for char in text if char.isprintable())[:TEXT]


def refused(why: str) -> Terminal:
    return Terminal("OVFNotSupported", f"the OVF {why}")
