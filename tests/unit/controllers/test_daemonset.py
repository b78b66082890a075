"""The daemon set's planner: which nodes, one guest each, and how they follow their template."""

from typing import Any

import pytest

from controllers import daemonset, daemonset_nodes, members, revisions, vmi
from controllers.daemonset import Seen, plan
from controllers.daemonset_nodes import Verdict, node_of, verdict
from controllers.settings import ManagerSettings
from hostler.api import apps, launcher
from hostler.api.apps import VirtualMachineDaemonSet as DaemonSet
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.objects import ControllerRevision, Node, Pod
from hostler.runtime.errors import AlreadyExists, Forbidden
from hostler.runtime.plan import Create, Delete, Failure, Plan
from hostler.runtime.store import Store
from tests.unit import make
from tests.unit.make import NOON
from tests.unit.world import World, end, survives


def probe(**spec: Any) -> Any:
    return make.workload(DaemonSet, "probe", **spec)


def node(name: str = "n1", **more: Any) -> Any:
    labels = {launcher.SCHEDULABLE: "true", "kubernetes.io/hostname": name} | more.pop("labels", {})
    metadata = make.meta(name, labels=labels)
    del metadata["namespace"]
    return Node.read({"metadata": metadata, "spec": more})


def taint(effect: str, key: str = "dedicated", value: str = "db") -> Any:
    return {"taints": [{"key": key, "value": value, "effect": effect}]}


def affinity(*requirements: Any, fields: Any = ()) -> Any:
    term = {"matchExpressions": list(requirements), "matchFields": list(fields)}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"affinity": {"nodeAffinity": required}}


def rule(operator: str, *values: str, key: str = "size") -> Any:
    return {"key": key, "operator": operator, "values": list(values)}


YES, NO, STAY = Verdict(True, True), Verdict(False, False), Verdict(False, True)
BIG = {"labels": {"size": "7"}}


@pytest.mark.parametrize(
    ("guest", "of_node", "occupied", "expected"),
    [
        pytest.param({}, {}, False, YES, id="any node"),
        pytest.param({}, {"labels": {launcher.SCHEDULABLE: "false"}}, False, STAY, id="no agent, no guest"),
        pytest.param({}, {"labels": {launcher.SCHEDULABLE: "false"}}, True, YES, id="but one that runs goes on"),
        pytest.param({"nodeSelector": {"size": "7"}}, BIG, False, YES, id="selected"),
        pytest.param({"nodeSelector": {"size": "8"}}, BIG, True, NO, id="not selected"),
        pytest.param(affinity(rule("In", "6", "7")), BIG, False, YES, id="In"),
        pytest.param(affinity(rule("NotIn", "7")), BIG, False, NO, id="NotIn"),
        pytest.param(affinity(rule("NotIn", "7")), {}, False, YES, id="NotIn, not there"),
        pytest.param(affinity(rule("Exists")), {}, False, NO, id="Exists"),
        pytest.param(affinity(rule("DoesNotExist")), {}, False, YES, id="DoesNotExist"),
        pytest.param(affinity(rule("Gt", "6")), BIG, False, YES, id="Gt"),
        pytest.param(affinity(rule("Gt", "7")), BIG, False, NO, id="not Gt"),
        pytest.param(affinity(rule("Lt", "10")), BIG, False, YES, id="Lt, in numbers"),
        pytest.param(affinity(rule("Lt", "x")), BIG, False, NO, id="no number"),
        pytest.param(affinity(), BIG, False, NO, id="an empty term fits nothing"),
        pytest.param(affinity(fields=[rule("In", "n1", key="metadata.name")]), {}, False, YES, id="by name"),
        pytest.param({}, {"unschedulable": True} | taint("NoSchedule", "node.kubernetes.io/unschedulable", ""), False,
                     YES, id="a cordon is borne, as in apps/v1"),
        pytest.param({}, taint("NoExecute", "node.kubernetes.io/unreachable", ""), True, YES, id="so is silence"),
        pytest.param({}, taint("NoSchedule"), True, STAY, id="a taint keeps new ones away"),
        pytest.param({}, taint("NoExecute"), True, NO, id="or drives them out"),
        pytest.param({}, taint("PreferNoSchedule"), False, YES, id="or is only a wish"),
        pytest.param({"tolerations": [{"key": "dedicated", "value": "db"}]}, taint("NoExecute"), False, YES, id="ok"),
        pytest.param({"tolerations": [{"key": "dedicated", "value": "x"}]}, taint("NoExecute"), False, NO, id="not it"),
        pytest.param({"tolerations": [{"operator": "Exists"}]}, taint("NoExecute"), False, YES, id="everything borne"),
    ],
)  # fmt: skip
def test_nodes(guest: Any, of_node: Any, occupied: bool, expected: Verdict) -> None:
    assert verdict(probe(guest=guest).spec.template.spec, node(**of_node), occupied=occupied) == expected


HASH = revisions.digest(members.template_raw(probe().spec.template), 0)


def page(number: int = 1, name: str = f"probe-{HASH}", template: Any = None) -> Any:
    data = {"spec": {"template": template or members.template_raw(probe().spec.template)}}
    labels = {apps.REVISION_HASH: name.rpartition("-")[2]}
    return ControllerRevision.read({"metadata": make.meta(name, labels=labels), "data": data, "revision": number})


def on(where: str, phase: str = "Running", ready: bool | None = True, **more: Any) -> Any:
    """A guest on a node; `old`: of another template."""
    mark = "old" if more.pop("old", False) else HASH
    spec = daemonset_nodes.bound_to({}, where)
    name = more.pop("name", f"on-{where}{'-old' if mark == 'old' else ''}")
    labels = {"app": "web", apps.REVISION_HASH: mark}
    return make.vmi(name, phase, ready, of="probe", kind="VirtualMachineDaemonSet", spec=spec, labels=labels, **more)


def plan_of(parent: Any, nodes: Any, *vmis: Any) -> Plan:
    return plan(parent, Seen(tuple(nodes), vmis, (), (page(),), {v.metadata.name for v in vmis}), NOON)


def moves(made: Plan) -> list[str]:
    words = []
    for action in made.actions:
        if isinstance(action, Create) and action.kind is VMI:
            words.append(f"+{node_of(VMI.read(action.body))}")
        elif isinstance(action, Delete):
            words.append(f"-{action.target.metadata.name}")
    return sorted(words)


N1, N2, N3 = node("n1"), node("n2"), node("n3")
SURGE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
TWO = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%"}}
HELD = {"labels": {launcher.SCHEDULABLE: "true"}}


@pytest.mark.parametrize(
    ("spec", "nodes", "vmis", "expected"),
    [
        pytest.param({}, [N1, N2], [], ["+n1", "+n2"], id="one each"),
        pytest.param({}, [N1, N2], [on("n1"), on("n2")], [], id="as it should be"),
        pytest.param({}, [N1], [on("n1"), on("n9")], ["-on-n9"], id="its node is gone"),
        pytest.param({}, [N1], [on("n1", age=9), on("n1", name="first", age=99)], ["-on-n1"], id="the oldest stays"),
        pytest.param({}, [N1], [on("n1", dying=True)], [], id="not before the other one is gone"),
        pytest.param({}, [N1], [on("n1", "Failed", None, age=900)], ["-on-n1"], id="a failed one goes first"),
        pytest.param({}, [N1], [on("n1", "Failed", None, age=20, ended=5)], [], id="a hasty one later"),
        pytest.param({}, [node("n1", **taint("NoExecute"))], [on("n1")], ["-on-n1"], id="driven out"),
        pytest.param({}, [node("n1", **taint("NoSchedule"))], [on("n1")], [], id="may stay"),
        pytest.param({}, [N1, N2], [on("n1", old=True), on("n2", old=True)], ["-on-n1-old"], id="one at a time"),
        pytest.param({}, [N1, N2], [on("n1", ready=False), on("n2", old=True)], [], id="and the next when that is up"),
        pytest.param({}, [N1, N2], [on("n1"), on("n2", old=True)], ["-on-n2-old"], id="which it is"),
        pytest.param(
            {}, [N1, N2], [on("n1", "Failed", None, age=900, old=True), on("n2", old=True)], ["-on-n1-old"],
            id="a failed one is missing, too",
        ),
        pytest.param(
            {}, [N1, N2], [on("n1", old=True), on("n2", ready=False, old=True)], ["-on-n2-old"],
            id="who does not work goes anyway",
        ),
        pytest.param(
            {"updateStrategy": TWO}, [N1, N2, N3], [on(n, old=True) for n in ("n1", "n2", "n3")],
            ["-on-n1-old", "-on-n2-old"], id="half of three, rounded up",
        ),
        pytest.param({"updateStrategy": {"type": "OnDelete"}}, [N1], [on("n1", old=True)], [], id="on delete"),
        pytest.param({"updateStrategy": SURGE}, [N1, N2], [on("n1", old=True), on("n2", old=True)], ["+n1"], id="one"),
        pytest.param(
            {"updateStrategy": SURGE}, [N1, N2], [on("n1", old=True), on("n1", ready=False), on("n2", old=True)], [],
            id="until it is up",
        ),
        pytest.param(
            {"updateStrategy": SURGE}, [N1, N2], [on("n1", old=True), on("n1"), on("n2", old=True)],
            ["+n2", "-on-n1-old"], id="then the old one goes",
        ),
    ],
)  # fmt: skip
def test_plan(spec: Any, nodes: Any, vmis: Any, expected: list[str]) -> None:
    assert moves(plan_of(probe(**spec), nodes, *vmis)) == expected


def test_a_guest_is_bound_to_its_node() -> None:
    parent = probe(guest={"tolerations": [{"operator": "Exists"}]})
    made = plan(parent, Seen((N1,)), NOON)
    revision, guest = (each for each in made.actions if isinstance(each, Create))
    assert revision.kind is ControllerRevision
    assert revision.body["revision"] == 1
    assert revision.body["metadata"]["labels"][apps.REVISION_OF] == "VirtualMachineDaemonSet"
    assert (
        guest.body["metadata"]["labels"][apps.REVISION_HASH] == revision.body["metadata"]["labels"][apps.REVISION_HASH]
    )
    assert len(guest.body["spec"]["tolerations"]) == 7
    assert node_of(VMI.read(guest.body)) == "n1"


def test_counts_are_apps_v1s() -> None:
    tainted = node("n4", **taint("NoSchedule"))
    seen = [on("n1"), on("n2", ready=False, old=True), on("n4")]
    made = plan_of(probe(), [N1, N2, N3, tainted], *seen)
    assert made.status == {
        "observedGeneration": 1,
        "desiredNumberScheduled": 3,
        "currentNumberScheduled": 2,
        "numberMisscheduled": 1,
        "numberReady": 1,
        "numberAvailable": 1,
        "numberUnavailable": 2,
        "updatedNumberScheduled": 1,
        "collisionCount": None,
    }


def test_of_two_guests_on_a_node_the_older_counts() -> None:
    """Else a rollout with a surge would be over before its guests are available."""
    old, new = on("n1", age=99, old=True), on("n1", ready=False)
    counted = ("numberReady", "numberAvailable", "updatedNumberScheduled", "currentNumberScheduled")
    for seen, expected in (((old, new), [1, 1, 0, 1]), ((on("n1", age=99, old=True, dying=True), new), [0, 0, 0, 1])):
        status = plan_of(probe(updateStrategy=SURGE), [N1], *seen).status or {}
        assert [status[each] for each in counted] == expected


def test_a_template_that_was_there_before_is_the_newest_again() -> None:
    other = page(2, "probe-other", {"metadata": {"labels": {}, "annotations": {}}, "spec": {}})
    made = plan(probe(), Seen((N1,), (on("n1"),), (), (page(1), other)), NOON)
    assert make.verbs(made) == [f"~probe-{HASH} number"]


def test_old_templates_are_forgotten() -> None:
    old = [
        page(n, f"probe-o{n}", {"metadata": {"labels": {"n": str(n)}, "annotations": {}}, "spec": {}})
        for n in (1, 2, 3)
    ]
    made = plan(probe(revisionHistoryLimit=1), Seen((N1,), (on("n1"),), (), (*old, page(4))), NOON)
    assert make.verbs(made) == ["-probe-o1", "-probe-o2"]


@pytest.mark.parametrize(
    ("strategy", "vmis", "expected"),
    [
        pytest.param({}, [on("n1"), on("n2", old=True)], ["-on-n2-old"], id="replaced by nobody"),
        pytest.param({}, [on("n1", old=True), on("n2", old=True)], ["-on-n1-old"], id="as many as may be missing"),
        pytest.param(
            {"maxSurge": 1, "maxUnavailable": 0}, [on("n1"), on("n2", old=True)], ["-on-n2-old"], id="surge, last"
        ),
    ],
)
def test_an_old_guest_where_no_new_one_may_come(strategy: Any, vmis: Any, expected: list[str]) -> None:
    away = node("n2", **taint("NoSchedule"))
    rolling = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": strategy}} if strategy else {}
    assert make.verbs(plan(probe(**rolling), Seen((N1, away), tuple(vmis), (), (page(4),)), NOON)) == expected


def test_refused() -> None:
    made = plan(probe(), Seen((N1,)), NOON)
    revision, guest = made.actions
    taken = daemonset.failed(probe(), made, Failure(revision, AlreadyExists(409, "", "no")), NOON)
    assert taken.status == {"collisionCount": 1}
    told = daemonset.failed(probe(), made, Failure(guest, Forbidden(403, "", "quota")), NOON)
    assert [(event.reason, event.type) for event in told.events] == [("FailedCreate", "Warning")]
    assert told.status == made.status, "the others are counted"


def test_whom_a_change_concerns() -> None:
    store = Store()
    store.observe(DaemonSet, probe().model_dump(by_alias=True))
    assert list(daemonset.concerned(N1, store)) == [(make.NS, "probe")]
    assert list(daemonset.concerned(make.vmi("a"), store)) == [(make.NS, "probe")]
    assert list(daemonset.concerned(on("n1"), store)) == []


VMIS = vmi.controller(ManagerSettings(use_emulation=True))


def everywhere(**spec: Any) -> World:
    """At rest on two nodes; a third has just come, if it is to."""
    world = World((daemonset.CONTROLLER, VMIS))
    for each in (N1, N2):
        world.add(each)
    world.add(probe(**spec))
    world.settle()
    return world


def with_a_third() -> World:
    world = everywhere()
    world.add(N3)
    return world


def tainted() -> World:
    world = everywhere()
    world.change(world.all(Node)[0], {"spec": taint("NoExecute")})
    return world


def lost(phase: str) -> World:
    """A guest is deleted, or has ended."""
    world = everywhere()
    end(world, world.all(Pod)[0], phase) if phase else world.delete(world.all(VMI)[0])
    return world


def rolled(rounds: int, strategy: Any) -> World:
    world = everywhere(updateStrategy=strategy)
    (found,) = world.all(DaemonSet)
    world.change(found, {"spec": {"template": {"spec": {"domain": {"memory": {"guest": "64Mi"}}}}}})
    for _ in range(rounds):
        world.round()
    return world


SCENES = {
    "a new node": with_a_third,
    "a node is tainted": tainted,
    "a guest is deleted": lambda: lost(""),
    "a guest crashed": lambda: lost("Failed"),
    **{f"rolled, {n} rounds ago": lambda n=n: rolled(n, TWO) for n in range(3)},  # type: ignore[misc]
    **{f"with a surge, {n} rounds ago": lambda n=n: rolled(n, SURGE) for n in range(3)},  # type: ignore[misc]
}


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_a_crash_at_any_write_changes_nothing_in_the_end(scene: Any) -> None:
    survives(scene)
