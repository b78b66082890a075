"""What a running guest lacks: tables of (VMI, domain) -> changes; and what is reported of it."""

from typing import Any
from xml.etree import ElementTree

import pytest

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from launcher.agent import facts, hotplug, resources
from launcher.agent.facts import Domain
from launcher.agent.hotplug import Attach, Detach, Grow, SetCpus

MIB = 1 << 20
GRANTED = [{"type": "HotVCPUChange", "status": "True"}]
HELD = [{"type": "HotVCPUChange", "status": "False", "reason": "PodResizePending"}]
HOLDER = {"attachPodName": "hp-volume-x", "attachPodUID": "pod-9"}
ROOT = {"name": "root", "emptyDisk": {"capacity": "1Gi"}}
DATA = {"name": "data", "persistentVolumeClaim": {"claimName": "data", "hotpluggable": True}}


def vmi(*, volumes: Any = (ROOT,), cpu: Any = None, given: Any = None, **status: Any) -> VirtualMachineInstance:
    disks = [{"name": each["name"], "disk": {"bus": "scsi"}} for each in volumes]
    domain = {"devices": {"disks": disks}, "memory": given or {"guest": "128Mi", "maxGuest": "512Mi"}}
    domain |= {"cpu": cpu} if cpu else {}
    body = {"metadata": {"name": "web"}, "spec": {"domain": domain, "volumes": list(volumes)}, "status": status}
    return VirtualMachineInstance.model_validate(body)


def domain(**known: Any) -> Domain:
    return Domain("ns_web", "running", **({"disks": {"root": "sda"}} | known))


def has(at_boot: str, requested: str) -> dict[str, Any]:
    return {"memory": {"guestAtBoot": at_boot, "guestRequested": requested, "guestCurrent": at_boot}}


def here(phase: str = "AttachedToNode", mode: str = "Filesystem") -> dict[str, Any]:
    info = {"claimName": "data", "volumeMode": mode}
    entry = {"name": "data", "target": "", "phase": phase, "hotplugVolume": HOLDER, "persistentVolumeClaimInfo": info}
    return {"volumeStatus": [{"name": "root", "target": "sda"}, entry]}


@pytest.mark.parametrize(
    ("wanted", "now", "changes"),
    [
        pytest.param(vmi(), domain(), [], id="nothing"),
        pytest.param(vmi(cpu={"sockets": 2}, conditions=GRANTED), domain(), [SetCpus(2)], id="one more socket"),
        pytest.param(vmi(cpu={"sockets": 2, "cores": 3}, conditions=GRANTED), domain(vcpus=3), [SetCpus(6)], id="x 3"),
        pytest.param(vmi(cpu={"sockets": 2}), domain(), [], id="not granted"),
        pytest.param(vmi(cpu={"sockets": 2}, conditions=HELD), domain(), [], id="the pod has no room"),
        pytest.param(vmi(cpu={"sockets": 1}, conditions=GRANTED), domain(vcpus=2), [], id="never fewer"),
        pytest.param(vmi(**has("128Mi", "256Mi")), domain(), [128], id="memory"),
        pytest.param(vmi(**has("128Mi", "256Mi")), domain(growth=(128 * MIB, 4 * MIB)), [], id="asked for already"),
        pytest.param(vmi(**has("128Mi", "128Mi")), domain(growth=(128 * MIB, 128 * MIB)), [0], id="less again"),
        pytest.param(vmi(**has("128Mi", "9Gi")), domain(), [384], id="never more than may be"),
        pytest.param(vmi(**has("128Mi", "129Mi")), domain(), [], id="whole steps"),
        pytest.param(vmi(given={"guest": "1Gi"}, **has("128Mi", "1Gi")), domain(), [], id="no room was made at boot"),
        pytest.param(vmi(volumes=(ROOT, DATA), **here()), domain(), ["data"], id="a disk"),
        pytest.param(vmi(volumes=(ROOT, DATA)), domain(), [], id="its pod is not there"),
        pytest.param(
            vmi(volumes=(ROOT, DATA), **here()), domain(disks={"root": "sda", "data": "sdb"}), [], id="it is there"
        ),
        pytest.param(
            vmi(**here()), domain(disks={"root": "sda", "data": "sdb"}, plugged=frozenset({"data"})), [Detach("data")],
            id="a disk goes",
        ),
        pytest.param(vmi(volumes=()), domain(), [], id="a disk of the boot never goes"),
    ],
)  # fmt: skip
def test_changes(wanted: VirtualMachineInstance, now: Domain, changes: list[Any]) -> None:
    found = [
        each.requested // MIB if isinstance(each, Grow) else each.volume if isinstance(each, Attach) else each
        for each in hotplug.changes(wanted, now)
    ]
    assert found == changes


@pytest.mark.parametrize(("mode", "kind", "attribute"), [("Filesystem", "file", "file"), ("Block", "block", "dev")])
def test_a_disk_comes_by_descriptor(mode: str, kind: str, attribute: str) -> None:
    (found,) = hotplug.changes(vmi(volumes=(ROOT, DATA), **here(mode=mode)), domain())
    assert isinstance(found, Attach)
    assert (found.pod, found.block, found.group) == ("pod-9", mode == "Block", "hp-data")
    disk = ElementTree.fromstring(found.xml)
    source, target = disk.find("source"), disk.find("target")
    assert source is not None
    assert target is not None
    assert disk.get("type") == kind
    assert source.attrib == {attribute: "/hotplug/data", "fdgroup": "hp-data"}
    assert target.attrib == {"dev": "sdb", "bus": "scsi"}, "the next free name"
    assert disk.find("address") is None, "libvirt finds a place"


def test_the_device_that_grows() -> None:
    (found,) = hotplug.changes(vmi(**has("128Mi", "256Mi")), domain())
    assert isinstance(found, Grow)
    device = ElementTree.fromstring(found.xml)
    assert device.get("model") == "virtio-mem"
    assert device.findtext("target/size") == str(384 * MIB)
    assert device.findtext("target/requested") == str(128 * MIB)


GROWN = """<domain type='qemu'><name>ns_web</name><vcpu placement='static' current='2'>4</vcpu><devices>
<disk type='file'><source file='/disks/root'/><target dev='vda'/><alias name='ua-root'/></disk>
<disk type='file'><source file='/hotplug/data' fdgroup='hp-data'/><target dev='sda'/><alias name='ua-data'/></disk>
<memory model='virtio-mem'><target><size unit='KiB'>393216</size><requested unit='KiB'>131072</requested>
<current unit='KiB'>65536</current></target></memory></devices></domain>"""


def test_facts() -> None:
    seen = facts.domain_facts("ns_web", 1, 1, GROWN)
    assert (seen.vcpus, seen.growth, seen.plugged) == (2, (128 * MIB, 64 * MIB), {"data"})


@pytest.mark.parametrize("said", ["", "x", "-1", "9" * 500])
def test_a_libvirtd_that_lies_about_numbers(said: str) -> None:
    seen = facts.domain_facts("ns_web", 1, 1, f"<domain><vcpu current='{said}'>1</vcpu></domain>")
    assert 0 <= seen.vcpus < 10**15


def test_what_is_told_of_memory_and_cpus() -> None:
    grown = domain(vcpus=4, growth=(128 * MIB, 64 * MIB))
    before = vmi(cpu={"sockets": 1, "cores": 2}, given={"guest": "256Mi", "maxGuest": "1Gi"}, **has("128Mi", "256Mi"))
    assert resources.topology(before, grown) == {"cores": 2, "threads": 1, "sockets": 2}
    told = resources.memory(before, grown)
    assert told == {"guestAtBoot": "128Mi", "guestCurrent": "192Mi", "guestRequested": "256Mi"}
    first = resources.memory(vmi(), domain())
    assert first == {"guestAtBoot": "128Mi", "guestCurrent": "128Mi", "guestRequested": "128Mi"}


def phases(*args: Any, **troubles: str) -> dict[str, str]:
    return {each["name"]: each.get("phase", "") for each in resources.volumes(*args, troubles)}


def test_what_is_told_of_disks() -> None:
    both = domain(disks={"root": "sda", "data": "sdb"}, plugged=frozenset({"data"}))
    assert phases(vmi(volumes=(ROOT, DATA), **here()), domain()) == {"root": "", "data": "AttachedToNode"}
    assert phases(vmi(volumes=(ROOT, DATA), **here()), both) == {"root": "", "data": "Ready"}
    assert phases(vmi(**here("Ready")), both) == {"root": "", "data": "Detaching"}
    assert phases(vmi(**here("Ready")), domain()) == {"root": "", "data": "UnMountedFromPod"}


def test_a_disk_that_cannot_be_attached_is_told() -> None:
    told = resources.volumes(vmi(volumes=(ROOT, DATA), **here()), domain(), {"data": "no more PCI slots"})
    assert (told[1]["reason"], told[1]["message"]) == ("FailedHotplug", "no more PCI slots")
