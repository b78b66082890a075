"""The VM planner: tables of (VM, its instance) -> what is done, and what is said."""

from typing import Any

import pytest

from controllers import vm as controller
from controllers import vm_instance, vm_status
from controllers.vm import Seen, plan
from hostler.api import launcher
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.launcher import OWNER_EPOCH
from hostler.runtime.apply import changes
from hostler.runtime.errors import Forbidden, Terminal
from hostler.runtime.plan import Create, Failure, Plan
from hostler.runtime.store import Store
from tests.unit import make
from tests.unit.make import NOON, claim, data_volume, said, verbs, vm, vm_vmi

EARLY = {"startFailure": {"consecutiveFailCount": 1, "lastFailedVMIUID": "uid-web", "retryAfterTimestamp": make.ago(1)}}
LATER = {"startFailure": EARLY["startFailure"] | {"retryAfterTimestamp": make.ago(-60)}}


def stop_request(uid: str = "uid-web") -> dict[str, str]:
    return {"action": "Stop", "uid": uid}


def asked(*requests: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"stateChangeRequests": list(requests), **more}


START = {"action": "Start"}


def plan_of(vm: Any, vmi: Any = None, claims: Any = None, volumes: Any = None) -> Plan:
    return plan(vm, Seen(vmi, claims or {}, volumes or {}), NOON)


@pytest.mark.parametrize(
    ("machine", "vmi", "actions", "word"),
    [
        pytest.param(vm(), None, ["+web"], "Starting", id="Always: start"),
        pytest.param(vm(running=True), None, ["+web"], "Starting", id="running: start"),
        pytest.param(vm(), vm_vmi("Pending"), [], "Starting", id="Always: coming"),
        pytest.param(vm(), vm_vmi(ready=True), [], "Running", id="Always: running"),
        pytest.param(vm(), vm_vmi("Succeeded", ran=True), ["-web"], "Stopped", id="Always: powered off, so again"),
        pytest.param(vm(), vm_vmi("Failed", ran=True), ["-web"], "Stopped", id="Always: crashed, so again"),
        pytest.param(vm(), vm_vmi(dying=True), ["~web release"], "Stopping", id="Always: somebody deleted it"),
        pytest.param(vm(status=asked(stop_request())), vm_vmi(), ["-web"], "Stopping", id="Always: restart"),
        pytest.param(vm(status=asked(stop_request("old"))), vm_vmi(), [], "Running", id="Always: restarted before"),
        pytest.param(vm("Halted"), None, [], "Stopped", id="Halted: off"),
        pytest.param(vm(running=False), None, [], "Stopped", id="running false: off"),
        pytest.param(vm("Halted"), vm_vmi(), ["-web"], "Stopping", id="Halted: stop"),
        pytest.param(vm("Halted"), vm_vmi(dying=True), ["~web release"], "Stopping", id="Halted: stopping"),
        pytest.param(vm("Halted", status=asked(START)), None, ["~web switch on"], None, id="Halted: asked to start"),
        pytest.param(vm("Manual"), None, [], "Stopped", id="Manual: off"),
        pytest.param(vm("Manual", status=asked(START)), None, ["+web"], "Starting", id="Manual: asked to start"),
        pytest.param(vm("Manual"), vm_vmi(), [], "Running", id="Manual: running"),
        pytest.param(vm("Manual", status=asked(stop_request())), vm_vmi(), ["-web"], "Stopping", id="Manual: stop"),
        pytest.param(vm("Manual"), vm_vmi("Succeeded", ran=True), [], "Stopped", id="Manual: powered off, and stays"),
        pytest.param(
            vm("Manual", status=asked(START)), vm_vmi("Succeeded", ran=True), ["-web"], "Stopped", id="Manual: again"
        ),
        pytest.param(vm("RerunOnFailure"), None, ["+web"], "Starting", id="Rerun: a new VM starts"),
        pytest.param(
            vm("RerunOnFailure", status={"runStrategy": "Halted"}), None, ["+web"], "Starting", id="Rerun: was Halted"
        ),
        pytest.param(
            vm("RerunOnFailure", status={"runStrategy": "RerunOnFailure"}), None, [], "Stopped", id="Rerun: stopped"
        ),
        pytest.param(
            vm("RerunOnFailure", status=asked(START, runStrategy="RerunOnFailure")),
            None,
            ["+web"],
            "Starting",
            id="Rerun: asked to start",
        ),
        pytest.param(vm("RerunOnFailure"), vm_vmi("Succeeded", ran=True), [], "Stopped", id="Rerun: shut down, rests"),
        pytest.param(vm("RerunOnFailure"), vm_vmi("Failed", ran=True), [], "Stopped", id="Rerun: failed: noted first"),
        pytest.param(
            vm("RerunOnFailure", status=asked(START)),
            vm_vmi("Failed", ran=True),
            ["-web"],
            "Stopped",
            id="Rerun: again",
        ),
        pytest.param(
            vm("RerunOnFailure", status={"runStrategy": "RerunOnFailure"}),
            vm_vmi("Failed", ran=True, dying=True, reason="Destroyed"),
            ["~web release"],
            "Stopped",
            id="Rerun: stopped, and did not end in time",
        ),
        pytest.param(vm("Once"), None, ["+web"], "Starting", id="Once: start"),
        pytest.param(vm("Once"), vm_vmi("Failed", ran=True), [], "Stopped", id="Once: no second time"),
        pytest.param(vm(dying=True), vm_vmi(), ["-web"], "Terminating", id="deleted: the guest first"),
        pytest.param(vm(dying=True), vm_vmi(dying=True), ["~web release"], "Terminating", id="deleted: let it go"),
        pytest.param(vm(dying=True), None, ["~web release"], None, id="deleted: then our finalizer"),
        pytest.param(vm(dying=True, finalizers=["x"]), None, [], None, id="deleted: then others'"),
        pytest.param(
            vm(dying=True, finalizers=[launcher.VM_FINALIZER, "orphan"]),
            vm_vmi(),
            ["~web release"],
            None,
            id="deleted with --cascade=orphan: the guest stays",
        ),
        pytest.param(vm(finalizers=[]), None, ["~web guard"], None, id="no admission policy: our finalizer first"),
        pytest.param(vm(), make.vmi("web", "Running"), ["~web adopt"], None, id="an orphan of its name is taken over"),
        pytest.param(vm(status=LATER), None, [], "CrashLoopBackOff", id="failed to start: a pause"),
        pytest.param(vm(status=EARLY), None, ["+web"], "Starting", id="failed to start: the pause is over"),
        pytest.param(vm("Manual", status=asked(START, **LATER)), None, ["+web"], "Starting", id="Manual: no pause"),
    ],
)
def test_plan(machine: Any, vmi: Any, actions: list[str], word: str | None) -> None:
    result = plan_of(machine, vmi)
    assert verbs(result) == actions
    assert (result.status or {}).get("printableStatus") == word


def paused(**more: Any) -> Any:
    body = vm_vmi(**more).model_dump(mode="json", by_alias=True, exclude_unset=True)
    body["status"]["conditions"] = make.conditions(Paused=(True, "PausedByUser"), Ready=False)
    return type(vm_vmi()).read(body)


def reported(phase: str, **conditions: Any) -> Any:
    body = vm_vmi(phase).model_dump(mode="json", by_alias=True, exclude_unset=True)
    body["status"]["conditions"] = make.conditions(**conditions)
    return type(vm_vmi()).read(body)


def moving() -> Any:
    body = vm_vmi().model_dump(mode="json", by_alias=True, exclude_unset=True)
    body["status"]["migrationState"] = {"startTimestamp": make.ago(1)}
    return type(vm_vmi()).read(body)


DISK = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}


@pytest.mark.parametrize(
    ("vmi", "word"),
    [
        pytest.param(paused(), "Paused", id="paused"),
        pytest.param(moving(), "Migrating", id="on its way"),
        pytest.param(reported("Pending", Synchronized=(False, "FailedPvcNotFound")), "ErrorPvcNotFound", id="no claim"),
        pytest.param(reported("Scheduling", PodScheduled=(False, "Unschedulable")), "ErrorUnschedulable", id="no node"),
        pytest.param(reported("Scheduling", Synchronized=(False, "ErrImagePull")), "ErrImagePull", id="no image"),
        pytest.param(
            reported("Scheduling", Synchronized=(False, "ImagePullBackOff")), "ImagePullBackOff", id="no image yet"
        ),
        pytest.param(reported("Scheduling"), "Starting", id="scheduling"),
        pytest.param(vm_vmi("Unknown"), "Unknown", id="nobody knows"),
    ],
)
def test_words(vmi: Any, word: str) -> None:
    status = plan_of(vm(), vmi).status
    assert status is not None
    assert status["printableStatus"] == word


def test_a_claim_without_a_volume_is_waited_for() -> None:
    status = plan_of(vm(spec=DISK), vm_vmi("Pending"), {"data": claim()}).status
    assert status is not None
    assert status["printableStatus"] == "WaitingForVolumeBinding"


@pytest.mark.parametrize(
    ("vmi", "ready"),
    [
        pytest.param(None, ("False", "VMINotExists"), id="none"),
        pytest.param(vm_vmi("Pending"), ("False", "VMIConditionMissing"), id="not said"),
        pytest.param(vm_vmi(ready=True), ("True", ""), id="ready"),
        pytest.param(vm_vmi(ready=(False, "GuestNotRunning")), ("False", "GuestNotRunning"), id="not ready"),
    ],
)
def test_ready(vmi: Any, ready: tuple[str, str]) -> None:
    result = plan_of(vm("Manual"), vmi)
    assert said(result, "Ready") == ready
    assert result.status is not None
    assert (result.status["created"], result.status["ready"]) == (vmi is not None, ready[0] == "True")


def test_conditions_of_the_instance_come_and_go() -> None:
    result = plan_of(vm(), reported("Running", Ready=True, AgentConnected=True, LiveMigratable=(False, "No")))
    assert said(result, "AgentConnected") == ("True", "")
    assert said(result, "LiveMigratable") == ("False", "No")
    later = plan_of(vm(status=result.status), vm_vmi(ready=True))
    assert later.status is not None
    assert [each["type"] for each in later.status["conditions"]] == ["Ready"]


def create_of(machine: Any) -> dict[str, Any]:
    (action,) = plan_of(machine).actions
    assert isinstance(action, Create)
    return action.body


def test_the_instance_is_kubevirts() -> None:
    body = create_of(vm(generation=7, template={"labels": {"a": "b"}, "annotations": {"c": "d"}}))
    meta = body["metadata"]
    assert (meta["name"], meta["namespace"], meta["labels"]) == ("web", make.NS, {"a": "b"})
    assert meta["annotations"]["c"] == "d"
    assert meta["annotations"][vm_instance.GENERATION] == "7"
    assert set(meta["finalizers"]) == {launcher.VMI_FINALIZER, launcher.VM_FINALIZER}
    assert meta["ownerReferences"][0]["uid"] == "uid-web"
    assert body["status"]["phase"] == "Pending"


def test_the_instance_carries_its_owners_epoch() -> None:
    """Raised on the VM when the node of an earlier instance was fenced."""
    fenced = vm(annotations={OWNER_EPOCH: "3"})
    assert create_of(fenced)["metadata"]["annotations"][OWNER_EPOCH] == "3"
    assert OWNER_EPOCH not in create_of(vm())["metadata"]["annotations"]


def nic(**binding: Any) -> dict[str, Any]:
    devices = {"interfaces": [{"name": "default", **binding}]}
    return {"domain": {"devices": devices, "memory": {"guest": "1Gi"}}, "networks": [{"name": "default", "pod": {}}]}


def test_the_guest_keeps_its_identity() -> None:
    first, second = (create_of(vm(uid="2b1d2f43-5f1e-4d6c-9b67-5a2cf7f8f8aa", spec=nic(masquerade={}))) for _ in "ab")
    assert first["spec"] == second["spec"]
    assert first["spec"]["domain"]["firmware"]["uuid"] == "2b1d2f43-5f1e-4d6c-9b67-5a2cf7f8f8aa"
    mac = first["spec"]["domain"]["devices"]["interfaces"][0]["macAddress"]
    assert mac.startswith("02:")
    other = create_of(vm(uid="3b1d2f43-5f1e-4d6c-9b67-5a2cf7f8f8aa", spec=nic(masquerade={})))
    assert other["spec"]["domain"]["devices"]["interfaces"][0]["macAddress"] != mac


@pytest.mark.parametrize(
    ("given", "mac"),
    [
        pytest.param(nic(bridge={}), None, id="a bridged guest takes the pod's"),
        pytest.param(nic(masquerade={}, macAddress="02:00:00:00:00:01"), "02:00:00:00:00:01", id="the user's choice"),
    ],
)
def test_addresses_that_are_left_alone(given: Any, mac: str | None) -> None:
    assert create_of(vm(spec=given))["spec"]["domain"]["devices"]["interfaces"][0].get("macAddress") == mac


def test_firmware_of_the_user_stays() -> None:
    spec = nic(bridge={})
    spec["domain"]["firmware"] = {"uuid": "11111111-2222-3333-4444-555555555555", "serial": "s"}
    assert create_of(vm(spec=spec))["spec"]["domain"]["firmware"] == spec["domain"]["firmware"]


def test_start_paused() -> None:
    machine = vm("Manual", status=asked({"action": "Start", "data": {"paused": "true"}}))
    assert create_of(machine)["spec"]["startStrategy"] == "Paused"


def test_requests_are_struck_one_after_another() -> None:
    """A restart is [Stop, Start]: the start is due when the instance is gone."""
    restart = vm("Manual", status=asked(stop_request(), START))
    stopping = plan_of(restart, vm_vmi())
    assert stopping.status is not None
    assert [each["action"] for each in stopping.status["stateChangeRequests"]] == ["Stop", "Start"]
    starting = plan_of(restart)
    assert verbs(starting) == ["+web"]
    assert starting.status is not None
    assert starting.status["stateChangeRequests"] is None


def test_a_failed_start_is_counted_once_and_held() -> None:
    ended = vm_vmi("Failed")
    first = plan_of(vm(), ended)
    assert first.status is not None
    failure = first.status["startFailure"]
    assert (failure["consecutiveFailCount"], failure["lastFailedVMIUID"]) == (1, "uid-web")
    again = plan_of(vm(status={"startFailure": failure}), vm_vmi("Failed", dying=True))
    assert again.status is not None
    assert again.status["startFailure"] == failure
    assert verbs(again) == ["~web release"]


def test_a_failure_that_is_not_written_yet_keeps_the_instance() -> None:
    assert verbs(plan_of(vm(), vm_vmi("Failed", dying=True))) == []


@pytest.mark.parametrize("strategy", ["Manual", "Halted"])
def test_a_failure_that_nobody_counts_keeps_nothing(strategy: str) -> None:
    assert verbs(plan_of(vm(strategy), vm_vmi("Failed", dying=True))) == ["~web release"]


def test_a_guest_that_ran_ends_the_count() -> None:
    result = plan_of(vm(status=EARLY), vm_vmi("Failed", ran=True))
    assert result.status is not None
    assert result.status["startFailure"] is None


@pytest.mark.parametrize(("failures", "least", "most"), [(1, 10, 15), (2, 40, 60), (5, 250, 300), (50, 300, 300)])
def test_pauses_grow(failures: int, least: float, most: float) -> None:
    assert least <= vm_status.pause(failures, "uid") <= most


def test_a_pause_is_waited_for_and_a_rerun_is_not_forgotten() -> None:
    result = plan_of(vm("RerunOnFailure", status=LATER))
    assert result.requeue_after == pytest.approx(60)
    assert result.status is not None
    assert result.status["stateChangeRequests"] == [START]


def test_rerun_wanted_while_the_old_guest_still_goes() -> None:
    result = plan_of(vm("RerunOnFailure", status={"runStrategy": "Halted"}), vm_vmi(dying=True))
    assert result.status is not None
    assert result.status["stateChangeRequests"] == [START]


def test_a_changed_template_asks_for_a_restart() -> None:
    made = create_of(vm())
    marks = {"annotations": made["metadata"]["annotations"]}
    same = plan_of(vm(generation=2), vm_vmi(ready=True, **marks))
    assert said(same, "RestartRequired") is None
    assert same.status is not None
    assert same.status["observedGeneration"] == same.status["desiredGeneration"] == 2
    bigger = vm(generation=3, spec={"terminationGracePeriodSeconds": 5})
    changed = plan_of(bigger, vm_vmi(ready=True, **marks))
    assert said(changed, "RestartRequired") == ("True", "")
    assert changed.status is not None
    assert (changed.status["observedGeneration"], changed.status["desiredGeneration"]) == (1, 3)
    assert [event.reason for event in changed.events] == ["RestartRequired"]
    told = vm(generation=3, spec={"terminationGracePeriodSeconds": 5}, status=changed.status)
    assert plan_of(told, vm_vmi(ready=True, **marks)).events == ()


def test_an_instance_of_somebody_else_is_in_the_way() -> None:
    theirs = make.vmi("web", "Running", of="set")
    with pytest.raises(Terminal, match="belongs to VirtualMachineInstanceReplicaSet set"):
        plan_of(vm(), theirs)


def test_a_refused_instance_is_told_once() -> None:
    machine = vm("RerunOnFailure")
    refused = Failure(None, Forbidden(403, "Forbidden", "exceeded quota: few"))
    result = controller.failed(machine, Plan(), refused, NOON)
    assert said(result, "Failure") == ("True", "FailedCreate")
    assert [(event.reason, event.type) for event in result.events] == [("FailedCreate", "Warning")]
    assert result.status is not None
    assert "runStrategy" not in result.status
    again = controller.failed(vm(status=result.status), Plan(), refused, NOON)
    assert again.events == ()


def test_nothing_is_written_when_nothing_changed() -> None:
    running = vm_vmi(ready=True)
    first = plan_of(vm(), running)
    assert first.status is not None
    assert changes(vm(status=first.status).status, plan_of(vm(status=first.status), running).status or {}) == {}


def test_events() -> None:
    assert [event.reason for event in plan_of(vm()).events] == ["SuccessfulCreate"]
    assert [event.reason for event in plan_of(vm("Halted"), vm_vmi()).events] == ["SuccessfulDelete"]


TEMPLATE = {"metadata": {"name": "data", "labels": {"a": "b"}}, "spec": {"source": {"blank": {}}, "storage": {}}}
WITH_DISK: Any = {"spec": {"volumes": [{"name": "data", "dataVolume": {"name": "data"}}]}}
WITH_DISK["more_spec"] = {"dataVolumeTemplates": [TEMPLATE]}


def volume(phase: str, **conditions: Any) -> dict[str, Any]:
    return {"data": data_volume("data", phase, status={"conditions": make.conditions(**conditions)})}


@pytest.mark.parametrize(
    ("strategy", "volumes", "actions", "word"),
    [
        pytest.param("Always", {}, ["+data"], None, id="made first"),
        pytest.param("Halted", {}, ["+data"], None, id="made for a VM that is off, too"),
        pytest.param("Always", volume(""), [], "Provisioning", id="waited for"),
        pytest.param("Always", volume("ImportInProgress"), [], "Provisioning", id="being filled"),
        pytest.param("Halted", volume("ImportInProgress"), [], "Provisioning", id="being filled, the VM is off"),
        pytest.param("Always", volume("Failed"), [], "DataVolumeError", id="failed"),
        pytest.param(
            "Always", volume("ImportInProgress", Running=(False, "Error")), [], "DataVolumeError", id="failing"
        ),
        pytest.param("Always", volume("Succeeded"), ["+web"], "Starting", id="whole"),
        pytest.param("Always", volume("WaitForFirstConsumer"), ["+web"], "Starting", id="waits for the guest's pod"),
    ],
)
def test_disks_of_the_vm(strategy: str, volumes: Any, actions: list[str], word: str | None) -> None:
    result = plan_of(vm(strategy, **WITH_DISK), None, {}, volumes)
    assert verbs(result) == actions
    assert (result.status or {}).get("printableStatus") == word


def test_a_claim_that_is_there_needs_no_disk() -> None:
    assert verbs(plan_of(vm(**WITH_DISK), None, {"data": claim()})) == ["+web"]


def test_a_disk_is_the_vms() -> None:
    result = plan_of(vm(**WITH_DISK))
    (action,) = result.actions
    assert isinstance(action, Create)
    meta = action.body["metadata"]
    assert meta["labels"] == {"a": "b", launcher.CREATED_BY: "uid-web"}
    assert meta["ownerReferences"][0]["uid"] == "uid-web"
    assert action.body["spec"] == TEMPLATE["spec"]
    assert [event.note for event in result.events] == ["Created DataVolume data"]


def test_a_failed_import_is_told_once() -> None:
    first = plan_of(vm(**WITH_DISK), None, {}, volume("Failed"))
    assert [event.reason for event in first.events] == ["FailedDataVolumeImport"]
    told = vm(status=first.status, **WITH_DISK)
    assert plan_of(told, None, {}, volume("Failed")).events == ()


def test_a_disk_that_is_refused_is_told() -> None:
    (action,) = plan_of(vm(**WITH_DISK)).actions
    refused = Failure(action, Forbidden(403, "Forbidden", "exceeded quota: few"))
    result = controller.failed(vm(**WITH_DISK), Plan(), refused, NOON)
    assert said(result, "Failure") == ("True", "FailedDataVolumeCreate")


def test_without_data_volumes_templates_are_refused() -> None:
    with pytest.raises(Terminal, match="install hostler with"):
        plan(vm(**WITH_DISK), Seen(), NOON, disks=False)


def test_who_is_concerned() -> None:
    store = Store()
    machine = vm(spec=DISK)
    store.observe(VirtualMachine, machine.model_dump(mode="json", by_alias=True, exclude_unset=True))
    assert list(controller.others(make.vmi("web"), store)) == [(make.NS, "web")]
    assert list(controller.others(make.vmi("other"), store)) == []
    assert list(controller.others(claim("data"), store)) == [(make.NS, "web")]
    assert list(controller.others(claim("x"), store)) == []
    assert controller.look(store, machine) == Seen()
