from datetime import UTC, datetime
from ipaddress import IPv4Interface
from typing import Any

import pytest

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from launcher.agent import status
from launcher.agent.facts import Domain, Guest, GuestNic
from launcher.agent.network import Uplink
from launcher.agent.pods import LauncherPod
from launcher.agent.status import Net, Seen, Sight

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
BEFORE = "2026-11-23T11:59:00Z"
MAC = "02:00:00:00:00:05"
POD = LauncherPod.model_validate(
    {
        "metadata": {"name": "virt-launcher-web", "uid": "pod-1", "creationTimestamp": "2026-11-23T11:59:57Z"},
        "spec": {"containers": [{"name": "compute", "image": "launcher:1"}]},
        "status": {"startTime": "2026-11-23T11:59:58Z", "qosClass": "Burstable"},
    }
)
DOMAIN = Domain(
    "default_web", "running", emulated=True, machine="pc-q35-10.0", macs={"default": MAC}, disks={"a": "vda"}
)
NET = Net("default", Uplink(IPv4Interface("10.88.0.5/24"), "0a:58:0a:58:00:05", 1450, ()))
SEEN = Seen(POD, "here", Sight(DOMAIN, net=NET))


def vmi(seen: dict[str, Any] | None = None) -> VirtualMachineInstance:
    known = seen or {}
    return VirtualMachineInstance.model_validate(
        {
            "metadata": {"name": "web", "uid": "vmi-1"} | known.get("metadata", {}),
            "spec": {
                "domain": {"devices": {}, "memory": {"guest": "64Mi"}, "cpu": {"cores": 2}},
                "volumes": [{"name": "a", "emptyDisk": {"capacity": "1Gi"}}, {"name": "b"}],
            }
            | known.get("spec", {}),
            "status": {"phase": "Pending", "phaseTransitionTimestamps": [at("Pending", BEFORE)]}
            | known.get("status", {}),
        }
    )


def at(phase: str, time: str) -> dict[str, str]:
    return {"phase": phase, "phaseTransitionTimestamp": time}


def ready(known: str, reason: str = "") -> dict[str, str]:
    return {"type": "Ready", "status": known, "lastTransitionTime": BEFORE} | ({"reason": reason} if reason else {})


def test_the_first_report_says_it_all() -> None:
    assert status.report(vmi(), SEEN, NOON) == {
        "metadata": {"labels": {"kubevirt.io/nodeName": "here"}},
        "status": {
            "phase": "Running",
            "phaseTransitionTimestamps": [
                at("Pending", BEFORE),
                at("Scheduling", "2026-11-23T11:59:57Z"),
                at("Scheduled", "2026-11-23T11:59:58Z"),
                at("Running", "2026-11-23T12:00:00Z"),
            ],
            "nodeName": "here",
            "activePods": {"pod-1": "here"},
            "conditions": [
                {
                    "type": "SoftwareEmulation",
                    "status": "True",
                    "lastTransitionTime": "2026-11-23T12:00:00Z",
                    "reason": "SoftwareEmulation",
                    "message": status.EMULATED.message,
                },
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-23T12:00:00Z"},
            ],
            "interfaces": [
                {
                    "name": "default",
                    "mac": MAC,
                    "linkState": "up",
                    "queueCount": 1,
                    "ipAddress": "10.88.0.5",
                    "ipAddresses": ["10.88.0.5"],
                    "podInterfaceName": "eth0",
                    "infoSource": "domain",
                }
            ],
            "volumeStatus": [{"name": "a", "target": "vda"}, {"name": "b", "target": ""}],
            "currentCPUTopology": {"cores": 2, "sockets": 1, "threads": 1},
            "memory": {"guestAtBoot": "64Mi", "guestCurrent": "64Mi", "guestRequested": "64Mi"},
            "machine": {"type": "pc-q35-10.0"},
            "launcherContainerImageVersion": "launcher:1",
            "qosClass": "Burstable",
        },
    }


def told(seen: Seen, known: VirtualMachineInstance) -> VirtualMachineInstance:
    """The VMI after a report, as the API server merges it."""
    return VirtualMachineInstance.model_validate(
        merged(known.model_dump(mode="json", by_alias=True, exclude_unset=True), status.report(known, seen, NOON))
    )


def merged(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


GUEST = Guest("web", {"id": "debian", "name": "Debian"}, (GuestNic("enp1s0", MAC, ("10.0.2.2",)),))
AGENTS = Domain("default_web", "running", agent=True, macs={"default": MAC})
WITH_AGENT = Seen(POD, "here", Sight(AGENTS, GUEST, NET))
LESS = Seen(POD, "here", Sight(AGENTS, Guest("web", {"id": "debian"}, GUEST.nics), NET))
BARE = Seen(POD, "here", Sight(Domain("default_web", "running")))


@pytest.mark.parametrize("first", [SEEN, WITH_AGENT, LESS, BARE])
@pytest.mark.parametrize("second", [SEEN, WITH_AGENT, LESS, BARE])
def test_a_report_settles(first: Seen, second: Seen) -> None:
    """Whatever was said before, one report is enough; the same again says nothing."""
    known = told(second, told(first, vmi()))
    assert status.report(known, second, NOON) == {}


def test_the_guests_agent() -> None:
    known = told(WITH_AGENT, vmi())
    assert known.status is not None
    (interface,) = known.status.interfaces
    assert (interface.ip_address, interface.interface_name) == ("10.88.0.5", "enp1s0")
    assert interface.info_source == "domain, guest-agent"
    assert known.status.guest_os_info is not None
    assert known.status.guest_os_info.name == "Debian"
    gone = told(SEEN, known).status
    assert gone is not None
    assert gone.guest_os_info is None


@pytest.mark.parametrize(
    ("conditions", "state", "expected"),
    [
        pytest.param([], "running", ("True", ""), id="running"),
        pytest.param([ready("False", "GuestNotRunning")], "running", ("True", ""), id="it was not, before"),
        pytest.param([ready("True")], "paused", ("False", "GuestNotRunning"), id="paused"),
        pytest.param(
            [ready("False", "PodTerminating")], "running", ("False", "PodTerminating"), id="the manager's word"
        ),
    ],
)
def test_ready(conditions: list[dict[str, str]], state: Any, expected: tuple[str, str]) -> None:
    known = vmi({"status": {"phase": "Running", "conditions": conditions}})
    after = told(Seen(POD, "here", Sight(Domain("default_web", state))), known)
    assert after.status is not None
    found = next(each for each in after.status.conditions if each.type == "Ready")
    assert (found.status, found.reason or "") == expected


def test_a_guest_with_a_probe_is_not_ready_until_the_probe_says_so() -> None:
    probed = vmi({"spec": {"readinessProbe": {"tcpSocket": {"port": 80}}}})
    after = told(Seen(POD, "here", Sight(Domain("default_web", "running"))), probed).status
    assert after is not None
    found = next(each for each in after.conditions if each.type == "Ready")
    assert (found.status, found.reason) == ("False", "ContainersNotReady")


@pytest.mark.parametrize(("reason", "expected"), [(1, "PausedByUser"), (5, "PausedIOError")])
def test_paused(reason: int, expected: str) -> None:
    after = told(Seen(POD, "here", Sight(Domain("default_web", "paused", reason))), vmi()).status
    assert after is not None
    assert next(each.reason for each in after.conditions if each.type == "Paused") == expected


def test_a_running_guest_keeps_the_time_when_it_began() -> None:
    stamps = [at("Pending", BEFORE), at("Running", BEFORE)]
    known = vmi({"status": {"phase": "Running", "phaseTransitionTimestamps": stamps}})
    assert "phaseTransitionTimestamps" not in status.report(known, SEEN, NOON)["status"]


def test_phases_that_the_manager_wrote_are_kept() -> None:
    stamps = [at("Pending", BEFORE), at("Scheduling", "2026-11-23T11:59:59Z")]
    known = vmi({"status": {"phase": "Scheduling", "phaseTransitionTimestamps": stamps}})
    listed = status.report(known, SEEN, NOON)["status"]["phaseTransitionTimestamps"]
    assert listed[:2] == stamps
    assert [each["phase"] for each in listed[2:]] == ["Scheduled", "Running"]
    times = [each["phaseTransitionTimestamp"] for each in listed]
    assert times == sorted(times)


def test_trouble() -> None:
    patch = status.trouble(vmi(), "no space left " * 1000, NOON)
    synchronized, not_ready = patch["status"]["conditions"]
    assert synchronized["reason"] == "Synchronizing with the Domain failed."
    assert len(synchronized["message"]) == 1024
    assert (not_ready["type"], not_ready["status"]) == ("Ready", "False")
    known = VirtualMachineInstance.model_validate(merged(vmi().model_dump(by_alias=True, exclude_unset=True), patch))
    assert status.trouble(known, "no space left " * 1000, NOON) == {}
    assert [each.type for each in told(SEEN, known).status.conditions] == ["Ready", "SoftwareEmulation"]  # type: ignore[union-attr]
