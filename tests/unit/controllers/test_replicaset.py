"""The replica set's planner: a table of (set, VMIs seen) -> what is done."""

from typing import Any

import pytest

from controllers import replicaset
from controllers.replicaset import BURST, HOLD, Seen, free_names, plan
from hostler.api import launcher
from hostler.runtime.errors import Forbidden
from hostler.runtime.plan import Create, Failure, Patch, Plan
from hostler.runtime.store import Store
from tests.unit import make
from tests.unit.make import NOON, ago, replica_set, verbs, vmi

COST = "controller.kubernetes.io/pod-deletion-cost"
NAMES = ["webp8xvs", "webvvnhb", "webkp8ss", "webz974d"]  # what the slots of uid-web are called, in order


def member(name: str, phase: str = "Running", ready: bool | None = True, **more: Any) -> Any:
    return vmi(name, phase, ready, of="web", **more)


def plan_of(rs: Any, *vmis: Any) -> Plan:
    owned = tuple(each for each in vmis if each.metadata.controller)
    orphans = tuple(each for each in vmis if not each.metadata.controller)
    return plan(rs, Seen(owned, orphans, {each.metadata.name for each in vmis}), NOON)


@pytest.mark.parametrize(
    ("rs", "seen", "expected"),
    [
        pytest.param(replica_set(2), [], ["+webp8xvs", "+webvvnhb"], id="from nothing"),
        pytest.param(replica_set(None), [], ["+webp8xvs"], id="one, if nothing is said"),
        pytest.param(replica_set(0), [], [], id="none"),
        pytest.param(replica_set(1), [member("a")], [], id="as it should be"),
        pytest.param(replica_set(2), [member("webp8xvs")], ["+webvvnhb"], id="a name that is taken is not asked for"),
        pytest.param(replica_set(1), [member("webp8xvs", dying=True)], ["+webvvnhb"], id="the dying are gone"),
        pytest.param(replica_set(1), [member("a"), member("b", ready=False)], ["-b"], id="the unready goes first"),
        pytest.param(
            replica_set(1), [member("a", ready=False), member("b", "Pending", None)], ["-b"], id="then what is not up"
        ),
        pytest.param(replica_set(1), [member("a", age=99), member("b", age=9)], ["-b"], id="then the youngest"),
        pytest.param(
            replica_set(1), [member("a", age=99, annotations={COST: "-5"}), member("b", age=9)], ["-a"], id="the cheap"
        ),
        pytest.param(
            replica_set(1), [member("a", age=99, annotations={COST: "+05"}), member("b", age=9)], ["-b"], id="no number"
        ),
        pytest.param(
            replica_set(2), [member("a", node="n1"), member("b", node="n1"), member("c", node="n2", age=0)], ["-a"],
            id="of a crowded node",
        ),
        pytest.param(
            replica_set(1), [member("a", "Failed", age=900, ended=20)], ["-a", "+webp8xvs"], id="the failed is replaced"
        ),
        pytest.param(
            replica_set(1), [member("a", "Succeeded", age=900)], ["-a", "+webp8xvs"], id="the ended is replaced"
        ),
        pytest.param(replica_set(1), [member("a", "Failed", age=20, ended=5)], [], id="a hasty one must wait"),
        pytest.param(
            replica_set(1), [member("a", "Failed", age=30, ended=15)], ["-a", "+webp8xvs"], id="but not for long"
        ),
        pytest.param(replica_set(0), [member("a", "Failed", age=900)], ["-a"], id="the failed goes anyway"),
        pytest.param(replica_set(1), [vmi("a")], ["~a adopt"], id="an orphan is adopted, and counts"),
        pytest.param(replica_set(0), [vmi("a")], ["~a adopt", "-a"], id="and is one too many"),
        pytest.param(replica_set(0), [vmi("a", labels={"app": "x"})], [], id="another's orphan is not"),
        pytest.param(replica_set(0), [vmi("a", dying=True)], [], id="nor a dying one"),
        pytest.param(replica_set(0), [vmi("a", "Failed")], [], id="nor one that has ended"),
        pytest.param(
            replica_set(1), [member("a", labels={"app": "x"})], ["~a release", "+webp8xvs"], id="a misfit is let go"
        ),
        pytest.param(replica_set(3, paused=True), [member("a")], [], id="paused: nothing is created"),
        pytest.param(replica_set(0, paused=True), [member("a")], [], id="paused: nothing is deleted"),
        pytest.param(replica_set(3, dying=True), [member("a"), vmi("b")], [], id="deleted: the rest is not ours"),
        pytest.param(replica_set(1, template={"name": "db"}), [], ["+dbp8xvs"], id="the template's name"),
        pytest.param(replica_set(1, template={"generateName": "db-"}), [], ["+db-p8xvs"], id="the template's prefix"),
    ],
)  # fmt: skip
def test_plan(rs: Any, seen: list[Any], expected: list[str]) -> None:
    assert verbs(plan_of(rs, *seen)) == expected


def test_names_are_the_sets_own() -> None:
    one, two = free_names(replica_set(), set()), free_names(replica_set(uid="other"), set())
    first, second = [next(one) for _ in range(1000)], [next(two) for _ in range(1000)]
    assert first[:4] == NAMES
    assert not set(first) & set(second)
    assert [next(free_names(replica_set(), set(NAMES[:3])))] == NAMES[3:]


def test_a_member_is_born_complete() -> None:
    (create,) = plan_of(replica_set(1, template={"annotations": {"note": "x"}})).actions
    assert isinstance(create, Create)
    meta = create.body["metadata"]
    assert meta["labels"] == {"app": "web"}
    assert meta["annotations"] == {"note": "x"}
    assert meta["finalizers"] == [launcher.VMI_FINALIZER]
    (owner,) = meta["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("VirtualMachineInstanceReplicaSet", "uid-web")
    assert owner["controller"]
    assert owner["blockOwnerDeletion"]
    assert create.body["spec"] == {"domain": {"devices": {}, "memory": {"guest": "128Mi"}}}
    assert create.body["status"]["phase"] == "Pending"


def test_a_visit_creates_no_more_than_a_burst_and_comes_back_at_once() -> None:
    first = plan_of(replica_set(1000))
    assert len(first.actions) == BURST
    assert first.requeue_after == 0
    assert plan_of(replica_set(3)).requeue_after is None


def test_a_visit_deletes_no_more_than_a_burst() -> None:
    first = plan_of(replica_set(0), *(member(f"a{n}") for n in range(BURST + 10)))
    assert len(first.actions) == BURST
    assert first.requeue_after == 0


def test_an_empty_place_is_filled_later() -> None:
    assert plan_of(replica_set(1), member("a", "Failed", age=20, ended=5)).requeue_after == HOLD


def test_adoption_asks_whether_the_set_still_lives() -> None:
    rs = replica_set(1)
    (adopt,) = plan_of(rs, vmi("a")).actions
    assert isinstance(adopt, Patch)
    assert adopt.alive is rs
    assert [ref["uid"] for ref in adopt.patch["metadata"]["ownerReferences"]] == ["uid-web"]


def test_release_leaves_other_owners() -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "uid-x"}
    owners = [other, *make.owner("web", "VirtualMachineInstanceReplicaSet")]
    (release, _) = plan_of(replica_set(1), vmi("a", labels={}, ownerReferences=owners)).actions
    assert isinstance(release, Patch)
    assert release.patch["metadata"]["ownerReferences"] == [other]


def test_status_tells_what_will_be() -> None:
    seen = [member("a"), member("b", ready=False), member("c", dying=True), member("d", "Failed", age=900)]
    assert plan_of(replica_set(4), *seen).status == {
        "replicas": 4,
        "readyReplicas": 1,
        "labelSelector": "app=web",
        "conditions": [],
    }


def test_paused_is_told_once() -> None:
    first = plan_of(replica_set(1, paused=True))
    assert first.status is not None
    (condition,) = first.status["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("ReplicaPaused", "True", "Paused")
    assert [event.reason for event in first.events] == ["SuccessfulPaused"]
    assert plan_of(replica_set(1, paused=True, status=first.status)).events == ()
    resumed = plan_of(replica_set(0, status=first.status))
    assert resumed.status is not None
    assert resumed.status["conditions"] == []
    assert [event.reason for event in resumed.events] == ["SuccessfulResumed"]


def test_events_are_kubevirts() -> None:
    (made,) = plan_of(replica_set(1)).events
    assert made.reason == "SuccessfulCreate"
    assert made.note == "Started the virtual machine by creating the new virtual machine instance webp8xvs"
    (gone,) = plan_of(replica_set(0), member("a")).events
    assert gone.note == "Stopped the virtual machine by deleting the virtual machine instance a"


def test_a_refused_member_is_a_condition() -> None:
    rs = replica_set(3)
    wanted = plan_of(rs, member("a"))
    error = Forbidden(403, "Forbidden", "exceeded quota: q")
    told = replicaset.failed(rs, wanted, Failure(wanted.actions[0], error), NOON)
    assert told.status is not None
    assert told.status["replicas"] == 1
    (condition,) = told.status["conditions"]
    assert (condition["type"], condition["reason"], condition["message"]) == (
        "ReplicaFailure",
        "FailedCreate",
        "exceeded quota: q",
    )
    (event,) = told.events
    assert (event.type, event.note) == ("Warning", "Error creating virtual machine instance: exceeded quota: q")
    healed = plan_of(replica_set(1, status=told.status), member("a"))
    assert healed.status is not None
    assert healed.status["conditions"] == []


def test_an_orphan_concerns_the_sets_that_select_it() -> None:
    store = Store()
    for rs in (replica_set(1, "web"), replica_set(1, "too")):
        store.observe(type(rs), rs.model_dump(by_alias=True))
    assert sorted(replicaset.who_might_adopt(vmi("a"), store)) == [(make.NS, "too"), (make.NS, "web")]
    assert list(replicaset.who_might_adopt(vmi("a", labels={"app": "x"}), store)) == []
    assert list(replicaset.who_might_adopt(member("a"), store)) == []


def test_look_finds_members_orphans_and_names() -> None:
    store = Store()
    for each in (member("a"), vmi("b"), vmi("c", of="other")):
        store.observe(type(each), each.model_dump(by_alias=True))
    seen = replicaset.look(store, replica_set())
    assert [each.metadata.name for each in seen.owned] == ["a"]
    assert [each.metadata.name for each in seen.orphans] == ["b"]
    assert set(seen.taken) == {"a", "b", "c"}


def test_ages_are_read_from_the_api_servers_times() -> None:
    assert replicaset.born(vmi(age=60)) == NOON.timestamp() - 60
    assert ago(0) == "2026-06-01T12:00:00Z"
