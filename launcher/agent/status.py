"""What the agent reports of a VMI: what was seen -> the merge patch that brings its status up to date. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime import conditions, ownership
from hostler.runtime.conditions import Condition
from hostler.runtime.protocol import Raw
from launcher.agent import resources
from launcher.agent.facts import Domain, Guest, GuestNic
from launcher.agent.network import Uplink
from launcher.agent.pods import LauncherPod

LONGEST_MESSAGE = 1024
NOT_RUNNING = Condition(False, "GuestNotRunning", "Guest VM is not reported as running")
PAUSED = Condition(True, "PausedByUser", "VMI was paused by user")
UNPROBED = Condition(False, launcher.NOT_PROBED, "the guest's readiness probe has not succeeded yet")
IO_ERROR = Condition(True, "PausedIOError", "VMI was paused, IO error detected")
PAUSED_BY_IO_ERROR = 5  # VIR_DOMAIN_PAUSED_IOERROR
EMULATED = Condition(True, "SoftwareEmulation", "the node has no KVM for this guest: it is emulated, and slow")
NOT_SYNCHRONIZED = "Synchronizing with the Domain failed."  # KubeVirt's reason

Wanted = dict[str, Condition | None]


@dataclass(frozen=True)
class Net:
    """The guest's connection to the pod network: its interface, and what the pod was given."""

    nic: str
    uplink: Uplink


@dataclass(frozen=True)
class Sight:
    """One look at a guest that runs."""

    domain: Domain
    guest: Guest | None = None
    net: Net | None = None
    troubles: Mapping[str, str] = field(default_factory=dict)  # volume, "cpu" or "memory" -> why it is not as wanted


@dataclass(frozen=True)
class Seen:
    """Where that was seen."""

    pod: LauncherPod
    node: str
    sight: Sight


def report(vmi: VirtualMachineInstance, seen: Seen, now: datetime) -> Raw:
    """The patch for a guest that runs; {} if the VMI says all that already."""
    domain, guest = seen.sight.domain, seen.sight.guest
    wanted = phase(vmi, seen.pod, now) | {
        "nodeName": seen.node,
        "activePods": active_pods(vmi, seen),
        "conditions": conditions.update(status_of(vmi, "conditions"), wanted_conditions(vmi, domain, seen.pod), now),
        "interfaces": interfaces(seen.sight),
        "guestOSInfo": dict(guest.os) if guest else {},
        "volumeStatus": resources.volumes(vmi, domain, seen.sight.troubles),
        "currentCPUTopology": resources.topology(vmi, domain),
        "memory": resources.memory(vmi, domain),
        "machine": {"type": domain.machine} if domain.machine else {},
        "launcherContainerImageVersion": seen.pod.compute.image,
        "qosClass": seen.pod.status.qos_class,
    }
    patch: Raw = {}
    if changed := difference(vmi, wanted):
        patch["status"] = changed
    if vmi.metadata.labels.get(launcher.NODE_NAME) != seen.node:
        patch["metadata"] = {"labels": {launcher.NODE_NAME: seen.node}}
    return patch


def active_pods(vmi: VirtualMachineInstance, seen: Seen) -> dict[str, str]:
    """This pod, and as long as the guest moves, the other one."""
    others = dict(status_of(vmi, "active_pods") or {}) if ownership.moving(vmi) else {}
    return others | {seen.pod.metadata.uid: seen.node}


def trouble(vmi: VirtualMachineInstance, message: str, now: datetime) -> Raw:
    """The patch for a guest that cannot be started; {} if the VMI says so already."""
    failed = Condition(False, NOT_SYNCHRONIZED, message[:LONGEST_MESSAGE])
    wanted: Wanted = {"Synchronized": failed, "Ready": NOT_RUNNING}
    changed = difference(vmi, {"conditions": conditions.update(status_of(vmi, "conditions"), wanted, now)})
    return {"status": changed} if changed else {}


def difference(vmi: VirtualMachineInstance, wanted: Mapping[str, Any]) -> Raw:
    """The fields that are not as they should be; what is empty on both sides is equal."""
    known = vmi.status.model_dump(mode="json", by_alias=True, exclude_unset=True) if vmi.status else {}
    return {
        name: replacement(value, known.get(name))
        for name, value in wanted.items()
        if (value or None) != (known.get(name) or None)
    }


def replacement(value: Any, known: Any) -> Any:
    """A merge patch only adds to a mapping: what is to go must be named."""
    if not value:
        return None
    if isinstance(value, dict) and isinstance(known, dict):
        return {name: None for name in known if name not in value} | value
    return value


def status_of(vmi: VirtualMachineInstance, field: str) -> Any:
    return getattr(vmi.status, field) if vmi.status else ()


def phase(vmi: VirtualMachineInstance, pod: LauncherPod, now: datetime) -> Raw:
    """Running, and when each phase on the way there began: nobody wrote those that lasted only a moment."""
    if vmi.status and vmi.status.phase == "Running":
        return {}
    passed = [each.model_dump(mode="json", by_alias=True) for each in status_of(vmi, "phase_transition_timestamps")]
    stamp = conditions.stamp(now)
    # an admission policy sets phase Pending, but knows no time
    times = {"Pending": vmi.metadata.creation_timestamp or stamp}
    times |= {each["phase"]: each["phaseTransitionTimestamp"] for each in passed}
    born = pod.metadata.creation_timestamp or stamp
    times.setdefault("Scheduling", born)
    times.setdefault("Scheduled", max(times["Scheduling"], pod.status.start_time or ""))
    times["Running"] = stamp
    listed = [{"phase": name, "phaseTransitionTimestamp": time} for name, time in times.items()]
    return {"phase": "Running", "phaseTransitionTimestamps": listed}


def wanted_conditions(vmi: VirtualMachineInstance, domain: Domain, pod: LauncherPod) -> Wanted:
    paused = domain.state == "paused"
    wanted: Wanted = {
        "Paused": (IO_ERROR if domain.reason == PAUSED_BY_IO_ERROR else PAUSED) if paused else None,
        "AgentConnected": Condition(True) if domain.agent else None,
        "SoftwareEmulation": EMULATED if domain.emulated else None,
        "LiveMigratable": live_migratable(pod),
        "Synchronized": None,  # what could be wrong before a start is over
    }
    if vmi.status is None or not vmi.status.evacuation_node_name:
        wanted["EvictionRequested"] = None  # it has moved
    ready = {each.type: each for each in status_of(vmi, "conditions")}.get("Ready")
    if paused:
        wanted["Ready"] = NOT_RUNNING
    elif ready is None or ready.reason == NOT_RUNNING.reason:
        # other reasons are the manager's: a pod that ends, a node that is silent, a probe
        wanted["Ready"] = Condition(True) if vmi.spec.readiness_probe is None else UNPROBED
    return wanted


def live_migratable(pod: LauncherPod) -> Condition | None:
    """What the manager wrote on the pod when it made it: it knows the claims."""
    told = pod.metadata.annotations.get(launcher.MIGRATABLE)
    if told is None:
        return None
    reason, _, message = told.partition(": ")
    return Condition(True) if told == "True" else Condition(False, reason, message[:LONGEST_MESSAGE])


def interfaces(sight: Sight) -> list[Raw]:
    """What the VMI asked for first, then what only the guest knows of."""
    by_mac = {nic.mac: nic for nic in sight.guest.nics} if sight.guest else {}
    asked_for = [interface(sight.net, name, mac, by_mac.pop(mac, None)) for name, mac in sight.domain.macs.items()]
    return asked_for + [addressed({"mac": nic.mac}, nic, "guest-agent") for nic in by_mac.values()]


def interface(net: Net | None, name: str, mac: str, nic: GuestNic | None) -> Raw:
    known: Raw = {"mac": mac, "name": name, "linkState": "up", "queueCount": 1}
    source = "domain, guest-agent" if nic else "domain"
    if net is None or name != net.nic:
        return addressed(known, nic, source) if nic else known | {"infoSource": source}
    # what others reach is the pod's address, whatever the guest calls its own
    address = str(net.uplink.address.ip)
    known |= {"ipAddress": address, "ipAddresses": [address], "podInterfaceName": "eth0", "infoSource": source}
    return known | ({"interfaceName": nic.name} if nic else {})


def addressed(known: Raw, nic: GuestNic, source: str) -> Raw:
    known |= {"interfaceName": nic.name, "infoSource": source}
    if nic.addresses:
        known |= {"ipAddress": nic.addresses[0], "ipAddresses": list(nic.addresses)}
    return known
