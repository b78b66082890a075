"""Reading objects as the API server sends them."""

import pytest

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet

OWNER = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceReplicaSet", "name": "s", "uid": "1"}
RAW = {
    "apiVersion": "kubevirt.io/v1",
    "kind": "VirtualMachineInstance",
    "metadata": {"name": "a", "labels": {"b": "c"}, "ownerReferences": [OWNER | {"controller": True}]},
    "spec": {
        "domain": {
            "cpu": {"dedicatedCpuPlacement": True},
            "devices": {
                "autoattachVSOCK": True,
                "disks": [{"name": "root", "dedicatedIOThread": True}],
                "watchdog": {"name": "w", "i6300esb": {"action": "reset"}},
            },
            "memory": {"guest": 67108864},
        },
        "networks": [{"name": "default", "pod": {"vmIPv6NetworkCIDR": "fd10::/120", "vmNetworkCIDR": "10.0.2.0/24"}}],
        "volumes": [{"name": "root", "cloudInitNoCloud": {"userDataBase64": "YQ=="}, "downwardAPI": None}],
        "somethingNew": 1,
    },
    "status": {"VSOCKCID": 3, "currentCPUTopology": {"cores": 1}, "guestOSInfo": {"id": "debian"}},
}


def test_a_vmi() -> None:
    vmi = VirtualMachineInstance.read(RAW)
    assert vmi.metadata.controller is not None
    assert vmi.metadata.controller.kind == "VirtualMachineInstanceReplicaSet"
    assert vmi.spec.domain.cpu is not None
    assert vmi.spec.domain.cpu.dedicated_cpu_placement
    assert vmi.spec.domain.devices.autoattach_vsock
    assert vmi.spec.domain.devices.disks[0].dedicated_io_thread
    assert vmi.spec.domain.devices.watchdog is not None
    assert vmi.spec.domain.devices.watchdog.i6300esb is not None
    assert vmi.spec.networks[0].pod is not None
    assert vmi.spec.networks[0].pod.vm_i_pv6_network_cidr == "fd10::/120"
    assert vmi.spec.volumes[0].cloud_init_no_cloud is not None
    assert vmi.spec.volumes[0].cloud_init_no_cloud.user_data_base64 == "YQ=="
    assert vmi.status is not None
    assert (vmi.status.vsockcid, vmi.status.guest_os_info and vmi.status.guest_os_info.id) == (3, "debian")


@pytest.mark.parametrize("status", [None, {}, {"conditions": [{"type": "A", "status": "True", "lastProbeTime": None}]}])
def test_what_go_clients_write_for_nothing(status: object) -> None:
    raw = {
        "metadata": {"name": "a", "creationTimestamp": None},
        "spec": {"selector": {}, "template": {"metadata": {"creationTimestamp": None}}},
        "status": status,
    }
    assert VirtualMachineInstanceReplicaSet.read(raw).metadata.name == "a"
