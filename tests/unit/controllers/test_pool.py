"""The pool's planner: which index comes and goes, what it is made of, and how it follows the template."""

from typing import Any

import pytest

from controllers import pool_choice, pool_index, pool_rollout
from controllers.pool import Seen, failed, plan
from hostler.api.kubevirt.pool import FINALIZER, KEPT, REPLACED, REVISION, UPDATED
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.objects import ControllerRevision
from hostler.runtime.errors import Forbidden
from hostler.runtime.plan import Create, Delete, Failure, Patch, Plan
from tests.unit import make
from tests.unit.make import NOON, ago, verbs
from tests.unit.pools import DISK, NEW, OLD, ROOT, disk, guest, member, page, pool, proactive, seen

DESCENDING = {"sortPolicy": "DescendingOrder"}
DISKS: Any = {"vm": {"dataVolumeTemplates": [DISK]}, "guest": {"volumes": [ROOT]}}


def plan_of(parent: Any, found: Seen) -> Plan:
    return plan(parent, found, NOON)


def notes(made: Plan) -> list[tuple[str, str]]:
    return [(each.reason, each.note) for each in made.events]


# how many


@pytest.mark.parametrize(
    ("parent", "found", "expected"),
    [
        pytest.param(pool(2), seen([]), ["+web-0", "+web-1"], id="from nothing"),
        pytest.param(pool(None), seen([]), ["+web-0"], id="one, when nothing is said"),
        pytest.param(pool(3), seen([member(0), member(2)]), ["+web-1"], id="the lowest index that is free"),
        pytest.param(pool(2), seen([member(0)], taken=["web-1"]), ["+web-2"], id="a name that is somebody's"),
        pytest.param(pool(2), seen([member(0), member(1, dying=True)]), ["~web-1 release"], id="one that goes counts"),
        pytest.param(
            pool(1, scaleInStrategy=proactive(**DESCENDING)),
            seen([member(0), member(1), member(2)]),
            ["-web-2", "-web-1"],
            id="the highest first",
        ),
        pytest.param(
            pool(1, scaleInStrategy=proactive(sortPolicy="Oldest")),
            seen([member(0, age=10), member(1, age=20)]),
            ["-web-1"],
            id="the oldest first",
        ),
        pytest.param(
            pool(1, scaleInStrategy=proactive(sortPolicy="Newest")),
            seen([member(0, age=10), member(1, age=20)]),
            ["-web-0"],
            id="the newest first",
        ),
        pytest.param(
            pool(1),
            seen([member(0), member(1)], [guest(0), guest(1, ready=None)]),
            ["-web-1"],
            id="the unready, if any",
        ),
        pytest.param(pool(1, scaleInStrategy={"unmanaged": {}}), seen([member(0), member(1)]), [], id="unmanaged"),
        pytest.param(pool(1, scaleInStrategy={"opportunistic": {}}), seen([member(0), member(1)]), [], id="by others"),
        pytest.param(pool(3, paused=True), seen([member(0)]), [], id="paused"),
        pytest.param(pool(1, paused=True), seen([member(0, dying=True)]), ["~web-0 release"], id="paused holds nobody"),
    ],
)
def test_how_many(parent: Any, found: Seen, expected: list[str]) -> None:
    assert verbs(plan_of(parent, found)) == expected


SELECT: dict[str, tuple[Any, dict[str, Any]]] = {
    "label": ({"labelSelector": {"matchLabels": {"tier": "spare"}}}, {"metadata": {"labels": {"tier": "spare"}}}),
    "node": (
        {"nodeSelectorRequirementMatcher": [{"key": "zone", "operator": "In", "values": ["b"]}]},
        {"spec": {"nodeSelector": {"zone": "b"}}},
    ),
}


@pytest.mark.parametrize("which", SELECT)
def test_only_the_selected_go(which: str) -> None:
    selectors, extra = SELECT[which]
    instance = {"domain": {"devices": {}}} | extra.get("spec", {})
    spare = pool(vm={"template": {"metadata": extra.get("metadata", {}), "spec": instance}})
    parent = pool(0, scaleInStrategy=proactive(selectors=selectors))
    made = plan_of(parent, seen([member(0), member(1, of=spare)]))
    assert [each for each in verbs(made) if each.startswith("-")] == ["-web-1"]


@pytest.mark.parametrize(
    ("operator", "values", "holds"),
    [
        ("In", ["4"], True),
        ("NotIn", ["4"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
        ("Gt", ["3"], True),
        ("Lt", ["3"], False),
        ("Lt", ["10"], True),
        ("Gt", ["x"], False),
        ("Other", [], False),
    ],
)
def test_node_selectors(operator: str, values: list[str], holds: bool) -> None:
    requirement = pool_choice.NodeSelectorRequirement(key="size", operator=operator, values=tuple(values))
    assert pool_choice.holds(requirement, {"size": "4"}) == holds


def test_a_random_choice_stays() -> None:
    parent = pool(2)
    found = seen([member(number) for number in range(6)])
    chosen = verbs(plan_of(parent, found))
    assert len(chosen) == 4
    assert verbs(plan_of(parent, found)) == chosen


def test_its_words() -> None:
    made = plan_of(pool(1), seen([]))
    assert notes(made) == [("SuccessfulCreate", "Created VM shop/web-0")]
    made = plan_of(pool(0), seen([member(0)]))
    assert notes(made) == [("SuccessfulDelete", "Deleted VM shop/web-0 with uid uid-web-0 from pool")]
    made = plan_of(pool(1, paused=True), seen([]))
    assert notes(made) == [("SuccessfulPaused", "Pool is paused")]
    assert make.said(made, "ReplicaPaused") == ("True", "SuccessfulPaused")
    assert notes(plan_of(pool(0, status=made.status), seen([]))) == [("SuccessfulResume", "Pool is unpaused")]


def test_its_status() -> None:
    made = plan_of(pool(3), seen([member(0), member(1)], [guest(0), guest(1, ready=None)]))
    assert made.status is not None
    counts = {key: made.status[key] for key in ("replicas", "readyReplicas", "labelSelector")}
    assert counts == {"replicas": 3, "readyReplicas": 1, "labelSelector": "app=web"}


def test_a_vm_that_is_refused() -> None:
    parent = pool(2)
    made = plan_of(parent, seen([]))
    told = failed(parent, made, Failure(made.actions[0], Forbidden(403, "Forbidden", "exceeded quota")), NOON)
    assert make.said(told, "ReplicaFailure") == ("True", "FailedScaleOut")
    assert told.status is not None
    assert told.status["replicas"] == 0
    ((reason, note),) = notes(told)
    assert (reason, note.startswith("Error creating VM: "), "exceeded quota" in note) == ("FailedCreate", True, True)
    assert make.said(plan_of(pool(0, status=told.status), seen([])), "ReplicaFailure") is None


# who belongs to it


def test_it_guards_itself_first() -> None:
    assert verbs(plan_of(pool(finalizers=[]), seen([]))) == ["~web guard"]


def test_vms_without_owner_are_taken_in_by_name_and_label() -> None:
    stray = [member(0, owned=False, finalizers=[]), member(1, owned=False, labels={"app": "other"})]
    made = plan_of(pool(), seen([], orphans=tuple(stray)))
    (adopt,) = made.actions
    assert isinstance(adopt, Patch)
    assert (str(adopt), adopt.alive is not None) == ("adopt VirtualMachine web-0", True)
    assert adopt.patch["metadata"]["finalizers"] == [FINALIZER]  # type: ignore[call-overload]


def test_a_vm_that_is_relabelled_is_let_go() -> None:
    (release,) = plan_of(pool(1), seen([member(0, labels={"app": "other"})])).actions
    assert isinstance(release, Patch)
    assert release.patch["metadata"]["ownerReferences"] == []  # type: ignore[call-overload]
    assert FINALIZER not in release.patch["metadata"]["finalizers"]  # type: ignore[call-overload]


def test_revisions_of_an_earlier_pool_are_taken_in() -> None:
    assert verbs(plan_of(pool(), Seen(loose_pages=(page(pool()),)))) == ["~web-2 adopt"]


def test_a_pool_that_goes_holds_nobody() -> None:
    known = member(2, owned=False)  # let go already, as --cascade=orphan does
    made = plan_of(pool(dying=True), seen([member(0), member(1, finalizers=[])], orphans=(known,)))
    assert verbs(made) == ["~web-0 release", "~web-2 release"]
    assert verbs(plan_of(pool(dying=True), seen([]))) == ["~web release"]
    assert verbs(plan_of(pool(dying=True, finalizers=["orphan"]), seen([]))) == []


# what a VM is made of


def body_of(parent: Any, number: int = 1) -> Any:
    made = plan_of(parent, seen([], taken=[f"web-{each}" for each in range(number)], pages=[page(parent)]))
    return next(each.body for each in made.actions if isinstance(each, Create) and each.kind is VirtualMachine)


def test_a_vm_of_the_pool() -> None:
    body = body_of(pool(1))
    assert body["metadata"]["labels"] == {"app": "web", REVISION: NEW}
    assert body["spec"]["template"]["metadata"]["labels"] == {REVISION: NEW}
    assert FINALIZER in body["metadata"]["finalizers"]
    assert body["metadata"]["ownerReferences"][0]["apiVersion"] == "pool.kubevirt.io/v1beta1"


VOLUMES = [
    {"name": "root", "dataVolume": {"name": "root"}},
    {"name": "again", "persistentVolumeClaim": {"claimName": "root"}},
    {"name": "shared", "persistentVolumeClaim": {"claimName": "golden"}},
    {"name": "conf", "configMap": {"name": "conf"}},
    {"name": "key", "secret": {"secretName": "key"}},
    {"name": "seed", "cloudInitNoCloud": {"secretRef": {"name": "user"}, "networkDataSecretRef": {"name": "net"}}},
    {"name": "drive", "cloudInitConfigDrive": {"secretRef": {"name": "user"}}},
    {"name": "prep", "sysprep": {"configMap": {"name": "prep"}}},
    {"name": "prep2", "sysprep": {"secret": {"name": "prep"}}},
]


@pytest.mark.parametrize("maps", [True, False])
@pytest.mark.parametrize("secrets", [True, False])
def test_names_get_the_index(maps: bool, secrets: bool) -> None:
    naming = {"appendIndexToConfigMapRefs": maps, "appendIndexToSecretRefs": secrets}
    parent = pool(1, nameGeneration=naming, vm={"dataVolumeTemplates": [DISK]}, guest={"volumes": VOLUMES})
    spec = body_of(parent)["spec"]
    map_suffix, secret_suffix = ("-1" if maps else ""), ("-1" if secrets else "")
    assert [each["metadata"]["name"] for each in spec["dataVolumeTemplates"]] == ["root-1"]
    assert spec["template"]["spec"]["volumes"] == [
        {"name": "root", "dataVolume": {"name": "root-1"}},
        {"name": "again", "persistentVolumeClaim": {"claimName": "root-1"}},
        {"name": "shared", "persistentVolumeClaim": {"claimName": "golden"}},
        {"name": "conf", "configMap": {"name": f"conf{map_suffix}"}},
        {"name": "key", "secret": {"secretName": f"key{secret_suffix}"}},
        {
            "name": "seed",
            "cloudInitNoCloud": {
                "secretRef": {"name": f"user{secret_suffix}"},
                "networkDataSecretRef": {"name": f"net{secret_suffix}"},
            },
        },
        {"name": "drive", "cloudInitConfigDrive": {"secretRef": {"name": f"user{secret_suffix}"}}},
        {"name": "prep", "sysprep": {"configMap": {"name": f"prep{map_suffix}"}}},
        {"name": "prep2", "sysprep": {"secret": {"name": f"prep{secret_suffix}"}}},
    ]
    assert pool_index.content(parent)["virtualMachineTemplate"]["spec"]["template"]["spec"]["volumes"] == VOLUMES


@pytest.mark.parametrize(
    ("name", "index"),
    [("web-0", 0), ("web-12", 12), ("web-01", None), ("web", None), ("other-1", None), ("web-x", None)],
)
def test_an_index_is_in_the_name(name: str, index: int | None) -> None:
    assert pool_index.index(pool(), make.vm(name=name)) == index


# its revisions


def revision(made: Plan) -> Any:
    return next(each for each in made.actions if isinstance(each, Create) and each.kind is ControllerRevision).body


def test_a_revision_is_of_the_generation_that_brought_it() -> None:
    made = plan_of(pool(1, generation=5), Seen())
    body = revision(made)
    assert (body["metadata"]["name"], body["revision"]) == ("web-5", 5)
    assert body["data"]["virtualMachineTemplate"]["spec"]["runStrategy"] == "Always"
    assert str(made.actions[0]).startswith("create ControllerRevision"), "before the VMs that are of it"


def test_scaling_brings_no_revision() -> None:
    made = plan_of(pool(4, generation=9), seen([member(0)]))
    assert {type(each) for each in made.actions} == {Create}
    assert all(each.kind is VirtualMachine for each in made.actions if isinstance(each, Create))


def test_a_name_that_somebody_is_of_is_not_used_again() -> None:
    made = plan_of(pool(1, generation=1), seen([member(0, OLD)], pages=[page(pool(memory="32Mi"), "web-0", 0)]))
    assert revision(made)["metadata"]["name"] == "web-2"


def test_a_rollback_takes_the_old_revision() -> None:
    made = plan_of(pool(1, memory="64Mi"), seen([member(0, OLD)]))
    assert verbs(made) == ["~web-1 number"]


def test_old_revisions_that_nobody_is_of_go() -> None:
    pages = [page(pool(memory=f"{number}Mi"), f"web-{number}", number) for number in range(20, 34)]
    made = plan_of(pool(1), seen([member(0, "web-20")], pages=[*pages, page(pool(), "web-40", 40)]))
    assert not [each for each in made.actions if isinstance(each, Delete) and "web-2" in each.target.metadata.name[:5]]
    rest = plan_of(pool(1), seen([member(0, "web-40")], pages=[*pages, page(pool(), "web-40", 40)]))
    assert verbs(rest) == ["-web-20", "-web-21", "-web-22", "-web-23"]


# how they follow


def patched(made: Plan) -> list[str]:
    return [each.target.metadata.name for each in made.actions if isinstance(each, Patch) and each.why == "update"]


def restarted(made: Plan) -> list[str]:
    return [str(each) for each in made.actions if isinstance(each, Delete) or getattr(each, "why", "") == "restart"]


def behind(number: int, **more: Any) -> Any:
    """A VM that has the new template, and had it just now; its guest is what `guests` say."""
    return member(number, annotations={UPDATED: ago(1)}, **more)


ASCENDING = proactive(sortPolicy="AscendingOrder")


@pytest.mark.parametrize(
    ("most", "found", "given", "deleted"),
    [
        pytest.param(1, seen([member(n, OLD) for n in range(3)]), [0], [], id="the template first"),
        pytest.param(
            1, seen([behind(0), member(1, OLD), member(2, OLD)], [guest(0, OLD), guest(1, OLD), guest(2, OLD)]),
            [], [0], id="then a restart",
        ),
        pytest.param(
            1, seen([behind(0), member(1, OLD), member(2, OLD)], [guest(1, OLD), guest(2, OLD)]), [], [],
            id="which is waited for",
        ),
        pytest.param(
            1, seen([behind(0), member(1, OLD), member(2, OLD)], [guest(0), guest(1, OLD), guest(2, OLD)]), [1], [],
            id="and the next",
        ),
        pytest.param(2, seen([member(n, OLD) for n in range(3)]), [0, 1], [], id="two at a time"),
        pytest.param("67%", seen([member(n, OLD) for n in range(3)]), [0, 1], [], id="67% of 3, rounded down"),
        pytest.param("10%", seen([member(n, OLD) for n in range(3)]), [0], [], id="at least one"),
        pytest.param(None, seen([member(n, OLD) for n in range(3)]), [0, 1, 2], [], id="all, when nothing is said"),
        pytest.param(
            1, seen([member(n, OLD) for n in range(3)], [guest(0, OLD), guest(1, OLD, ready=None), guest(2, OLD)]),
            [1], [], id="who does not work costs nothing",
        ),
        pytest.param(
            1, seen([behind(0), behind(1)], [guest(0, OLD), guest(1, OLD, ready=None)]), [], [1],
            id="nor does a restart of who does not work",
        ),
        pytest.param(
            1, seen([behind(0), behind(1), member(2)], [guest(0, OLD), guest(1, OLD), guest(2)]), [], [0],
            id="no more restarts than there is room",
        ),
        pytest.param(
            1, seen([member(0, OLD), member(1, OLD, dying=True, finalizers=[])], [guest(0, OLD)]), [], [],
            id="one that is gone takes the room",
        ),
        pytest.param(
            1, seen([behind(0), member(1)], [guest(0, OLD, phase="Succeeded"), guest(1)]), [], [],
            id="a guest that has ended needs no restart",
        ),
    ],
)  # fmt: skip
def test_one_step_of_an_update(most: Any, found: Seen, given: list[int], deleted: list[int]) -> None:
    limit = {} if most is None else {"maxUnavailable": most}
    made = plan_of(pool(len(found.owned), updateStrategy=ASCENDING, **limit), found)
    assert patched(made) == [f"web-{number}" for number in given]
    assert restarted(made) == [f"delete VirtualMachineInstance web-{number}" for number in deleted]


def test_what_an_update_writes() -> None:
    old = pool(memory="64Mi", guest={"hostname": "gone", "domain": {"devices": {}, "memory": {"guest": "64Mi"}}})
    fenced = {"hostler.io/owner-epoch": "3"}
    found = seen([member(0, OLD, of=old, annotations=fenced, labels={"mine": "yes"})], pages=[page(old, OLD, 1)])
    made = plan_of(pool(1, generation=2), found)
    (update,) = (each for each in made.actions if isinstance(each, Patch))
    assert isinstance(update.patch, dict)
    assert update.patch["spec"] == {
        "template": {
            "metadata": {"labels": {REVISION: NEW}},
            "spec": {"domain": {"memory": {"guest": "128Mi"}}, "hostname": None},
        }
    }
    assert update.patch["metadata"]["labels"] == {"app": "web", REVISION: NEW}
    assert update.patch["metadata"]["annotations"] == {UPDATED: ago(0)}
    assert ("SuccessfulUpdate", "Updated VM shop/web-0") in notes(made)


def test_a_label_that_left_the_template_leaves_the_vm() -> None:
    old = pool(memory="64Mi")
    body = old.model_dump(by_alias=True, exclude_unset=True)
    body["spec"]["virtualMachineTemplate"]["metadata"]["labels"]["tier"] = "old"
    before = page(type(old).read(body), OLD, 1)
    made = plan_of(pool(1), seen([member(0, OLD, labels={"tier": "old"})], pages=[before, page(pool())]))
    (update,) = (each for each in made.actions if isinstance(each, Patch))
    assert update.patch["metadata"]["labels"]["tier"] is None  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("strategy", "given"),
    [
        ({"unmanaged": {}}, []),
        ({"opportunistic": {}}, [0, 1]),
        ({}, [0]),
        (proactive(sortPolicy="AscendingOrder", selectors={"labelSelector": {"matchLabels": {"no": "body"}}}), []),
        (proactive(sortPolicy="DescendingOrder"), [1]),
    ],
)
def test_strategies(strategy: Any, given: list[int]) -> None:
    made = plan_of(pool(2, updateStrategy=strategy, maxUnavailable=1), seen([member(0, OLD), member(1, OLD)]))
    assert len(patched(made)) == len(given)
    assert not given or strategy == {} or patched(made) == [f"web-{number}" for number in given]
    assert restarted(made) == []


def test_opportunistic_leaves_the_guest() -> None:
    found = seen([behind(0)], [guest(0, OLD)])
    assert verbs(plan_of(pool(1, updateStrategy={"opportunistic": {}}), found)) == []


def test_a_change_that_is_not_the_guests_restarts_nobody() -> None:
    always, once = pool(), pool(vm={"runStrategy": "RerunOnFailure"})
    pages = [page(always, OLD, 1), page(once, NEW, 2)]
    found = seen([behind(0, of=once)], [guest(0, OLD)], pages=pages)
    made = plan_of(pool(1, vm={"runStrategy": "RerunOnFailure"}), found)
    assert verbs(made) == ["~web-0 relabel"]


@pytest.mark.parametrize("strategy", ["Manual", "RerunOnFailure"])
def test_strategies_that_want_to_be_asked_are_asked(strategy: str) -> None:
    """KubeVirt deletes the instance, after which a VM of these strategies stays off."""
    new, old = pool(vm={"runStrategy": strategy}), pool(memory="64Mi", vm={"runStrategy": strategy})
    pages = [page(old, OLD, 1), page(new)]
    made = plan_of(pool(1, vm={"runStrategy": strategy}), seen([behind(0, of=new)], [guest(0, OLD)], pages=pages))
    (ask,) = made.actions
    assert isinstance(ask, Patch)
    assert ask.subresource == "status"
    wish = [{"action": "Stop", "uid": "uid-web-0"}, {"action": "Start"}]
    assert ask.patch == {"status": {"stateChangeRequests": wish}}
    body = behind(0, of=new).model_dump(by_alias=True, exclude_unset=True)
    asked = VirtualMachine.read(body | {"status": {"stateChangeRequests": wish}})
    assert verbs(plan_of(pool(1, vm={"runStrategy": strategy}), seen([asked], [guest(0, OLD)], pages=pages))) == []


def test_a_vm_that_rests_is_not_missing() -> None:
    """Its user has stopped it: it gets the template, and does not hold up the others."""
    new, old = pool(vm={"runStrategy": "Manual"}), pool(memory="64Mi", vm={"runStrategy": "Manual"})
    pages = [page(old, OLD, 1), page(new)]
    vms = [member(0, OLD, of=old, printable="Stopped"), member(1, OLD, of=old)]
    parent = pool(2, vm={"runStrategy": "Manual"}, maxUnavailable=1)
    assert sorted(patched(plan_of(parent, seen(vms, [guest(1, OLD)], pages=pages)))) == ["web-0", "web-1"]


def test_other_disks_make_another_vm() -> None:
    found = seen([member(0, OLD), member(1, OLD)])
    made = plan_of(pool(2, maxUnavailable=1, updateStrategy=ASCENDING, **DISKS), found)
    assert [each for each in verbs(made) if "web-3" not in each and not each.startswith("+")] == [
        "~web-0 replace",
        "-web-0",
    ]


# when it stops


def late(number: int, **more: Any) -> Any:
    return member(number, annotations={UPDATED: ago(700)}, **more)


def stopping(**more: Any) -> Any:
    return pool(3, maxUnavailable=2, updateStrategy=ASCENDING, **more)


ONE_FAILS = ([late(0), member(1, OLD), member(2, OLD)], [guest(0, ready=None), guest(1, OLD), guest(2, OLD)])


def test_an_update_stops_when_the_new_one_does_not_get_ready() -> None:
    """There is room for another one, and still nobody is touched."""
    made = plan_of(stopping(), seen(*ONE_FAILS))
    assert verbs(made) == []
    assert make.said(made, "Progressing") == ("False", "ProgressDeadlineExceeded")
    said = "web-0 not Ready within 600 seconds with revision web-2"
    assert notes(made) == [("UpdateStopped", f"The update has stopped: {said}")]
    assert notes(plan_of(stopping(status=made.status), seen(*ONE_FAILS))) == [], "told once"


def test_it_goes_on_when_it_gets_ready() -> None:
    stopped = plan_of(stopping(), seen(*ONE_FAILS)).status
    made = plan_of(stopping(status=stopped), seen(ONE_FAILS[0], [guest(0), guest(1, OLD), guest(2, OLD)]))
    assert patched(made) == ["web-1", "web-2"]
    assert ("UpdateResumed", "The update goes on") in notes(made)
    assert make.said(made, "Progressing") == ("True", "Updating")


def test_it_goes_on_when_the_template_changes() -> None:
    """Those of the bad one first: they cost nothing."""
    parent = stopping(memory="96Mi", generation=3, status=plan_of(stopping(), seen(*ONE_FAILS)).status)
    made = plan_of(parent, seen(*ONE_FAILS))
    assert patched(made) == ["web-0", "web-1"]
    assert verbs(made)[0] == "+web-3"


def test_it_is_given_time() -> None:
    vms = [behind(0), member(1, OLD), member(2, OLD)]
    made = plan_of(stopping(), seen(vms, ONE_FAILS[1]))
    assert patched(made) == ["web-1"]
    assert make.said(made, "Progressing") == ("True", "Updating")
    assert made.requeue_after == pytest.approx(599)
    short = stopping(annotations={"hostler.io/progress-deadline-seconds": "1"})
    assert make.said(plan_of(short, seen(vms, ONE_FAILS[1])), "Progressing") == ("False", "ProgressDeadlineExceeded")


def test_ready_for_long_enough() -> None:
    long = [{"type": "Ready", "status": "True", "lastTransitionTime": ago(300)}]
    old = guest(1, OLD, ready=None, status_conditions=long)
    found = seen([behind(0), member(1, OLD)], [guest(0), old])  # the first is Ready for 30 s
    patient = pool(2, maxUnavailable=1, annotations={"hostler.io/min-ready-seconds": "40"})
    made = plan_of(patient, found)
    assert patched(made) == []
    assert made.requeue_after == pytest.approx(10)
    assert patched(plan_of(pool(2, maxUnavailable=1), found)) == ["web-1"]


def test_a_pool_that_is_complete_stays_so() -> None:
    made = plan_of(pool(1), seen([late(0)]))
    assert make.said(made, "Progressing") == ("True", "UpdateComplete")
    later = plan_of(pool(1, status=made.status), seen([late(0)], [guest(0, ready=None)]))
    assert make.said(later, "Progressing") == ("True", "UpdateComplete"), "a crash is not an update"
    fresh = plan_of(pool(1), seen([late(0)], [guest(0, ready=None)]))
    assert make.said(fresh, "Progressing") == ("False", "ProgressDeadlineExceeded")


def test_how_far_it_is() -> None:
    def told(parent: Any, found: Seen) -> str:
        made = plan_of(parent, found)
        return str(next(each["message"] for each in (made.status or {})["conditions"] if each["type"] == "Progressing"))

    assert told(pool(2), seen([])) == "0 of 2 virtual machines are Ready with revision web-2", "none is there yet"
    assert told(pool(2), seen([member(0), member(1, OLD)])) == "1 of 2 virtual machines are Ready with revision web-2"
    assert told(pool(0), seen([])) == "revision web-2 is on all virtual machines"
    spare = {"labelSelector": {"matchLabels": {"tier": "spare"}}}
    some = pool(2, updateStrategy=proactive(selectors=spare))
    assert told(some, seen([member(0), member(1, OLD)])) == "revision web-2 is on all virtual machines", (
        "that are meant"
    )


def test_a_paused_pool_says_no_more_of_its_update() -> None:
    assert "observedGeneration" not in (plan_of(pool(1, paused=True), seen([member(0)])).status or {})
    assert (plan_of(pool(1), seen([member(0)])).status or {})["observedGeneration"] == 2


def test_a_restart_that_had_to_wait_gets_its_time_anew() -> None:
    """Its template is old news, but its guest has had no chance yet."""
    found = seen([late(0)], [guest(0, OLD)])
    assert verbs(plan_of(pool(1, maxUnavailable=1), found)) == ["~web-0 restart", "-web-0"]


# who fails


@pytest.mark.parametrize(
    ("healing", "vm", "expected"),
    [
        pytest.param(None, member(0, failures=9), [], id="not asked for"),
        pytest.param({}, member(0, failures=2), [], id="too few"),
        pytest.param({}, member(0, failures=3), ["-web-0"], id="three, when nothing is said"),
        pytest.param({"startUpFailureThreshold": 5}, member(0, failures=4), [], id="as many as are said"),
        pytest.param({}, member(0, printable="ErrorUnschedulable", unready=299), [], id="not for long enough"),
        pytest.param({}, member(0, printable="ErrorUnschedulable", unready=301), ["-web-0"], id="for five minutes"),
        pytest.param({}, member(0, printable="Starting", unready=999), [], id="it may still start"),
        pytest.param(
            {"minFailingToStartDuration": "1m30s"}, member(0, printable="DataVolumeError", unready=91), ["-web-0"],
            id="for as long as is said",
        ),
    ],
)  # fmt: skip
def test_healing(healing: Any, vm: Any, expected: list[str]) -> None:
    more = {} if healing is None else {"autohealing": healing}
    assert verbs(plan_of(pool(1, **more), seen([vm], [guest(0, ready=None)]))) == expected


def test_healing_waits_for_its_time() -> None:
    vm = member(0, printable="ErrImagePull", unready=100)
    assert plan_of(pool(1, autohealing={}), seen([vm], [guest(0, ready=None)])).requeue_after == pytest.approx(200)


def test_healing_does_not_hide_a_bad_update() -> None:
    vms = [behind(0, failures=3), member(1, OLD, failures=3), member(2, OLD)]
    made = plan_of(pool(3, autohealing={}, maxUnavailable=1), seen(vms, [guest(2, OLD)]))
    assert [each for each in verbs(made) if each.startswith("-")] == ["-web-1"]


def test_the_ill_one_is_the_one_too_many() -> None:
    vms = [member(0), member(1), member(2, failures=3)]
    ascending = {"proactive": {"selectionPolicy": {"sortPolicy": "AscendingOrder"}}}
    made = plan_of(pool(2, autohealing={}, scaleInStrategy=ascending), seen(vms, [guest(0), guest(1)]))
    assert [each for each in verbs(made) if each.startswith("-")] == ["-web-2"]


# its disks

OFFLINE = {"proactive": {"statePreservation": "Offline", "selectionPolicy": DESCENDING}}


def kept_pool(replicas: int = 1, strategy: Any = OFFLINE, **more: Any) -> Any:
    return pool(replicas, scaleInStrategy=strategy, **DISKS, **more)


def with_disks(*vms: Any, disks: Any, **more: Any) -> Seen:
    return seen(vms, disks=disks, pages=[page(pool(**DISKS))], **more)


def kept(number: int, **more: Any) -> Any:
    return disk(number, owner=None, annotations={KEPT: "web"}, **more)


MEMBERS = [member(0, of=pool(**DISKS)), member(1, of=pool(**DISKS))]


@pytest.mark.parametrize("state", ["Offline", "Online", "Disabled", None])
def test_disks_stay_when_they_are_to(state: str | None) -> None:
    strategy = {"proactive": {"selectionPolicy": DESCENDING} | ({"statePreservation": state} if state else {})}
    made = plan_of(kept_pool(1, strategy), with_disks(*MEMBERS, disks=[disk(0), disk(1)]))
    keep = state in ("Offline", "Online")
    assert verbs(made) == [*(["~root-1 keep"] if keep else []), "-web-1"], "the disk first"
    if keep:
        patch = made.actions[0]
        assert isinstance(patch, Patch)
        assert patch.patch == {"metadata": {"ownerReferences": [], "annotations": {KEPT: "web"}}}


def test_a_disk_that_cannot_be_filled_is_no_loss() -> None:
    made = plan_of(kept_pool(1), with_disks(*MEMBERS, disks=[disk(1, status={"phase": "Failed"})]))
    assert verbs(made) == ["-web-1"]


@pytest.mark.parametrize(
    ("state", "expected"),
    [("Offline", ["~root-0 keep"]), ("Disabled", ["~web-0 release"])],
)
def test_disks_of_a_vm_that_somebody_deletes(state: str, expected: list[str]) -> None:
    gone = member(0, of=pool(**DISKS), dying=True)
    parent = kept_pool(1, {"opportunistic": {"statePreservation": state}})
    assert verbs(plan_of(parent, with_disks(gone, disks=[disk(0)]))) == expected
    assert verbs(plan_of(parent, with_disks(gone, disks=[kept(0)]))) == ["~web-0 release"], "then the VM may go"


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        pytest.param({}, ["~root-0 keep"], id="a user deleted it, whatever the template says by now"),
        pytest.param({REPLACED: ago(5)}, ["~web-0 release"], id="the update did, for it is to have another disk"),
    ],
)
def test_disks_of_another_template(marks: Any, expected: list[str]) -> None:
    small = {"vm": {"dataVolumeTemplates": [DISK | {"spec": {"blank": {}}}]}, "guest": {"volumes": [ROOT]}}
    gone = member(0, of=pool(**small), dying=True, annotations=marks)
    parent = kept_pool(1, {"opportunistic": {"statePreservation": "Offline"}})
    assert verbs(plan_of(parent, with_disks(gone, disks=[disk(0)]))) == expected


def test_a_vm_that_a_user_deletes_is_made_afresh() -> None:
    gone = member(0, of=pool(**DISKS), dying=True)
    assert verbs(plan_of(kept_pool(1), with_disks(gone, disks=[disk(0)]))) == ["~web-0 release"]


def test_a_kept_disk_is_taken_again() -> None:
    made = plan_of(kept_pool(1), with_disks(disks=[kept(0)]))
    assert verbs(made) == ["+web-0"]
    made = plan_of(kept_pool(1), with_disks(MEMBERS[0], disks=[kept(0)]))
    assert verbs(made) == ["~root-0 take again"]
    patch = made.actions[0]
    assert isinstance(patch, Patch)
    assert isinstance(patch.patch, dict)
    assert patch.patch["metadata"]["annotations"] == {KEPT: None}
    assert patch.patch["metadata"]["ownerReferences"][0]["name"] == "web-0"


def test_a_users_own_disk_stays_a_users() -> None:
    assert verbs(plan_of(kept_pool(1), with_disks(MEMBERS[0], disks=[disk(0, owner=None)]))) == []
    other = disk(0, owner=None, annotations={KEPT: "other"})
    assert verbs(plan_of(kept_pool(1), with_disks(MEMBERS[0], disks=[other]))) == []


def test_an_index_waits_for_its_old_disk_to_go() -> None:
    for going in (disk(0), kept(0, dying=True)):
        made = plan_of(kept_pool(1), with_disks(disks=[going]))
        assert verbs(made) == []
        assert made.requeue_after == pytest.approx(2)


def test_an_index_whose_disk_is_anothers_is_passed_by() -> None:
    made = plan_of(kept_pool(1), with_disks(disks=[disk(0, owner="db-0")], held=["root-0"]))
    assert verbs(made) == ["+web-1"]


@pytest.mark.parametrize(("text", "seconds"), [("5m", 300), ("1h30m", 5400), ("1.5s", 1.5), ("250ms", 0.25)])
def test_durations(text: str, seconds: float) -> None:
    assert pool_choice.seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("have", "want", "change"),
    [
        ({}, {}, {}),
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1, "b": 2}, {"a": 3}, {"a": 3, "b": None}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {"a": {"c": None}}),
        ({"a": {"b": [1]}}, {"a": {"b": [1, 2]}}, {"a": {"b": [1, 2]}}),
        ({"a": {"b": 1}}, {"a": 1}, {"a": 1}),
        ({}, {"a": {}}, {"a": {}}),
    ],
)
def test_difference(have: Any, want: Any, change: Any) -> None:
    assert pool_rollout.difference(have, want) == change
