"""What the golden files cannot show: refusals, names, addresses."""

from itertools import islice
from typing import Any
from xml.etree import ElementTree

import pytest

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime.errors import Terminal
from launcher.domain import Host, convert, mac_address
from launcher.domain.disks import letters

UID = "5a9fc181-957e-4c32-9e5a-2de5e9673531"
TCG, KVM = Host(kvm=False), Host(kvm=True)


def vmi(uid: str = UID, spec: dict[str, Any] | None = None, **domain: Any) -> VirtualMachineInstance:
    whole = {"devices": {}, "memory": {"guest": "64Mi"}} | domain
    return VirtualMachineInstance.model_validate(
        {"metadata": {"name": "web", "namespace": "default", "uid": uid}, "spec": {"domain": whole} | (spec or {})}
    )


def nic(**fields: Any) -> dict[str, Any]:
    return {"interfaces": [{"name": "default", **fields}]}


@pytest.mark.parametrize(
    ("of", "host", "message"),
    [
        pytest.param(vmi(memory=None), KVM, "spec.domain.memory.guest: set how much memory", id="no memory"),
        pytest.param(
            vmi(memory={"guest": "0"}), KVM, "spec.domain.memory.guest: set how much memory", id="none at all"
        ),
        pytest.param(
            vmi(machine={"type": "pc"}), KVM, "spec.domain.machine.type: 'pc' is not supported; use q35", id="i440"
        ),
        pytest.param(vmi(features={"hyperv": {}}), TCG, "spec.domain.features.hyperv: needs KVM", id="hyperv emulated"),
        pytest.param(
            vmi(features={"hypervPassthrough": {}}), TCG, "spec.domain.features.hypervPassthrough: needs", id="the same"
        ),
        pytest.param(
            vmi(clock={"timer": {"hyperv": {}}}), TCG, "spec.domain.clock.timer.hyperv: needs KVM", id="its clock too"
        ),
        pytest.param(
            vmi(devices={"disks": [{"name": "root"}]}), KVM, "disk root has no volume of the same name", id="no volume"
        ),
        pytest.param(
            vmi(devices={"disks": [{"name": "x"}]}, spec={"volumes": [{"name": "x"}]}),
            KVM,
            "spec.volumes: volume x has no source",
            id="no source",
        ),
        pytest.param(vmi(devices=nic()), KVM, "interface default has no binding", id="no binding"),
        pytest.param(vmi(devices=nic(slirp={})), KVM, "use masquerade or bridge", id="a binding of old"),
        pytest.param(
            vmi(devices={"interfaces": [{"name": "a", "bridge": {}}, {"name": "b", "bridge": {}}]}),
            KVM,
            "spec.domain.devices.interfaces: only the one on the pod network",
            id="two interfaces",
        ),
        pytest.param(
            vmi(devices={"inputs": [{"name": "k", "type": "keyboard"}]}),
            KVM,
            "input k: type 'keyboard' is not supported; use tablet",
            id="a keyboard",
        ),
        pytest.param(vmi(devices={"gpus": [{"name": "g"}]}), KVM, "spec.domain.devices.gpus: not supported", id="gpu"),
        pytest.param(vmi(devices={"tpm": {}}), KVM, "spec.domain.devices.tpm: not supported", id="an empty object"),
        pytest.param(
            vmi(devices={"disks": [{"name": "x", "lun": {}}]}),
            KVM,
            "spec.domain.devices.disks[].lun: not supported",
            id="inside a list",
        ),
    ],
)
def test_refusals_name_the_field(of: VirtualMachineInstance, host: Host, message: str) -> None:
    with pytest.raises(Terminal) as refused:
        convert(of, host)
    assert message in refused.value.message


@pytest.mark.parametrize("cpu", [{"maxSockets": 2_000_000}, {"sockets": 1, "cores": 513}])
def test_no_more_cpus_than_the_agent_can_write_down(cpu: Any) -> None:
    """It is one process for all guests of a node."""
    with pytest.raises(Terminal, match=r"spec\.domain\.cpu: .* at most 512"):
        convert(vmi(cpu=cpu), TCG)


def test_a_field_that_says_nothing_is_let_through() -> None:
    convert(vmi(devices={"gpus": [], "networkInterfaceMultiqueue": False}, cpu={"dedicatedCpuPlacement": False}), KVM)


def test_text_of_a_tenant_stays_text() -> None:
    sneaky = '"/><emulator>/bin/sh</emulator><x y="'
    firmware = {"serial": sneaky, "kernelBoot": {"kernelArgs": sneaky}}
    root = ElementTree.fromstring(convert(vmi(firmware=firmware), KVM))
    assert root.findtext("os/cmdline") == sneaky
    assert root.find(".//emulator") is None


@pytest.mark.parametrize("path", ["/../../etc/passwd", "boot/../../x"])
def test_a_kernel_path_is_below_the_image(path: str) -> None:
    """PID 1 refuses such a path before there is a libvirtd; the converter does not make it worse."""
    boot = {"container": {"image": "x", "kernelPath": path}}
    root = ElementTree.fromstring(convert(vmi(firmware={"kernelBoot": boot}), KVM))
    assert (root.findtext("os/kernel") or "").startswith("/var/run/hostler/images/kernel-boot/")


def test_addresses_are_stable_local_and_different() -> None:
    of, other = vmi(devices=nic(masquerade={})), vmi(uid="other", devices=nic(masquerade={}))
    first, second = (mac_address(each, each.spec.domain.devices.interfaces[0]) for each in (of, other))
    assert first == mac_address(of, of.spec.domain.devices.interfaces[0]) == "02:b9:28:84:f6:39"
    assert first != second
    assert second.startswith("02:")


def test_the_uuid_follows_from_the_uid() -> None:
    uuids = [ElementTree.fromstring(convert(vmi(uid), KVM)).findtext("uuid") for uid in (UID, UID, "other")]
    assert uuids[0] == uuids[1] != uuids[2]


def test_names_of_disks() -> None:
    names = list(islice(letters("sd"), 26 * 27 + 1))
    assert [names[n] for n in (0, 25, 26, 51, 52, 701, 702)] == ["sda", "sdz", "sdaa", "sdaz", "sdba", "sdzz", "sdaaa"]


@pytest.mark.parametrize(
    ("memory", "disks", "ports"),
    [
        pytest.param("1Gi", 0, 8, id="small: eight in all"),
        pytest.param("1Gi", 10, 16, id="small and full: three are free"),
        pytest.param("3Gi", 0, 16, id="larger: sixteen in all"),
        pytest.param("3Gi", 20, 29, id="larger and full: six are free"),
    ],
)
def test_room_for_hot_plug(memory: str, disks: int, ports: int) -> None:
    names = [f"d{number}" for number in range(disks)]
    of = vmi(
        memory={"guest": memory},
        devices={"disks": [{"name": name, "disk": {"bus": "virtio"}} for name in names]},
        spec={"volumes": [{"name": name, "emptyDisk": {"capacity": "1Gi"}} for name in names]},
    )
    root = ElementTree.fromstring(convert(of, KVM))
    assert len(root.findall("devices/controller[@model='pcie-root-port']")) == ports
