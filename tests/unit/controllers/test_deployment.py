"""The deployment's planner: sizes step by step, revisions, conditions and their words."""

from datetime import timedelta
from typing import Any

import pytest

from controllers import deployment, members
from controllers.deployment import Seen, plan
from controllers.deployment_sets import template_hash
from controllers.fractions import share
from hostler.api import apps
from hostler.api.apps import VirtualMachineDeployment as Deployment
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet as ReplicaSet
from hostler.runtime.errors import AlreadyExists, Forbidden
from hostler.runtime.plan import Failure, Patch, Plan
from hostler.runtime.store import Store
from tests.unit import make
from tests.unit.make import NOON, ago, verbs, vmi

NEW, OLD = "128Mi", "64Mi"


def web(replicas: int | None = 3, **more: Any) -> Any:
    """Of the newest template, at revision 2, unless said otherwise."""
    spec = {} if replicas is None else {"replicas": replicas}
    return make.workload(Deployment, **(spec | {"annotations": {apps.REVISION: "2"}} | more))


def rolling(surge: Any, unavailable: Any) -> Any:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def rs(name: str, size: int, memory: str = NEW, **more: Any) -> Any:
    """A set of the deployment: the new one is revision 2, the old one 1; `desired` and `most` when it got its size."""
    revision = more.pop("revision", 2 if memory == NEW else 1)
    marks = {apps.REVISION: str(revision), apps.DESIRED_REPLICAS: str(more.pop("desired", 3))}
    marks |= {apps.MAX_REPLICAS: str(more.pop("most", 4))}
    spec = {
        "replicas": size,
        "selector": {"matchLabels": {"app": "web", apps.TEMPLATE_HASH: name}},
        "template": {
            "metadata": {"labels": {"app": "web", apps.TEMPLATE_HASH: name}},
            "spec": {"domain": {"devices": {}, "memory": {"guest": memory}}},
        },
    }
    metadata = make.meta(
        name,
        labels={"app": "web"},
        annotations=marks,
        ownerReferences=make.owner("web", "VirtualMachineDeployment"),
        age=60 if memory == NEW else 600,
        **more,
    )
    return ReplicaSet.read({"metadata": metadata, "spec": spec})


def guests(of: str, ready: int, unready: int = 0) -> Any:
    up = [vmi(f"{of}-{n}", "Running", True, of=of) for n in range(ready)]
    return tuple(up + [vmi(f"{of}-u{n}", "Pending", None, of=of) for n in range(unready)])


def plan_of(parent: Any, *fleets: Any, now: Any = NOON) -> Plan:
    """`fleets`: (set, its guests)."""
    owned = tuple(each for each, _ in fleets)
    seen = {each.metadata.uid: found for each, found in fleets}
    return plan(parent, Seen(owned, (), seen, {each.metadata.name for each in owned}), now)


def sizes(made: Plan) -> dict[str, int]:
    return {
        each.target.metadata.name: each.patch["spec"]["replicas"]
        for each in made.actions
        if isinstance(each, Patch) and "spec" in each.patch
    }


new_up, old_up = guests("new", 3), guests("old", 3)


@pytest.mark.parametrize(
    ("strategy", "old", "new", "expected"),
    [
        pytest.param(rolling(1, 0), (3, 3), (1, 0), {}, id="nobody goes before somebody came"),
        pytest.param(rolling(1, 0), (3, 3), (1, 1), {"old": 2}, id="one came, one goes"),
        pytest.param(rolling(1, 0), (2, 2), (1, 1), {"new": 2}, id="room for the next"),
        pytest.param(rolling(1, 0), (2, 3), (1, 1), {"new": 2}, id="who is about to go does not hold a place"),
        pytest.param(rolling(1, 0), (2, 3), (2, 1), {}, id="nor the floor"),
        pytest.param(rolling(1, 0), (1, 1), (3, 3), {"old": 0}, id="the last goes"),
        pytest.param(rolling(0, 1), (3, 3), (0, 0), {"old": 2}, id="no surge: one goes first"),
        pytest.param(rolling(0, 1), (2, 2), (0, 0), {"new": 1}, id="and one comes"),
        pytest.param(rolling(0, 1), (2, 2), (1, 0), {}, id="which is waited for"),
        pytest.param(rolling("100%", 0), (3, 3), (0, 0), {"new": 3}, id="all at once"),
        pytest.param(rolling(0, "100%"), (3, 3), (0, 0), {"old": 0}, id="or none in between"),
        pytest.param(rolling(0, 0), (3, 3), (0, 0), {"old": 2}, id="neither: as if one may be missing"),
        pytest.param(rolling("25%", "25%"), (3, 3), (0, 0), {"new": 1}, id="25% of 3: one up, none down"),
        pytest.param(rolling(1, 1), (3, 1), (1, 0), {"old": 2}, id="the unready go first, but not below the floor"),
        pytest.param(rolling(1, 1), (3, 1), (1, 1), {"old": 1}, id="the more are ready the more"),
        pytest.param(rolling(1, 0), (0, 0), (5, 5), {"new": 3}, id="too many new ones"),
        pytest.param({"type": "Recreate"}, (3, 3), (0, 0), {"old": 0}, id="recreate: all go"),
        pytest.param({"type": "Recreate"}, (0, 1), (0, 0), {}, id="recreate: until the last is gone"),
        pytest.param({"type": "Recreate"}, (0, 0), (0, 0), {"new": 3}, id="recreate: then all come"),
    ],
)
def test_one_step_of_a_rollout(strategy: Any, old: Any, new: Any, expected: dict[str, int]) -> None:
    fleets = [
        (rs(name, size, memory), guests(name, ready, max(size - ready, 0)))
        for name, memory, (size, ready) in (("old", OLD, old), ("new", NEW, new))
    ]
    assert sizes(plan_of(web(3, strategy=strategy), *fleets)) == expected


def test_a_new_template_brings_a_new_set() -> None:
    parent = web(3)
    made = plan_of(parent, (rs("old", 3, OLD), old_up))
    name = f"web-{template_hash(parent, 0)}"
    assert verbs(made) == [f"+{name}"]
    body = made.actions[0].body  # type: ignore[union-attr]
    assert body["spec"]["replicas"] == 1
    assert body["metadata"]["annotations"][apps.REVISION] == "2"
    mark = body["metadata"]["labels"][apps.TEMPLATE_HASH]
    assert body["spec"]["selector"]["matchLabels"] == {"app": "web", apps.TEMPLATE_HASH: mark}
    assert body["spec"]["template"]["metadata"]["labels"] == {"app": "web", apps.TEMPLATE_HASH: mark}
    assert body["spec"]["template"]["metadata"]["generateName"] == f"{name}-"
    assert [event.note for event in made.events] == [f"Scaled up replica set {name} from 0 to 1"]
    assert make.said(made, "Progressing") == ("True", "NewReplicaSetCreated")


def test_its_own_set_is_found_again() -> None:
    parent = web(3)
    body = plan_of(parent).actions[0].body  # type: ignore[union-attr]
    found = ReplicaSet.read({**body, "metadata": make.meta(**body["metadata"])})
    assert members.template_raw(found.spec.template) != members.template_raw(parent.spec.template)
    again = plan_of(parent, (found, ()))
    assert not [each for each in verbs(again) if each.startswith("+")]


def test_a_name_that_is_taken_is_passed_by() -> None:
    parent = web(3)
    first = f"web-{template_hash(parent, 0)}"
    made = plan(parent, Seen(taken={first}), NOON)
    assert verbs(made) == [f"+web-{template_hash(parent, 1)}"]
    assert made.status is not None
    assert made.status["collisionCount"] == 1


def test_a_rollback_gives_the_old_set_the_newest_number() -> None:
    back = rs("back", 0, NEW, revision=1)
    made = plan_of(web(3), (back, ()), (rs("bad", 3, OLD, revision=2), guests("bad", 3)))
    (number, mark) = made.actions
    assert isinstance(number, Patch)
    assert number.patch["metadata"]["annotations"] == {apps.REVISION: "3", apps.REVISION_HISTORY: "1"}
    assert isinstance(mark, Patch)
    assert mark.patch == {"metadata": {"annotations": {apps.REVISION: "3"}}}


@pytest.mark.parametrize(
    ("replicas", "old", "new", "expected"),
    [
        pytest.param(10, (3, 3), (0, 0), {"old": 10}, id="one set: it gets all"),
        pytest.param(6, (2, 2), (1, 1), {"old": 5, "new": 2}, id="up in proportion, what is left to the largest"),
        pytest.param(1, (2, 2), (1, 1), {"old": 1}, id="down in proportion"),
        pytest.param(0, (2, 2), (1, 1), {"old": 0, "new": 0}, id="to nothing"),
    ],
)
def test_scaled_in_the_middle_of_a_rollout(replicas: int, old: Any, new: Any, expected: Any) -> None:
    fleets = [
        (rs(name, size, memory, most=3), guests(name, ready))
        for name, memory, (size, ready) in (("old", OLD, old), ("new", NEW, new))
    ]
    made = plan_of(web(replicas, strategy=rolling(1, 0), paused=True), *fleets)
    assert sizes(made) == expected
    marked = [each.patch["metadata"]["annotations"] for each in made.actions if isinstance(each, Patch)]
    assert all(each[apps.DESIRED_REPLICAS] == str(replicas) for each in marked)


def test_paused_it_scales_and_does_not_roll() -> None:
    made = plan_of(web(3, paused=True), (rs("old", 3, OLD), old_up))
    assert made.actions == ()
    assert make.said(made, "Progressing") == ("Unknown", "DeploymentPaused")
    resumed = plan_of(web(3, paused=False, status=made.status), (rs("old", 3, OLD), old_up))
    assert len(resumed.actions) == 1


def test_a_rollout_that_is_done() -> None:
    made = plan_of(web(3), (rs("new", 3), new_up), (rs("old", 0, OLD), ()))
    assert made.actions == ()
    assert made.status is not None
    counts = {key: made.status[key] for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")}
    assert set(counts.values()) == {3}
    assert made.status["unavailableReplicas"] == 0
    assert made.status["labelSelector"] == "app=web"
    assert made.status["printable"] == {"ready": "3/3"}
    assert make.said(made, "Available") == ("True", "MinimumReplicasAvailable")
    assert make.said(made, "Progressing") == ("True", "NewReplicaSetAvailable")


def test_a_rollout_that_gets_nowhere() -> None:
    parent = web(3, progressDeadlineSeconds=60)
    fleets = ((rs("new", 3), guests("new", 0, 3)),)
    first = plan_of(parent, *fleets)
    assert make.said(first, "Progressing") == ("True", "ReplicaSetUpdated")
    later = web(3, progressDeadlineSeconds=60, status=first.status)
    half = plan_of(later, *fleets, now=NOON + timedelta(seconds=30))
    assert half.requeue_after == 31
    over = plan_of(later, *fleets, now=NOON + timedelta(seconds=61))
    assert make.said(over, "Progressing") == ("False", "ProgressDeadlineExceeded")
    assert make.said(over, "Available") == ("False", "MinimumReplicasUnavailable")
    after = web(3, progressDeadlineSeconds=60, status=over.status)
    come = plan_of(after, (rs("new", 3), guests("new", 3)), now=NOON + timedelta(seconds=90))
    assert make.said(come, "Progressing") == ("True", "NewReplicaSetAvailable")


def test_ready_is_not_available() -> None:
    made = plan_of(web(3, minReadySeconds=40), (rs("new", 3), new_up))  # Ready for 30 seconds
    assert made.status is not None
    assert (made.status["readyReplicas"], made.status["availableReplicas"]) == (3, 0)
    assert made.requeue_after == 10


def test_what_a_set_may_not_make_is_told() -> None:
    trouble = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    stuck = rs("new", 3)
    stuck = ReplicaSet.read(stuck.model_dump(by_alias=True) | {"status": {"conditions": [trouble]}})
    made = plan_of(web(3), (stuck, ()))
    assert make.said(made, "ReplicaFailure") == ("True", "FailedCreate")
    healed = plan_of(web(3, status=made.status), (rs("new", 3), new_up))
    assert make.said(healed, "ReplicaFailure") is None


def test_the_history_has_an_end() -> None:
    old = [(rs(f"old{n}", 0, f"{n}Mi", revision=n), ()) for n in range(1, 6)]
    now = (rs("new", 3, revision=9), new_up)
    assert verbs(plan_of(web(3, annotations={apps.REVISION: "9"}, revisionHistoryLimit=2), now, *old)) == [
        "-old1",
        "-old2",
        "-old3",
    ]
    assert verbs(plan_of(web(3, annotations={apps.REVISION: "9"}, revisionHistoryLimit=10), now, *old)) == []
    kept = (rs("old9", 0, "9Mi", revision=1), guests("old9", 1))
    assert verbs(plan_of(web(3, annotations={apps.REVISION: "9"}, revisionHistoryLimit=0), now, kept)) == []


def test_refused() -> None:
    parent = web(3)
    wanted = plan_of(parent)
    (create,) = wanted.actions
    told = deployment.failed(parent, wanted, Failure(create, Forbidden(403, "Forbidden", "no")), NOON)
    assert make.said(told, "Progressing") == ("False", "ReplicaSetCreateError")
    taken = deployment.failed(parent, wanted, Failure(create, AlreadyExists(409, "AlreadyExists", "no")), NOON)
    assert taken.status == {"collisionCount": 1}


def test_deleted_it_does_nothing() -> None:
    assert plan_of(web(3, dying=True), (rs("new", 1), ())) == Plan()


def test_whom_a_change_concerns() -> None:
    store = Store()
    for each in (web(), rs("new", 1)):
        store.observe(type(each), each.model_dump(by_alias=True))
    assert list(deployment.whose(vmi("a", of="new"), store)) == [(make.NS, "web")]
    assert list(deployment.whose(vmi("a"), store)) == []
    orphan = rs("lost", 1)
    body = orphan.model_dump(by_alias=True)
    body["metadata"]["ownerReferences"] = []
    assert list(deployment.whose(ReplicaSet.read(body), store)) == [(make.NS, "web")]


@pytest.mark.parametrize(
    ("value", "of", "up", "expected"),
    [(2, 10, True, 2), ("25%", 3, True, 1), ("25%", 3, False, 0), (None, 4, False, 1), ("0%", 3, True, 0)],
)
def test_shares(value: Any, of: int, up: bool, expected: int) -> None:
    assert share(value, of, "25%", up=up) == expected


def test_availability_by_the_clock() -> None:
    guest = vmi("a", "Running", True)
    assert members.available_in(guest, 40, NOON) == 10
    assert members.available_in(guest, 20, NOON) == 0
    assert members.available_in(vmi("a", "Running", True, dying=True), 0, NOON) is None
    assert ago(30) == "2026-06-01T11:59:30Z"
