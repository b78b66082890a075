"""The VMI planner: a table of (VMI, what is seen) -> what is done."""

from typing import Any

import pytest

from controllers import vmi as controller
from controllers import vmi_end
from controllers.settings import ManagerSettings
from controllers.vmi import Seen, plan
from hostler.api import launcher
from hostler.api.objects import Pod
from hostler.runtime.errors import Forbidden, Terminal
from hostler.runtime.plan import Create, Failure, Plan
from hostler.runtime.protocol import Raw
from hostler.runtime.store import Store
from tests.unit import make
from tests.unit.make import NOON, claim, conditions, pod, said, verbs, vmi

SETTINGS = ManagerSettings(use_emulation=True)
PROBED = {"readinessProbe": {"tcpSocket": {"port": 80}}}
DISK = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}


def plan_of(vmi: Any, *pods: Any, claims: Any = None) -> Plan:
    return plan(vmi, Seen(pods, claims or {}), NOON, SETTINGS)


@pytest.mark.parametrize(
    ("seen", "pods", "actions", "phase"),
    [
        pytest.param(vmi(), [], ["+virt-launcher-web-8zklr"], None, id="a new VMI gets its pod and no status write"),
        pytest.param(
            vmi(phase="", finalizers=[]), [], ["~web guard"], None, id="a VMI without finalizer gets it first"
        ),
        pytest.param(vmi(), [pod(phase="Pending", age=1)], [], None, id="a young pod is not worth a write"),
        pytest.param(vmi(), [pod(phase="Pending", age=9)], [], "Scheduling", id="an old one is"),
        pytest.param(vmi(), [pod(phase="Pending", age=1, scheduled=False)], [], "Scheduling", id="unschedulable: now"),
        pytest.param(
            vmi(), [pod(phase="Pending", age=1, waiting="ErrImagePull")], [], "Scheduling", id="no image: now"
        ),
        pytest.param(vmi(phase="Scheduling"), [], [], "Failed", id="the pod vanished before the guest ran"),
        pytest.param(vmi(phase="Running"), [], [], "Failed", id="the pod vanished under the guest"),
        pytest.param(vmi(phase="Running", ready=True), [pod()], [], None, id="a running guest is left alone"),
        pytest.param(vmi(phase="Running"), [pod(phase="Succeeded")], [], "Succeeded", id="the guest shut down"),
        pytest.param(vmi(phase="Running"), [pod(phase="Failed", code=1)], [], "Failed", id="the guest crashed"),
        pytest.param(vmi(), [pod(phase="Failed", code=64)], [], "Failed", id="PID 1 could not prepare"),
        pytest.param(vmi(phase="Succeeded"), [], [], None, id="an ended VMI stays ended"),
        pytest.param(vmi(phase="Failed"), [pod()], ["-virt-launcher-web"], None, id="its pod does not stay"),
        pytest.param(
            vmi(phase="Failed"), [pod(phase="Failed")], [], None, id="unless it ended, too: there are its logs"
        ),
        pytest.param(vmi(dying=True), [pod()], ["-virt-launcher-web"], None, id="deleted: the pod first"),
        pytest.param(vmi(dying=True), [pod(dying=True)], [], None, id="deleted: wait for the pod"),
        pytest.param(vmi(dying=True), [], ["~web release"], None, id="deleted: then the finalizer"),
        pytest.param(vmi(dying=True, finalizers=["other"]), [], [], None, id="deleted: then others' finalizers"),
        pytest.param(
            vmi(dying=True), [pod(phase="Succeeded")], ["-virt-launcher-web"], None, id="deleted after the end"
        ),
    ],
)
def test_plan(seen: Any, pods: list[Any], actions: list[str], phase: str | None) -> None:
    result = plan_of(seen, *pods)
    assert verbs(result) == actions
    assert (result.status or {}).get("phase") == phase


@pytest.mark.parametrize(
    ("seen", "pods", "condition", "expected"),
    [
        pytest.param(
            vmi(phase="Running", ready=True), [pod(dying=True)], "Ready", ("False", "PodTerminating"), id="evicted"
        ),
        pytest.param(
            vmi(phase="Running", ready=True), [pod(ready=False, started=True)], "Ready", ("False", "PodNotReady"),
            id="the node is silent",
        ),
        pytest.param(
            vmi(phase="Running", ready=(False, "PodNotReady")), [pod()], "Ready", ("True", ""), id="the node is back"
        ),
        pytest.param(
            vmi(phase="Running", ready=True), [pod(phase="Pending", ready=False)], "Ready", None,
            id="the kubelet is slower than the agent",
        ),
        pytest.param(
            vmi(phase="Running", ready=True, spec=PROBED), [pod(ready=False, started=False)], "Ready",
            ("False", "ContainersNotReady"), id="the guest's probe fails",
        ),
        pytest.param(
            vmi(phase="Running", ready=(False, "GuestNotRunning"), spec=PROBED), [pod(ready=False, started=False)],
            "Ready", None, id="nor can a paused guest answer",
        ),
        pytest.param(
            vmi(phase="Running", ready=(False, "ContainersNotReady"), spec=PROBED), [pod()], "Ready", ("True", ""),
            id="the guest's probe succeeds",
        ),
        pytest.param(vmi(phase="Running", ready=True), [], "Ready", ("False", "PodNotExists"), id="no pod"),
        pytest.param(
            vmi(), [pod(phase="Pending", age=9)], "Ready", ("False", "GuestNotRunning"), id="scheduling is not ready"
        ),
        pytest.param(
            vmi(), [pod(phase="Pending", scheduled=False)], "PodScheduled", ("False", "Unschedulable"), id="copied"
        ),
        pytest.param(
            vmi(), [pod(phase="Pending", waiting="ImagePullBackOff")], "Synchronized", ("False", "ImagePullBackOff"),
            id="the image cannot be had",
        ),
        pytest.param(
            vmi(phase="Running", ready=True), [pod(phase="Failed", code=1, said={"reason": "Crashed", "message": "m"})],
            "Ready", ("False", "Crashed"), id="PID 1 says why",
        ),
        pytest.param(
            vmi(spec=DISK), [], "Synchronized", ("False", "FailedPvcNotFound"), id="a claim is missing"
        ),
    ],
)  # fmt: skip
def test_conditions(seen: Any, pods: list[Any], condition: str, expected: tuple[str, str] | None) -> None:
    assert said(plan_of(seen, *pods), condition) == expected


EVICTED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "m"}
PORTS = {"annotations": {launcher.PORTS: "true"}}
ASKED = {"reason": "ShutdownRequested", "message": "m"}


def disrupted(**more: Any) -> Any:
    body = pod(**more).model_dump(mode="json", by_alias=True, exclude_unset=True)
    return Pod.read(body | {"status": body["status"] | {"conditions": [*body["status"]["conditions"], EVICTED]}})


@pytest.mark.parametrize(
    ("seen", "pods", "phase", "told"),
    [
        pytest.param({}, [disrupted(dying=True)], None, True, id="its pod has to go"),
        pytest.param({}, [disrupted(phase="Failed", code=1)], "Failed", True, id="it went"),
        pytest.param({}, [pod(dying=True)], None, False, id="somebody deleted the pod"),
        pytest.param({}, [disrupted(phase="Succeeded", said=ASKED)], "Succeeded", True, id="it went in good order"),
        pytest.param(
            PORTS, [disrupted(phase="Succeeded", said=ASKED)], "Failed", True, id="a job's guest was not done"
        ),
        pytest.param(
            PORTS, [disrupted(phase="Succeeded", said=ASKED | {"exitCode": 0})], "Succeeded", True, id="unless it says"
        ),
        pytest.param(
            PORTS, [pod(phase="Succeeded", said={"reason": "Shutdown", "message": "m"})], "Succeeded", False,
            id="nobody asked it",
        ),
        pytest.param(
            PORTS | {"dying": True}, [pod(phase="Succeeded", dying=True, said=ASKED | {"exitCode": 0})], "Succeeded",
            False, id="deleted when it was done",
        ),
        pytest.param(
            PORTS | {"dying": True}, [pod(phase="Succeeded", said=ASKED)], "Failed", False, id="deleted before"
        ),
        pytest.param(PORTS | {"dying": True}, [pod(dying=True)], None, False, id="deleted, and it still runs"),
        pytest.param({"dying": True}, [pod(phase="Succeeded", said=ASKED)], None, False, id="nobody counts it"),
    ],
)  # fmt: skip
def test_an_end_that_is_no_fault_of_the_guest(seen: Any, pods: list[Any], phase: str | None, told: bool) -> None:
    result = plan_of(vmi(phase="Running", ready=True, **seen), *pods)
    assert (result.status or {}).get("phase") == phase
    assert said(result, "DisruptionTarget") == (("True", "EvictionByEvictionAPI") if told else None)


DESTROYED = {"reason": "Destroyed", "message": "m"}
DEAF = {"domain": {"devices": {}, "memory": {"guest": "128Mi"}, "features": {"acpi": {"enabled": False}}}}


@pytest.mark.parametrize(("spec", "phase"), [({}, "Failed"), (DEAF, "Succeeded")])
def test_who_does_not_end_in_time_failed_unless_it_could_not_hear(spec: Any, phase: str) -> None:
    result = plan_of(vmi(phase="Running", spec=spec), pod(phase="Failed", code=1, said=DESTROYED))
    assert (result.status or {})["phase"] == phase


@pytest.mark.parametrize(
    ("before", "words", "end"),
    [
        pytest.param({"exitCode": 3}, {}, ("Failed", 3, "NonZeroExitCode"), id="it had failed"),
        pytest.param({"exitCode": 0}, {}, ("Succeeded", 0, "Shutdown"), id="it was done"),
        pytest.param({"exitCode": 3}, {"exitCode": 0}, ("Succeeded", 0, "Shutdown"), id="the last word counts"),
    ],
)
def test_what_a_guest_said_before_it_moved_is_not_lost(before: Raw, words: Raw, end: tuple[str, int, str]) -> None:
    moved = vmi(phase="Running", **PORTS)
    body = moved.model_dump(mode="json", by_alias=True, exclude_unset=True)
    moved = type(moved).read(body | {"status": body["status"] | before | {"result": "42"}})
    last = {"reason": "Shutdown", "message": "m"} | words
    status = plan_of(moved, pod(phase="Succeeded", said=last)).status or {}
    (ready,) = [each for each in status["conditions"] if each["type"] == "Ready"]
    assert (status["phase"], status["exitCode"], ready["reason"], status["result"]) == (*end, "42")


def test_a_guest_that_has_moved_away_is_disrupted_no_more() -> None:
    known = conditions(DisruptionTarget=(True, "EvictionByEvictionAPI"))
    result = plan_of(vmi(phase="Running", ready=True, status_conditions=known), pod())
    assert said(result, "DisruptionTarget") is None
    assert result.status is not None
    assert [each["type"] for each in result.status["conditions"]] == ["Ready"]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("", id="nothing"),
        pytest.param("not json", id="not JSON"),
        pytest.param("[]", id="not an object"),
        pytest.param({"reason": "no such\nreason", "message": "m"}, id="no CamelCase"),
        pytest.param({"reason": ["x"], "message": {"a": "b"}}, id="wrong types"),
        pytest.param({"reason": "X" * 200, "message": "m" * 5000}, id="too long"),
    ],
)
def test_a_termination_message_is_not_trusted(message: Any) -> None:
    result = plan_of(vmi(phase="Running"), pod(phase="Failed", code=1, said=message))
    assert result.status is not None
    (ready,) = result.status["conditions"]
    assert vmi_end.REASON.fullmatch(ready["reason"])
    assert len(ready.get("message", "")) <= vmi_end.LONGEST_MESSAGE


def test_a_claim_that_appears_brings_the_pod() -> None:
    waiting = vmi(spec=DISK)
    store = Store()
    assert controller.look(store, waiting).claims == {}
    assert verbs(plan_of(waiting)) == []
    assert verbs(plan_of(waiting, claims={"data": claim()})) == ["+virt-launcher-web-8zklr"]


DV_DISK = {"volumes": [{"name": "root", "dataVolume": {"name": "data"}}]}


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        pytest.param(make.data_volume(), "data is Pending", id="nobody has looked at it"),
        pytest.param(make.data_volume(phase="ImportInProgress"), "data is ImportInProgress", id="under way"),
        pytest.param(make.data_volume(phase="Failed"), "data is Failed", id="it failed"),
    ],
)
@pytest.mark.parametrize("disk", [DISK, DV_DISK], ids=["claim", "data volume"])
def test_a_vmi_waits_for_its_disks(volume: Any, message: str, disk: Any) -> None:
    store = Store()
    for each in (volume, claim()):
        store.observe(type(each), each.model_dump(mode="json", by_alias=True))
    guest = vmi(spec=disk)
    result = plan(guest, controller.look(store, guest), NOON, SETTINGS)
    assert verbs(result) == []
    assert said(result, "DataVolumesReady") == ("False", "NotAllDVsReady")
    assert result.status is not None
    assert result.status["conditions"][0]["message"] == f"Not all of the VMI's DVs are ready: {message}"
    assert [e.reason for e in result.events] == (["FailedDataVolumeImport"] if volume.phase == "Failed" else [])
    assert list(controller.concerned(volume, store)) == []
    store.observe(type(guest), guest.model_dump(mode="json", by_alias=True))
    assert list(controller.concerned(volume, store)) == [(make.NS, "web")]


def test_a_whole_disk_is_used() -> None:
    store = Store()
    for each in (make.data_volume(phase="Succeeded"), claim()):
        store.observe(type(each), each.model_dump(mode="json", by_alias=True))
    waited = vmi(spec=DV_DISK, status_conditions=make.conditions(DataVolumesReady=(False, "NotAllDVsReady")))
    result = plan(waited, controller.look(store, waited), NOON, SETTINGS)
    assert [word[0] for word in verbs(result)] == ["+"]
    assert said(result, "DataVolumesReady") == ("True", "AllDVsReady")


def test_a_claim_concerns_those_that_wait_for_it() -> None:
    store = Store()
    for each in (vmi("a", spec=DISK), vmi("b"), vmi("c", "Running", spec=DISK)):
        store.observe(type(each), each.model_dump(by_alias=True))
    assert list(controller.concerned(claim("data"), store)) == [(make.NS, "a")]
    assert list(controller.concerned(claim("other"), store)) == []
    assert list(controller.concerned(pod(), store)) == []


def test_the_finalizer_and_the_first_phase_are_one_write() -> None:
    (patch,) = plan_of(vmi(phase="", finalizers=["mine"])).actions
    assert patch.patch["metadata"]["finalizers"] == ["mine", launcher.VMI_FINALIZER]  # type: ignore[union-attr]
    assert patch.patch["status"]["phase"] == "Pending"  # type: ignore[union-attr]


def test_what_was_already_said_of_phases_is_kept() -> None:
    result = plan_of(vmi(), pod(phase="Succeeded"))
    assert result.status is not None
    assert [each["phase"] for each in result.status["phaseTransitionTimestamps"]] == ["Pending", "Succeeded"]


def test_scheduling_is_a_courtesy_but_trouble_is_not() -> None:
    assert plan_of(vmi(), pod(phase="Pending", age=9)).courtesy
    assert not plan_of(vmi(), pod(phase="Pending", age=9, scheduled=False)).courtesy
    assert not plan_of(vmi(), pod(phase="Pending", age=9, waiting="ErrImagePull")).courtesy


def test_the_next_visit_is_when_the_pod_should_run() -> None:
    assert plan_of(vmi()).requeue_after == SETTINGS.scheduling_grace
    assert plan_of(vmi(), pod(phase="Pending", age=2)).requeue_after == pytest.approx(3)


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        pytest.param(
            Forbidden(403, "Forbidden", 'pods "x" is forbidden: exceeded quota: q'),
            "FailedCreate",
            'failed to create virtual machine pod: pods "x" is forbidden: exceeded quota: q',
            id="quota",
        ),
        pytest.param(Terminal("CloudInitInvalid", "no base64"), "CloudInitInvalid", "no base64", id="bad spec"),
    ],
)
def test_a_refusal_is_shown_once(error: Any, reason: str, message: str) -> None:
    first = controller.failed(vmi(), Plan(), Failure(None, error), NOON)
    assert said(first, "Synchronized") == ("False", reason)
    assert [(event.type, event.reason, event.note) for event in first.events] == [("Warning", reason, message)]
    assert first.status is not None
    known = vmi().model_copy(update={"status": type(vmi().status).model_validate(first.status)})
    again = controller.failed(known, Plan(), Failure(None, error), NOON)
    assert (again.status, again.events) == (first.status, ())


def test_a_spec_that_cannot_run_says_so() -> None:
    volume = {"volumes": [{"name": "x", "hostDisk": {"path": "/x", "type": "Disk"}}]}
    with pytest.raises(Terminal, match=r"spec.volumes\[x\].hostDisk: not supported"):
        plan_of(vmi(spec=volume))


def test_events() -> None:
    (made,) = plan_of(vmi()).events
    assert (made.reason, made.note) == ("SuccessfulCreate", "Created virtual machine pod virt-launcher-web-8zklr")
    (gone,) = plan_of(vmi(dying=True), pod()).events
    assert (gone.reason, gone.note) == ("SuccessfulDelete", "Deleted virtual machine pod virt-launcher-web")


def test_one_vmi_has_one_pod_name() -> None:
    (one,) = plan_of(vmi()).actions
    (two,) = plan_of(vmi(uid="another")).actions
    assert isinstance(one, Create)
    assert isinstance(two, Create)
    assert one.body["metadata"]["name"] != two.body["metadata"]["name"]
    (same,) = plan_of(vmi(labels={"more": "labels"})).actions
    assert isinstance(same, Create)
    assert same.body["metadata"]["name"] == one.body["metadata"]["name"]


MOVING = {"migrationState": {"migrationUid": "uid-go", "targetNode": "node-2"}}


def moving(**status: Any) -> Any:
    seen = vmi(phase="Running", ready=True)
    raw = seen.model_dump(by_alias=True, exclude_unset=True)
    raw["status"] |= status
    return type(seen).read(raw)


def other(phase: str = "Running", epoch: str = "1") -> Any:
    return pod(phase=phase, uid="uid-other", annotations={launcher.OWNER_EPOCH: epoch})


LEFT = {"reason": "Migrated", "message": "the guest moved to another node"}


@pytest.mark.parametrize(
    ("seen", "pods", "phase"),
    [
        pytest.param(moving(**MOVING), [pod(), other()], None, id="the target of a move is not the guest's pod"),
        pytest.param(moving(**MOVING), [pod(), other("Failed")], None, id="nor is its end the guest's"),
        pytest.param(
            moving(**MOVING), [pod(phase="Succeeded", said=LEFT), other()], None, id="it has left: a hand-over follows"
        ),
        pytest.param(
            moving(**MOVING), [pod(phase="Succeeded", said=LEFT), other("Failed")], "Failed",
            id="it has left for a pod that is gone",
        ),
        pytest.param(moving(), [pod(phase="Succeeded", said=LEFT), other()], "Failed", id="nobody moved it"),
        pytest.param(moving(**MOVING), [pod(phase="Succeeded"), other()], "Succeeded", id="it has shut itself down"),
        pytest.param(moving(**MOVING), [other()], "Failed", id="the pod of the guest is gone"),
    ],
)  # fmt: skip
def test_two_pods(seen: Any, pods: list[Any], phase: str | None) -> None:
    assert (plan_of(seen, *pods).status or {}).get("phase") == phase


def test_after_the_hand_over_the_old_pod_is_of_no_interest() -> None:
    moved = vmi(phase="Running", ready=True, annotations={launcher.OWNER_EPOCH: "1"})
    assert plan_of(moved, pod(phase="Succeeded", said=LEFT), other()).status is None
    assert (plan_of(moved, pod(phase="Succeeded", said=LEFT), other("Succeeded")).status or {})["phase"] == "Succeeded"


@pytest.mark.parametrize(
    ("own", "ending", "grace", "expected"),
    [
        pytest.param(45, None, 30, None, id="as it was made"),
        pytest.param(45, None, 0, 1, id="at once, but not forgotten before its end"),
        pytest.param(45, 45, 30, None, id="it ends, as it was made: not told a second time"),
        pytest.param(45, 45, 5, 5, id="it ends, but not soon enough"),
        pytest.param(45, 1, 1, None, id="it ends soon already"),
        pytest.param(None, None, 5, None, id="a pod that says nothing"),
    ],
)
def test_a_shorter_grace_is_passed_on(own: int | None, ending: int | None, grace: int, expected: int | None) -> None:
    meta = {"name": "p", "uid": "u"} | ({"deletionGracePeriodSeconds": ending} if ending else {})
    made = Pod.read({"metadata": meta, "spec": {"terminationGracePeriodSeconds": own}})
    assert controller.sooner(made, grace) == expected
