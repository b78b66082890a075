from typing import Any

import pytest

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from launcher.agent import pods
from launcher.agent.pods import LauncherPod

UID = "5a9fc181-957e-4c32-9e5a-2de5e9673531"


def pod(owner: dict[str, Any] | None = None, **spec: Any) -> LauncherPod:
    ref = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": "web", "uid": UID}
    meta = {
        "name": "virt-launcher-web",
        "uid": "pod-1",
        "ownerReferences": [ref | {"controller": True} | (owner or {})],
    }
    return LauncherPod.model_validate({"metadata": meta, "spec": spec})


def vmi(deleted: str | None = None, uid: str = UID, **status: Any) -> VirtualMachineInstance:
    meta = {"name": "web", "uid": uid, "deletionTimestamp": deleted}
    return VirtualMachineInstance.model_validate(
        {"metadata": meta, "spec": {"domain": {"devices": {}}}, "status": status}
    )


@pytest.mark.parametrize(
    ("given", "seen", "why"),
    [
        pytest.param(pod(), vmi(), "", id="ours"),
        pytest.param(pod(), vmi(nodeName="here", activePods={"pod-1": "here"}), "", id="ours, and it runs"),
        pytest.param(pod(), vmi(uid="other"), "another VMI", id="the VMI was made anew"),
        pytest.param(pod(owner={"controller": False}), vmi(), "another VMI", id="not its controller"),
        pytest.param(pod(), vmi(nodeName="there"), "node there", id="it runs elsewhere"),
        pytest.param(pod(), vmi(activePods={"pod-2": "here"}), "another pod", id="it runs in another pod"),
        pytest.param(pod(hostNetwork=True), vmi(), "node's network", id="the node's network"),
    ],
)
def test_stranger(given: LauncherPod, seen: VirtualMachineInstance, why: str) -> None:
    assert why in pods.stranger(given, seen, "here")
    assert bool(why) == bool(pods.stranger(given, seen, "here"))


@pytest.mark.parametrize(
    ("seen", "late"),
    [
        pytest.param(vmi(), False, id="no status"),
        pytest.param(vmi(phase="Pending"), False, id="pending"),
        pytest.param(vmi(phase="Scheduling"), False, id="scheduling"),
        pytest.param(vmi(phase="Running"), True, id="it ran"),
        pytest.param(vmi(phase="Succeeded"), True, id="it ended well"),
        pytest.param(vmi(phase="Failed"), True, id="it failed"),
        pytest.param(vmi("2026-11-23T20:00:00Z"), True, id="being deleted"),
    ],
)
def test_too_late(seen: VirtualMachineInstance, late: bool) -> None:
    assert bool(pods.too_late(pod(), seen)) == late


@pytest.mark.parametrize(
    "change",
    [{"metadata": {"deletionTimestamp": "2026-11-23T20:00:00Z"}}, {"status": {"phase": "Failed"}}],
    ids=["being deleted", "failed"],
)
def test_too_late_for_a_pod_that_ends(change: dict[str, Any]) -> None:
    assert pods.too_late(LauncherPod.model_validate(change), vmi()) == "the pod is ending"


def test_what_the_pod_was_given() -> None:
    container = {
        "name": "compute",
        "resources": {"limits": {"devices.kubevirt.io/kvm": "1"}},
        "volumeDevices": [{"name": "volume-disks", "devicePath": "/dev/disks"}],
    }
    given = pod(containers=[{"name": "istio"}, container])
    assert given.kvm
    assert [device.volume for device in given.compute.volume_devices] == ["disks"]
    assert not pod().kvm
    assert given.vmi_name == "web"
    assert pod(owner={"kind": "ReplicaSet"}).vmi_name is None
