"""Room in the pod, and pods that bring disks: tables of what is seen -> what is done."""

from typing import Any

import pytest

from controllers import attachments, hotplug, vm_instance
from controllers import vmi as controller
from controllers.resources import resources
from controllers.settings import ManagerSettings
from controllers.vmi import Seen, plan
from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.objects import Pod
from hostler.runtime.errors import Forbidden
from hostler.runtime.plan import Create, Failure, Patch, Plan
from tests.unit import make
from tests.unit.make import NOON, claim, said, verbs, vm

SETTINGS = ManagerSettings(use_emulation=True)
DATA = {"name": "data", "persistentVolumeClaim": {"claimName": "data", "hotpluggable": True}}
ROOT = {"name": "root", "emptyDisk": {"capacity": "1Gi"}}
DISK = {"name": "data", "disk": {"bus": "scsi"}}


def guest(
    sockets: int = 1, memory: str = "128Mi", volumes: Any = (), status: Any = None, conditions: Any = ()
) -> VirtualMachineInstance:
    domain = {
        "devices": {"disks": [{"name": each["name"], "disk": {"bus": "scsi"}} for each in volumes]},
        "cpu": {"sockets": sockets, "cores": 1, "threads": 1, "maxSockets": 4},
        "memory": {"guest": memory, "maxGuest": "512Mi"},
    }
    found = make.vmi(phase="Running", ready=True, spec={"domain": domain, "volumes": list(volumes)})
    body = found.model_dump(mode="json", by_alias=True, exclude_unset=True)
    body["status"] |= {
        "currentCPUTopology": {"sockets": 1, "cores": 1, "threads": 1},
        "memory": {"guestAtBoot": "128Mi", "guestRequested": "128Mi", "guestCurrent": "128Mi"},
        "volumeStatus": [{"name": each["name"], "target": "sda"} for each in volumes],
    } | (status or {})
    body["status"]["conditions"] += list(conditions)
    return VirtualMachineInstance.read(body)


def pod_for(vmi: Any, given: Any = None, pending: Any = None) -> Any:
    """The launcher pod as asked for by `vmi`; the kubelet has given it what `given` asks for."""
    body = make.pod().model_dump(mode="json", by_alias=True, exclude_unset=True)
    compute = {"name": launcher.COMPUTE, "resources": resources(vmi, SETTINGS)}
    body["spec"] |= {"containers": [compute]}
    body["status"]["containerStatuses"][0]["resources"] = resources(given or vmi, SETTINGS)
    if pending:
        reason, message = pending
        body["status"]["conditions"].append(
            {"type": "PodResizePending", "status": "True", "reason": reason, "message": message}
        )
    return Pod.read(body)


def plan_of(vmi: Any, pod: Any, pods: Any = (), claims: Any = None) -> Plan:
    return plan(vmi, Seen((pod,), claims or {}, (), tuple(pods)), NOON, SETTINGS)


def test_nothing_to_do_is_nothing_written() -> None:
    quiet = guest()
    assert plan_of(quiet, pod_for(quiet)) == Plan()


@pytest.mark.parametrize("more", [{"sockets": 2}, {"memory": "256Mi"}], ids=["cpu", "memory"])
def test_first_the_pod_gets_room(more: Any) -> None:
    kind = "HotVCPUChange" if "sockets" in more else "HotMemoryChange"
    result = plan_of(guest(**more), pod_for(guest()))
    (patch,) = result.actions
    assert isinstance(patch, Patch)
    assert patch.subresource == "resize"
    paths = [each["path"] for each in patch.patch]  # type: ignore[index]
    assert "/spec/containers/0/resources/requests/memory" in paths, "a vCPU costs memory, too"
    assert said(result, kind) == ("False", "PodResizePending")
    assert result.status is not None
    assert "memory" not in result.status, "the guest must wait"


@pytest.mark.parametrize(
    ("given", "pending", "granted"),
    [
        pytest.param(guest(), None, False, id="the kubelet has not done it"),
        pytest.param(None, None, True, id="done"),
        pytest.param(guest(), ("Infeasible", "the node has 2 GiB"), False, id="the node has no room"),
    ],
)
def test_then_the_guest_gets_it(given: Any, pending: Any, granted: bool) -> None:
    more = guest(sockets=2, memory="256Mi")
    result = plan_of(more, pod_for(more, given, pending))
    assert verbs(result) == []
    assert said(result, "HotVCPUChange") == (("True", "") if granted else ("False", "PodResizePending"))
    assert result.status is not None
    assert result.status.get("memory", {}).get("guestRequested") == ("256Mi" if granted else None)
    if pending:
        messages = [each.get("message", "") for each in result.status["conditions"]]
        assert any("the node has 2 GiB" in each for each in messages)


def test_a_resize_that_is_refused_is_told_and_the_guest_runs_on() -> None:
    more = guest(sockets=2)
    (patch,) = plan_of(more, pod_for(guest())).actions
    refused = Failure(patch, Forbidden(403, "Forbidden", "exceeded quota: few"))
    result = controller.failed(more, Plan(), refused, NOON)
    assert said(result, "HotVCPUChange") == ("False", "FailedResize")
    assert said(result, "Ready") == ("True", "")
    assert [event.reason for event in result.events] == ["FailedHotplug"]


def test_less_memory_needs_no_room() -> None:
    status = {"memory": {"guestAtBoot": "128Mi", "guestRequested": "256Mi", "guestCurrent": "256Mi"}}
    less = guest(memory="128Mi", status=status)
    result = plan_of(less, pod_for(guest(memory="256Mi")))
    assert verbs(result) == []
    assert result.status is not None
    assert result.status["memory"]["guestRequested"] == "128Mi"


def test_when_the_guest_has_it_the_conditions_go() -> None:
    status = {"currentCPUTopology": {"sockets": 2, "cores": 1, "threads": 1}}
    done = guest(sockets=2, status=status, conditions=make.conditions(HotVCPUChange=True))
    result = plan_of(done, pod_for(done))
    assert said(result, "HotVCPUChange") is None
    assert said(result, "Ready") == ("True", "")


def test_requests_of_the_user_grow_by_what_the_guest_grows() -> None:
    body = guest(memory="256Mi").model_dump(mode="json", by_alias=True, exclude_unset=True)
    body["spec"]["domain"]["resources"] = {"requests": {"memory": "64Mi"}, "limits": {"memory": "128Mi"}}
    grown = VirtualMachineInstance.read(body)
    body["spec"]["domain"]["memory"]["guest"] = "128Mi"
    before = VirtualMachineInstance.read(body)
    for part in ("requests", "limits"):
        more = int(resources(grown, SETTINGS)[part]["memory"]) - int(resources(before, SETTINGS)[part]["memory"])
        assert 128 << 20 <= more < 129 << 20


# disks

NAME = attachments.attachment_name(guest(volumes=(DATA,)), guest(volumes=(DATA,)).spec.volumes[0])
HOLDER = {"attachPodName": NAME, "attachPodUID": "uid-hp"}


def bringer(phase: str = "Running", **more: Any) -> Any:
    found = make.pod(phase=phase).model_dump(mode="json", by_alias=True, exclude_unset=True)
    found["metadata"] |= {"name": NAME, "uid": "uid-hp"} | more
    return Pod.read(found)


def entry(phase: str, holder: bool = True) -> dict[str, Any]:
    return {"name": "data", "target": "", "phase": phase} | ({"hotplugVolume": HOLDER} if holder else {})


def bound() -> Any:
    body = claim().model_dump(mode="json", by_alias=True, exclude_unset=True)
    return type(claim()).read(body | {"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}})


@pytest.mark.parametrize(
    ("volumes", "known", "pods", "claims", "actions", "phase"),
    [
        pytest.param([DATA], [], [], {}, [], "Pending", id="no claim"),
        pytest.param([DATA], [], [], {"data": claim()}, [f"+{NAME}"], "Pending", id="its pod is made"),
        pytest.param([DATA], [], [], {"data": bound()}, [f"+{NAME}"], "Bound", id="the claim is bound"),
        pytest.param([DATA], [], [bringer("Pending")], {"data": bound()}, [], "Bound", id="its pod comes"),
        pytest.param([DATA], [], [bringer()], {"data": bound()}, [], "AttachedToNode", id="its pod runs"),
        pytest.param([DATA], [entry("Ready")], [bringer()], {"data": bound()}, [], "Ready", id="the guest has it"),
        pytest.param([DATA], [entry("Ready")], [], {"data": bound()}, [f"+{NAME}"], "Ready", id="its pod vanished"),
        pytest.param(
            [DATA], [entry("Ready")], [bringer("Failed")], {"data": bound()}, [f"-{NAME}"], "Ready", id="its pod ended"
        ),
        pytest.param([], [entry("Ready")], [bringer()], {}, [], "Ready", id="it goes: the guest first"),
        pytest.param([], [entry("Detaching")], [bringer()], {}, [], "Detaching", id="the guest still has it"),
        pytest.param(
            [], [entry("UnMountedFromPod")], [bringer()], {}, [f"-{NAME}"], "UnMountedFromPod", id="then its pod"
        ),
        pytest.param([], [entry("UnMountedFromPod")], [], {}, [], None, id="then it is forgotten"),
        pytest.param([], [], [bringer()], {}, [f"-{NAME}"], None, id="a pod of a disk that never came"),
    ],
)
def test_disks(  # noqa: PLR0917
    volumes: Any, known: Any, pods: Any, claims: Any, actions: list[str], phase: str | None
) -> None:
    kept = [{"name": "root", "target": "vda"}, *(known or [{"name": each["name"], "target": ""} for each in volumes])]
    seen = guest(volumes=(ROOT, *volumes), status={"volumeStatus": kept})
    result = plan_of(seen, pod_for(seen), pods, claims)
    assert verbs(result) == actions
    told = (result.status or {"volumeStatus": kept}).get("volumeStatus", kept)
    assert [each.get("phase") for each in told if each["name"] == "data"] == ([phase] if phase else [])
    assert told[0]["name"] == "root"


OTHER = {"name": "data", "persistentVolumeClaim": {"claimName": "other", "hotpluggable": True}}
OTHER_NAME = attachments.attachment_name(guest(volumes=(OTHER,)), guest(volumes=(OTHER,)).spec.volumes[0])


def test_a_disk_that_the_guest_has_is_not_freed_by_another_of_its_name() -> None:
    """It writes to the old one until it has let it go, whatever the specification says."""
    kept = [{"name": "root", "target": "vda"}, entry("Ready") | {"persistentVolumeClaimInfo": {"claimName": "data"}}]
    seen = guest(volumes=(ROOT, OTHER), status={"volumeStatus": kept})
    result = plan_of(seen, pod_for(seen), [bringer()], {"data": bound(), "other": bound()})
    assert verbs(result) == []
    assert (result.status or {}).get("volumeStatus", kept) == kept


def test_then_the_other_comes() -> None:
    kept = [{"name": "root", "target": "vda"}, {"name": "data", "target": ""}]
    seen = guest(volumes=(ROOT, OTHER), status={"volumeStatus": kept})
    assert verbs(plan_of(seen, pod_for(seen), (), {"other": bound()})) == [f"+{OTHER_NAME}"]


def test_the_pod_that_brings_a_disk() -> None:
    seen = guest(volumes=(DATA,))
    (action,) = plan_of(seen, pod_for(seen), (), {"data": bound()}).actions
    assert isinstance(action, Create)
    meta, spec = action.body["metadata"], action.body["spec"]
    assert meta["ownerReferences"][0]["kind"] == "Pod", "it goes with the guest's pod"
    assert meta["labels"]["kubevirt.io"] == "hotplug-disk"
    assert meta["annotations"][launcher.DOMAIN] == "web"
    (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term["matchFields"][0]["values"] == ["node-1"]
    (container,) = spec["containers"]
    assert container["volumeMounts"][0]["mountPath"] == launcher.HOTPLUG
    assert container["command"][-2:] == ["data", str(962 << 20)]


def test_a_disk_that_comes_later_is_not_waited_for() -> None:
    new = make.vmi(spec={"volumes": [DATA]})
    assert verbs(plan(new, Seen(), NOON, SETTINGS)) == ["+virt-launcher-web-8zklr"]


# from the VM to its instance


def change_of(machine: Any, instance: Any) -> tuple[Any, str]:
    return vm_instance.live(machine, instance), vm_instance.outdated(machine, instance)


def machine_with(cpu: Any = None, memory: Any = None, volumes: Any = (), disks: Any = ()) -> Any:
    domain = {"cpu": cpu or {"sockets": 1}, "memory": {"guest": "128Mi", "maxGuest": "512Mi"} | (memory or {})}
    return vm(spec={"domain": domain | {"devices": {"disks": list(disks)}}, "volumes": list(volumes)})


def instance_of(machine: Any) -> Any:
    body = vm_instance.body(machine, make.ago(0))
    body["metadata"] |= {"uid": "uid-web-1", "resourceVersion": "1"}
    body["status"] |= {"phase": "Running", "memory": {"guestAtBoot": "128Mi", "guestCurrent": "128Mi"}}
    return VirtualMachineInstance.read(body)


OLD = machine_with()


@pytest.mark.parametrize(
    ("new", "change", "why"),
    [
        pytest.param(OLD, {}, "", id="nothing"),
        pytest.param(machine_with(cpu={"sockets": 2}), {"domain": {"cpu": {"sockets": 2}}}, "", id="a socket"),
        pytest.param(
            machine_with(cpu={"sockets": 9}), {},
            "CPU sockets updated in template spec to a value higher than what's available", id="too many",
        ),
        pytest.param(
            machine_with(memory={"guest": "256Mi"}), {"domain": {"memory": {"guest": "256Mi"}}}, "", id="memory"
        ),
        pytest.param(
            machine_with(memory={"guest": "64Mi"}), {},
            "memory updated in template spec to a value lower than what the VM started with", id="too little",
        ),
        pytest.param(machine_with(memory={"guest": "129Mi"}), {}, "Guest memory must be 2Mi aligned", id="odd"),
        pytest.param(
            machine_with(memory={"guest": "1Gi"}), {},
            "memory updated in template spec to a value higher than what's available", id="too much",
        ),
        pytest.param(
            machine_with(volumes=[DATA], disks=[DISK]),
            {"domain": {"devices": {"disks": [DISK]}}, "volumes": [DATA]}, "", id="a disk",
        ),
        pytest.param(
            machine_with(cpu={"sockets": 1, "cores": 2}), {},
            "a non-live-updatable field was changed in the template spec", id="cores need a restart",
        ),
    ],
)  # fmt: skip
def test_what_a_guest_can_follow(new: Any, change: Any, why: str) -> None:
    assert change_of(new, instance_of(OLD)) == (change, why)


def test_fewer_sockets_need_a_restart() -> None:
    two = instance_of(machine_with(cpu={"sockets": 2}))
    assert change_of(OLD, two) == ({}, "Reduction of CPU socket count requires a restart")


def test_a_disk_that_goes_leaves_the_others() -> None:
    fixed, its = {"name": "root", "emptyDisk": {"capacity": "1Gi"}}, {"name": "root", "disk": {"bus": "virtio"}}
    had = instance_of(machine_with(volumes=[fixed, DATA], disks=[its, DISK]))
    change, why = change_of(machine_with(volumes=[fixed], disks=[its]), had)
    assert (change, why) == ({"domain": {"devices": {"disks": [its]}}, "volumes": [fixed]}, "")


def test_a_disk_of_another_claim_goes_before_it_comes() -> None:
    had, wanted = machine_with(volumes=[DATA], disks=[DISK]), machine_with(volumes=[OTHER], disks=[DISK])
    body = instance_of(had).model_dump(mode="json", by_alias=True, exclude_unset=True)
    held = entry("Ready") | {"persistentVolumeClaimInfo": {"claimName": "data"}}
    body["status"]["volumeStatus"] = [held]
    assert change_of(wanted, VirtualMachineInstance.read(body))[0] == {
        "domain": {"devices": {"disks": []}},
        "volumes": [],
    }
    body["spec"]["volumes"], body["spec"]["domain"]["devices"]["disks"] = [], []
    body["status"]["volumeStatus"] = [held | {"phase": "Detaching"}]
    assert change_of(wanted, VirtualMachineInstance.read(body))[0] == {}, "the guest still has it"
    body["status"]["volumeStatus"] = []
    assert change_of(wanted, VirtualMachineInstance.read(body))[0]["volumes"] == [OTHER]


@pytest.mark.parametrize(
    ("cpu", "memory", "most", "max_guest"),
    [
        pytest.param({"sockets": 2}, "1Gi", 8, str(4 << 30), id="four times as much"),
        pytest.param({"sockets": 2, "maxSockets": 3}, "64Mi", 3, None, id="as asked for; a small guest grows not"),
        pytest.param({"sockets": 2, "cores": 100}, "64Mi", 5, None, id="no more than 512 CPUs"),
        pytest.param(None, "64Mi", 4, None, id="nothing said"),
    ],
)
def test_room_to_grow(cpu: Any, memory: str, most: int, max_guest: str | None) -> None:
    domain: Any = {"devices": {}, "memory": {"guest": memory}} | ({"cpu": cpu} if cpu else {})
    made = vm_instance.body(vm(spec={"domain": domain}), make.ago(0))["spec"]["domain"]
    assert (made["cpu"]["maxSockets"], made["memory"].get("maxGuest")) == (most, max_guest)


def test_changes_name_kubevirts_conditions() -> None:
    assert (hotplug.CPU_CHANGE, hotplug.MEMORY_CHANGE) == ("HotVCPUChange", "HotMemoryChange")
