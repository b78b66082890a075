"""What libvirt and the guest say of a domain, cut down to what we read. Pure; the input is hostile."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from xml.etree import ElementTree

from hostler.api import launcher
from hostler.runtime.errors import Retry

XML_LIMIT = 512 * 1024
STRINGS = 256
DIGITS = 15
NICS, ADDRESSES, DEVICES = 32, 16, 256
AGENT_CHANNEL = "org.qemu.guest_agent.0"
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
WORD = re.compile(r"[A-Za-z0-9._-]{1,64}")

State = Literal["running", "paused", "ending", "ended", "unknown"]
# virDomainState
STATES: dict[int, State] = {1: "running", 2: "running", 3: "paused", 4: "ending", 5: "ended", 6: "ended", 7: "running"}
STARTING_UP = 11  # VIR_DOMAIN_PAUSED_STARTING_UP
OS_FIELDS = {
    "os.id": "id",
    "os.name": "name",
    "os.pretty-name": "prettyName",
    "os.version": "version",
    "os.version-id": "versionId",
    "os.machine": "machine",
    "os.kernel-release": "kernelRelease",
    "os.kernel-version": "kernelVersion",
}


@dataclass(frozen=True)
class Domain:
    """A domain that libvirt runs."""

    name: str
    state: State
    reason: int = 0
    emulated: bool = False
    machine: str = ""
    agent: bool = False  # the agent in the guest has its channel open
    macs: Mapping[str, str] = field(default_factory=dict)  # by alias, or tap device where there is no alias
    disks: Mapping[str, str] = field(default_factory=dict)  # alias -> target
    plugged: frozenset[str] = frozenset()  # of those, the ones that came while the guest ran
    vcpus: int = 1
    growth: tuple[int, int] | None = None  # bytes that the guest is asked to use, and uses, beside its first memory

    @property
    def starting(self) -> bool:
        """QEMU is being started, and may yet fail: there is no guest."""
        return self.state == "paused" and self.reason == STARTING_UP


@dataclass(frozen=True)
class GuestNic:
    """A network interface as the guest sees it."""

    name: str
    mac: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Guest:
    """What the guest's agent says; `os` has the names of guestOSInfo."""

    hostname: str = ""
    os: Mapping[str, str] = field(default_factory=dict)
    nics: tuple[GuestNic, ...] = ()


def domain_facts(name: str, state: int, reason: int, xml: str) -> Domain:
    if len(xml) > XML_LIMIT or "<!DOCTYPE" in xml:
        raise Retry(60, f"libvirtd's description of {text(name)} is not one")
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314 - no document type, no entities
    except ElementTree.ParseError as error:
        raise Retry(60, f"libvirtd's description of {text(name)}: {error}") from error
    machine = root.find("os/type")
    return Domain(
        name=text(name),
        state=STATES.get(state, "unknown"),
        reason=reason,
        emulated=root.get("type") == "qemu",
        machine=word(machine.get("machine", "")) if machine is not None else "",
        agent=agent_connected(root),
        macs={alias(nic): mac for nic in root.findall("devices/interface")[:NICS] if (mac := card(nic))},
        disks={alias(disk): target(disk) for disk in root.findall("devices/disk")[:DEVICES]},
        plugged=frozenset(alias(disk) for disk in root.findall("devices/disk")[:DEVICES] if by_descriptor(disk)),
        vcpus=vcpus(root),
        growth=growth(root),
    )


def by_descriptor(disk: ElementTree.Element) -> bool:
    source = disk.find("source")
    return source is not None and source.get("fdgroup", "").startswith(launcher.PLUGGED)


def vcpus(root: ElementTree.Element) -> int:
    """`<vcpu current='2'>4</vcpu>`: 2 of 4."""
    found = root.find("vcpu")
    return number(found.get("current") or found.text) if found is not None else 1


def growth(root: ElementTree.Element) -> tuple[int, int] | None:
    """What virtio-mem was asked for, and what the guest took; libvirt tells in KiB."""
    device = next(
        (each for each in root.findall("devices/memory")[:DEVICES] if each.get("model") == "virtio-mem"), None
    )
    if device is None:
        return None
    return number(device.findtext("target/requested")) * 1024, number(device.findtext("target/current")) * 1024


def number(said: str | None) -> int:
    digits = (said or "").strip()[:DIGITS]
    return int(digits) if digits.isdecimal() else 0


def agent_connected(root: ElementTree.Element) -> bool:
    channels = root.findall("devices/channel/target")
    return any(t.get("name") == AGENT_CHANNEL and t.get("state") == "connected" for t in channels)


def alias(device: ElementTree.Element) -> str:
    """The name that the VMI gives to a device: user aliases begin with "ua-"."""
    found = device.find("alias")
    return word(found.get("name", "")).removeprefix("ua-") if found is not None else target(device)


def target(device: ElementTree.Element) -> str:
    found = device.find("target")
    return word(found.get("dev", "")) if found is not None else ""


def card(nic: ElementTree.Element) -> str:
    found = nic.find("mac")
    mac = found.get("address", "").lower() if found is not None else ""
    return mac if MAC.fullmatch(mac) else ""


def guest_facts(said: Mapping[str, Any], nics: Mapping[str, Any] | None) -> Guest:
    """From virDomainGetGuestInfo and virDomainInterfaceAddresses."""
    found = {name: text(said[key]) for key, name in OS_FIELDS.items() if said.get(key)}
    cards = tuple(guest_nic(name, nic) for name, nic in list((nics or {}).items())[:NICS] if name != "lo")
    return Guest(text(said.get("hostname", "")), found, tuple(nic for nic in cards if nic.mac))


def guest_nic(name: str, said: Mapping[str, Any]) -> GuestNic:
    mac = str(said.get("hwaddr") or "").lower()
    addresses = [text(a.get("addr", ""), 64) for a in (said.get("addrs") or [])[:ADDRESSES]]
    in_order = tuple(sorted(addresses, key=lambda address: (":" in address, address)))  # IPv4 first
    return GuestNic(text(name, 64), mac if MAC.fullmatch(mac) else "", in_order)


def text(value: object, limit: int = STRINGS) -> str:
    """Printable, and not long."""
    return "".join(c for c in str(value)[:limit] if c.isprintable())


def word(value: str) -> str:
    return value if WORD.fullmatch(value) else ""
