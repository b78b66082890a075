"""virt-v2v-in-place: what it is told, and what it says. Pure; `converter` runs it."""

import json
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, tostring

from v2v.importpod import Job

LONGEST_LINE = 64 << 10  # bytes
APPLIANCE = "/usr/lib/hostler/appliance"  # made when the image was

# The beginning of what virt-v2v says when it gives up -> what the user can do. Newest wording and older ones.
ADVICE = {
    "inspection could not detect": "the disk has no operating system that virt-v2v knows",
    "no operating system": "the disk has no operating system that virt-v2v knows",
    "not enough free space": "free some space in the guest's file systems (100 MB on /, 50 MB on /boot) and try again",
    "not enough available inodes": "remove files in the guest: its file system has no inodes left",
    "virt-v2v is unable to convert": "virt-v2v does not support this guest",
    "multi-boot operating systems": "the disk has more than one operating system",
    "only xen kernels": "install a kernel in the guest that is not for Xen",
    "could not mount": "a file system of the guest is damaged, encrypted or hibernated: shut the guest down cleanly",
}


@dataclass(frozen=True)
class Line:
    """One line of virt-v2v's machine-readable output."""

    kind: Literal["message", "info", "warning", "error"]
    text: str


def guest_xml(job: Job) -> bytes:
    """The guest for virt-v2v, as libvirt XML; where its disks are counts, not on which bus they were."""
    domain = Element("domain", type="kvm")
    SubElement(domain, "name").text = job.machine
    SubElement(domain, "memory", unit="MiB").text = str(job.memory_mib)
    SubElement(domain, "vcpu").text = str(job.cpus)
    system = SubElement(domain, "os", {"firmware": "efi"} if job.firmware == "efi" else {})
    SubElement(system, "type", arch="x86_64").text = "hvm"
    devices = SubElement(domain, "devices")
    for number, path in enumerate(job.disks):
        block = path.startswith("/dev/")
        disk = SubElement(devices, "disk", type="block" if block else "file", device="disk")
        SubElement(disk, "driver", name="qemu", type="raw")
        SubElement(disk, "source", {"dev" if block else "file": path})
        SubElement(disk, "target", dev=device(number), bus="scsi")
    return bytes(tostring(domain))


def device(number: int) -> str:
    """sda, sdb, ... sdz, sdaa."""
    letters = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, 26)
        letters = chr(ord("a") + letter) + letters
    return f"sd{letters}"


def command(xml: str) -> tuple[str, ...]:
    return ("virt-v2v-in-place", "--machine-readable=stream:stdout", "--root=first", "-i", "libvirtxml", xml)


def environment(job: Job, scratch: str, appliance: bool) -> dict[str, str]:
    """libguestfs starts QEMU itself, with the appliance that is in the image, and writes to scratch only."""
    found = {
        "LIBGUESTFS_BACKEND": "direct",
        "LIBGUESTFS_TMPDIR": scratch,
        "LIBGUESTFS_CACHEDIR": scratch,
        "VIRT_V2V_TMPDIR": scratch,
        "XDG_RUNTIME_DIR": scratch,  # for sockets, which would be in /tmp
        "TMPDIR": scratch,
        "HOME": scratch,
        "LC_ALL": "C.UTF-8",
    }
    if appliance:
        found["LIBGUESTFS_PATH"] = APPLIANCE
    return found | ({"LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"} if job.emulate else {})


def read(line: bytes) -> Line | None:
    """None for what is not for us; the text is in one line, and may come from the guest."""
    try:
        found = json.loads(line[:LONGEST_LINE])
        kind, text = found["type"], str(found["message"])
    except (ValueError, TypeError, KeyError):
        return None
    if kind not in ("message", "info", "warning", "error"):
        return None
    return Line(kind, " ".join("".join(char if char.isprintable() else " " for char in text).split()))


def advice(text: str) -> str:
    """An error of virt-v2v, and what to do about it where we know."""
    known = next((advice for begin, advice in ADVICE.items() if begin in text.lower()), "")
    return f"{known} (virt-v2v: {text[:500]})" if known else f"virt-v2v: {text[:500]}"
