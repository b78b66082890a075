"""VirtualMachineSchedule: what is due goes up or down once, and what somebody does by hand in between stays."""

import itertools
from datetime import datetime, timedelta
from typing import Any

import pytest

from controllers import deployment, replicaset, schedule, vm, vmi
from controllers.schedule import Seen, plan
from controllers.schedule_targets import Target
from controllers.settings import ManagerSettings
from hostler.api.apps import VirtualMachineDeployment, VirtualMachineStatefulSet
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet
from hostler.api.schedule import BEFORE_STOP, SCHEDULED, VirtualMachineSchedule
from hostler.runtime.errors import Forbidden
from hostler.runtime.plan import Failure, Patch, Plan
from hostler.runtime.protocol import Raw
from tests.unit.make import NOON, ago, meta, owner, replica_set, said, verbs, vm_vmi, workload
from tests.unit.make import vm as machine
from tests.unit.world import World

DAY = {"start": "0 7 * * 1-5", "stop": "0 12 * * 1-5"}  # noon is a Monday's
LATER = NOON + timedelta(seconds=30)
MORNING = NOON + timedelta(hours=19)
STOP, START = "office Stop 2026-06-01T12:00:00Z", "office Start 2026-06-02T07:00:00Z"
VM = VirtualMachine


def office(kind: Any = VM, **more: Any) -> Any:
    """A schedule of `web`; `selector` in place of the name, `status`, metadata; all else is its spec."""
    selector, status = more.pop("selector", None), more.pop("status", None)
    metadata = {key: more.pop(key) for key in ("dying", "age", "name") if key in more}
    ref: Raw = {"apiVersion": kind.group_version, "kind": kind.kind()}
    ref |= {"selector": selector} if selector else {"name": "web"}
    body = {"metadata": meta(metadata.pop("name", "office"), **({"age": 3600} | metadata))}
    body |= {"spec": {"targetRef": ref} | DAY | more} | ({"status": status} if status else {})
    return VirtualMachineSchedule.read(body)


def settled(action: str, at: datetime) -> Raw:
    return {"lastTransition": {"action": action, "outcome": "Done", "time": at.strftime("%Y-%m-%dT%H:%M:%SZ")}}


STOPPED = settled("Stop", NOON)


def visit(sched: Any, *targets: Any, now: datetime = LATER, vmi: Any = None) -> Plan:
    return plan(sched, Seen(tuple(Target(each, vmi) for each in targets)), now)


@pytest.mark.parametrize(
    ("sched", "expected", "outcome", "event"),
    [
        pytest.param(office(), ["~web stop"], "Done", "Stopped", id="it is time"),
        pytest.param(office(age=-10), [], None, None, id="not what was due before it was made"),
        pytest.param(office(status=STOPPED), [], None, None, id="done already"),
        pytest.param(office(suspend=True), [], None, None, id="suspended"),
        pytest.param(office(dying=True), [], None, None, id="being deleted"),
        pytest.param(office(age=10 * 86400), ["~web stop"], "Done", "Stopped", id="of many missed, the last"),
        pytest.param(office(stop=None, age=86400), [], "Done", "Started", id="it runs already"),
        pytest.param(office(start=None), ["~web stop"], "Done", "Stopped", id="down only"),
        pytest.param(office(start="0 12 * * *", stop="0 */6 * * *"), [], "Done", "Started", id="both at once: up"),
        pytest.param(office(startingDeadlineSeconds=29), [], "Missed", "MissedTransition", id="too late"),
        pytest.param(office(startingDeadlineSeconds=30), ["~web stop"], "Done", "Stopped", id="just in time"),
        pytest.param(office(startingDeadlineSeconds=2**63 - 1), ["~web stop"], "Done", "Stopped", id="never too late"),
        pytest.param(office(status=settled("Stop", MORNING)), [], None, None, id="the clock was set back"),
        pytest.param(office(timeZone="Europe/Berlin"), [], None, None, id="noon is past there since two hours"),
        pytest.param(office(start="5-1 * * * *"), [], None, "UnparseableSchedule", id="no time"),
        pytest.param(office(timeZone="Mars/Olympus"), [], None, "UnknownTimeZone", id="no zone"),
    ],
)  # fmt: skip
def test_time(sched: Any, expected: list[str], outcome: str | None, event: str | None) -> None:
    found = visit(sched, machine("Always"))
    assert verbs(found) == expected
    assert [each.reason for each in found.events] == ([event] if event else [])
    last = (found.status or {}).get("lastTransition")
    assert (last["outcome"] if last else None) == outcome


@pytest.mark.parametrize(
    ("sched", "now", "action", "time", "wait"),
    [
        pytest.param(office(), NOON - timedelta(minutes=1), "Stop", ago(0), 60.1, id="soon"),
        pytest.param(office(status=STOPPED), LATER, "Start", "2026-06-02T07:00:00Z", schedule.LOOK, id="tomorrow"),
        pytest.param(
            office(timeZone="America/New_York", age=0), LATER, "Stop", "2026-06-01T16:00:00Z", schedule.LOOK, id="west"
        ),
        pytest.param(
            office(status=settled("Stop", MORNING)), LATER, "Stop", "2026-06-02T12:00:00Z", schedule.LOOK,
            id="the clock was set back: what is settled does not come again",
        ),
    ],
)  # fmt: skip
def test_what_comes_next(sched: Any, now: datetime, action: str, time: str, wait: float) -> None:
    found = visit(sched, machine("Always"), now=now)
    assert found.status is not None
    assert found.status["nextTransition"] == {"action": action, "time": time}
    assert found.requeue_after == pytest.approx(wait)


@pytest.mark.parametrize(
    ("sched", "targets", "ready"),
    [
        pytest.param(office(), [machine("Always")], ("True", "Scheduled"), id="well"),
        pytest.param(office(), [], ("False", "TargetNotFound"), id="nobody there"),
        pytest.param(office(suspend=True), [machine("Always")], ("False", "Suspended"), id="suspended"),
        pytest.param(
            office(VirtualMachineInstanceReplicaSet),
            [replica_set(3, ownerReferences=owner("d", "VirtualMachineDeployment"))],
            ("False", "TargetControlled"), id="another one decides its size",
        ),
    ],
)  # fmt: skip
def test_readiness(sched: Any, targets: list[Any], ready: tuple[str, str]) -> None:
    found = visit(sched, *targets)
    assert said(found, "Ready") == ready
    if ready[1].startswith("Target"):
        assert (found.status or {})["lastTransition"]["outcome"] == "NoTarget", "nobody is stopped when it comes later"
        assert not found.actions


def test_which_time_cannot_be_read() -> None:
    (event,) = visit(office(stop="0 25 * * *"), machine("Always")).events
    assert event.note == "spec.stop: '0 25 * * *': Bad hour"


def test_suspended_it_says_nothing_of_the_future() -> None:
    found = visit(office(suspend=True), machine("Always"))
    assert (found.status or {})["nextTransition"] is None
    assert found.requeue_after is None


def asked(patch: Patch) -> Raw:
    return patch.patch  # type: ignore[return-value]


def marks(mark: str, before: str | None = None) -> Raw:
    return {"annotations": {SCHEDULED: mark, BEFORE_STOP: before}}


STOP_REQUEST = {"action": "Stop", "uid": "uid-web"}
START_REQUEST = {"action": "Start"}
ASKED_TO_STOP = {"stateChangeRequests": [STOP_REQUEST]}
ASKED_TO_START = {"stateChangeRequests": [START_REQUEST]}


@pytest.mark.parametrize(
    ("web", "guest", "stop", "start"),
    [
        pytest.param(machine("Always"), vm_vmi(), {"runStrategy": "Halted"}, None, id="Always, running"),
        pytest.param(machine("Halted"), None, None, {"runStrategy": "Always"}, id="Halted"),
        pytest.param(machine("Once"), vm_vmi("Succeeded"), {"runStrategy": "Halted"}, None, id="Once, run"),
        pytest.param(
            machine("Halted", annotations={BEFORE_STOP: "Once"}), None, None, {"runStrategy": "Once"}, id="it was Once"
        ),
        pytest.param(machine("Manual"), vm_vmi(), [STOP_REQUEST], None, id="Manual, running"),
        pytest.param(machine("Manual"), None, None, [START_REQUEST], id="Manual, down"),
        pytest.param(machine("Manual"), vm_vmi(dying=True), None, [START_REQUEST], id="Manual, going down"),
        pytest.param(
            machine("Manual"), vm_vmi("Succeeded"), None, [STOP_REQUEST, START_REQUEST], id="Manual, shut down"
        ),
        pytest.param(machine("RerunOnFailure"), vm_vmi("Failed"), None, None, id="it comes again by itself"),
        pytest.param(
            machine("Manual", status=ASKED_TO_STOP), vm_vmi(), None, None, id="somebody asked for the stop already"
        ),
        pytest.param(machine("Manual", status=ASKED_TO_START), None, None, None, id="... and for the start"),
    ],
)  # fmt: skip
def test_machines(web: Any, guest: Any, stop: Any, start: Any) -> None:
    for sched, now, expected in ((office(), LATER, stop), (office(status=STOPPED), MORNING, start)):
        found = visit(sched, web, vmi=guest, now=now)
        patches = [each for each in found.actions if isinstance(each, Patch)]
        if expected is None:
            assert not patches
        elif isinstance(expected, list):
            assert [(asked(each), each.subresource) for each in patches] == [
                ({"status": {"stateChangeRequests": expected}}, "status")
            ]
        else:
            before = web.spec.run_strategy if now == LATER else None
            metadata = marks(STOP if now == LATER else START, before)
            assert [asked(each) for each in patches] == [{"spec": expected, "metadata": metadata}]


def test_the_old_way_to_say_it() -> None:
    on, off = machine(running=True), machine(running=False)
    (stop,) = visit(office(), on).actions
    (start,) = visit(office(status=STOPPED), off, now=MORNING).actions
    assert isinstance(stop, Patch)
    assert isinstance(start, Patch)
    assert (asked(stop)["spec"], asked(start)["spec"]) == ({"running": False}, {"running": True})


SETS = (VirtualMachineInstanceReplicaSet, VirtualMachineDeployment, VirtualMachineStatefulSet)


def was(size: str) -> Raw:
    return {"annotations": {BEFORE_STOP: size}}


@pytest.mark.parametrize("kind", SETS, ids=lambda each: each.kind())
@pytest.mark.parametrize(
    ("size", "annotations", "spec", "becomes"),  # down, up
    [
        pytest.param(3, {}, {}, (0, None), id="up"),
        pytest.param(None, {}, {}, (0, None), id="one is the default"),
        pytest.param(0, was("3"), {}, (None, 3), id="down by the schedule"),
        pytest.param(0, {}, {}, (None, 1), id="down by hand"),
        pytest.param(0, {}, {"replicas": 4}, (None, 4), id="... and a size to start with"),
        pytest.param(0, was("3"), {"replicas": 4}, (None, 3), id="what was remembered counts first"),
        pytest.param(0, was("many"), {"replicas": 4}, (None, 4), id="nonsense is no size"),
        pytest.param(0, was("9" * 5000), {"replicas": 4}, (None, 4), id="nor is what no computer reads"),
        pytest.param(0, was("99999999999"), {}, (None, 1), id="... nor is too much"),
        pytest.param(5, was("3"), {}, (0, None), id="up by hand, or by an autoscaler"),
    ],
)  # fmt: skip
def test_sets(kind: Any, size: int | None, annotations: Raw, spec: Raw, becomes: Any) -> None:
    sized: Any = {} if size is None else {"replicas": size}
    web = workload(kind, **sized, **annotations)
    turns = ((office(kind, **spec), LATER, STOP), (office(kind, status=STOPPED, **spec), MORNING, START))
    for (sched, now, mark), replicas in zip(turns, becomes, strict=True):
        before = str(1 if size is None else size) if mark == STOP else None
        wanted = {"spec": {"replicas": replicas}, "metadata": marks(mark, before)}
        patches = [asked(each) for each in visit(sched, web, now=now).actions if isinstance(each, Patch)]
        assert patches == ([] if replicas is None else [wanted])


def test_a_selector_names_many() -> None:
    sched = office(selector={"matchLabels": {"hours": "office"}})
    office_vm = machine("Always", labels={"hours": "office"})
    assert schedule.names(sched, office_vm)
    assert not schedule.names(sched, machine("Always"))
    assert not schedule.names(sched, replica_set(3, labels={"hours": "office"})), "of its kind only"


def test_many_are_told_of_in_one_line() -> None:
    many = [machine("Always", f"web-{n}") for n in range(8)]
    (event,) = visit(office(selector={"matchLabels": {"a": "b"}}), *many).events
    assert event.note == "Stopped VirtualMachine web-0, web-1, web-2, web-3, web-4 and 3 more"


def test_a_refusal_is_told_and_the_transition_is_not_settled() -> None:
    tried = visit(office(), machine("Always"))
    error = Forbidden(403, "Forbidden", "policy says no")
    told = schedule.failed(office(), tried, Failure(tried.actions[0], error), LATER)
    assert said(told, "Ready") == ("False", "TransitionFailed")
    assert "lastTransition" not in (told.status or {})
    assert [each.note for each in told.events] == ["refused: stop VirtualMachine web: policy says no"]
    again = schedule.failed(office(status=told.status), tried, Failure(tried.actions[0], error), LATER)
    assert again.events == (), "once"


@pytest.mark.parametrize("cut", range(4))
def test_a_manager_that_dies_undoes_nothing_that_a_user_did_since(cut: int) -> None:
    world = World([schedule.CONTROLLER])
    world.now = LATER
    world.add(office())
    world.add(machine("Always"))
    world.visit(schedule.CONTROLLER, world.get(VirtualMachineSchedule, "office"), cut)
    stopped = world.get(VM, "web").spec.run_strategy == "Halted"
    assert stopped == (cut > 0)
    if stopped:
        world.change(world.get(VM, "web"), {"spec": {"runStrategy": "Always"}})
    for _ in range(3):
        world.visit(schedule.CONTROLLER, world.get(VirtualMachineSchedule, "office"))
    assert world.get(VM, "web").spec.run_strategy == ("Always" if stopped else "Halted")
    found = world.get(VirtualMachineSchedule, "office")
    assert (found.status.last_transition.action, found.status.last_transition.outcome) == ("Stop", "Done")
    assert world.visit(schedule.CONTROLLER, found) == 0, "at rest it costs nothing"


@pytest.mark.parametrize("cut", [None, 0, 1, 2])
def test_days_and_nights(cut: int | None) -> None:
    """A machine and a deployment, run by their controllers; the schedule is cut short, then made good."""
    settings = ManagerSettings()
    world = World([vmi.controller(settings), vm.controller(settings), deployment.CONTROLLER, replicaset.CONTROLLER])
    world.add(machine("Manual"))
    world.add(workload(VirtualMachineDeployment, replicas=3))
    world.add(office(age=86400))
    world.add(office(VirtualMachineDeployment, name="deployed", age=86400))
    sizes = []
    for hour in (7, 12, 31, 36):
        world.now = NOON.replace(hour=0) + timedelta(hours=hour, seconds=1)
        for name, _ in itertools.product(("office", "deployed"), range(2)):
            world.visit(schedule.CONTROLLER, world.get(VirtualMachineSchedule, name), cut)
            world.visit(schedule.CONTROLLER, world.get(VirtualMachineSchedule, name))
        world.settle()
        up = [each for each in world.picture() if each.startswith("VirtualMachineInstance web")]
        sizes.append((world.get(VirtualMachineDeployment, "web").spec.replicas, len(up)))
    assert sizes == [(3, 4), (0, 0), (3, 4), (0, 0)]
    (rs,) = world.all(VirtualMachineInstanceReplicaSet)
    assert BEFORE_STOP not in rs.metadata.annotations, "the deployment's marks are its own"
