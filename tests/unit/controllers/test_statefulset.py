"""The stateful set's planner: who comes and goes in which order, and what an ordinal keeps."""

from typing import Any

import pytest

from controllers import members, revisions, statefulset, vmi
from controllers import statefulset_identity as identity
from controllers.settings import ManagerSettings
from controllers.statefulset import Seen, plan
from controllers.statefulset_claims import Disks
from hostler.api import apps
from hostler.api.apps import VirtualMachineStatefulSet as StatefulSet
from hostler.api.cdi import DataVolume
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.objects import ControllerRevision, PersistentVolumeClaim, Pod
from hostler.runtime.errors import AlreadyExists, Forbidden, Terminal
from hostler.runtime.plan import Create, Failure, Patch, Plan
from hostler.runtime.store import Store
from tests.unit import make
from tests.unit.make import NOON, verbs
from tests.unit.world import World, end, survives

CLAIM = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}
CLONE = {"metadata": {"name": "root"}, "spec": {"source": {"pvc": {"namespace": "shop", "name": "golden"}}}}
PARALLEL = {"podManagementPolicy": "Parallel"}


def db(replicas: int = 3, **spec: Any) -> Any:
    return make.workload(StatefulSet, "db", **({"replicas": replicas} | spec))


HASH = revisions.digest(members.template_raw(db().spec.template), 0)
NEW, OLD = f"db-{HASH}", "db-old"


def page(name: str = NEW, number: int = 2, memory: str = "128Mi") -> Any:
    template = members.template_raw(db().spec.template)
    template["spec"]["domain"]["memory"]["guest"] = memory
    labels = {apps.REVISION_HASH: name.rpartition("-")[2]}
    body = {"metadata": make.meta(name, labels=labels), "data": {"spec": {"template": template}}, "revision": number}
    return ControllerRevision.read(body)


PAGES = (page(OLD, 1, "64Mi"), page())


def guest(number: int, phase: str = "Running", ready: bool | None = True, **more: Any) -> Any:
    mark = OLD if more.pop("old", False) else NEW
    labels = {"app": "web", apps.REVISION_HASH: mark}
    return make.vmi(f"db-{number}", phase, ready, of="db", kind="VirtualMachineStatefulSet", labels=labels, **more)


def plan_of(parent: Any, *vmis: Any, disks: Any = None) -> Plan:
    return plan(parent, Seen(vmis, (), PAGES, disks or Disks(), frozenset()), NOON)


def rolling(**spec: Any) -> Any:
    return {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": spec}}


ALL_OLD = [guest(n, old=True) for n in range(3)]


@pytest.mark.parametrize(
    ("parent", "vmis", "expected"),
    [
        pytest.param(db(), [], ["+db-0"], id="the first first"),
        pytest.param(db(), [guest(0, "Pending", None)], [], id="then wait for it"),
        pytest.param(db(), [guest(0)], ["+db-1"], id="then the next"),
        pytest.param(db(), [guest(n) for n in range(3)], [], id="as it should be"),
        pytest.param(db(2, ordinals={"start": 5}), [], ["+db-5"], id="from another number on"),
        pytest.param(db(2, **PARALLEL), [], ["+db-0", "+db-1"], id="parallel"),
        pytest.param(db(), [guest(0, dying=True)], [], id="never two of one number"),
        pytest.param(db(**PARALLEL), [guest(0, dying=True), guest(1), guest(2)], [], id="not in parallel either"),
        pytest.param(db(), [guest(0, "Failed", None, age=900)], ["-db-0"], id="who ended is made again"),
        pytest.param(db(), [guest(0, "Failed", None, age=20, ended=5)], [], id="who ended in haste later"),
        pytest.param(db(1), [guest(n) for n in range(3)], ["-db-2"], id="the last goes first"),
        pytest.param(db(1), [guest(0), guest(1), guest(2, dying=True)], [], id="then wait until it is gone"),
        pytest.param(db(1, **PARALLEL), [guest(n) for n in range(3)], ["-db-2", "-db-1"], id="parallel, too"),
        pytest.param(db(2), [guest(0), guest(2)], ["+db-1"], id="fill before empty"),
        pytest.param(db(1), [guest(0), guest(1), guest(2, ready=False)], ["-db-2"], id="the broken one may go"),
        pytest.param(db(1), [guest(0), guest(1, ready=False), guest(2, ready=False)], [], id="but not two"),
        pytest.param(db(), ALL_OLD, ["-db-2"], id="renewed from the end"),
        pytest.param(db(), [*ALL_OLD[:2], guest(2, ready=False)], [], id="one at a time"),
        pytest.param(db(), [*ALL_OLD[:2], guest(2)], ["-db-1"], id="and on"),
        pytest.param(db(), [guest(0, ready=False, old=True), *ALL_OLD[1:]], ["-db-0"], id="a broken old one at once"),
        pytest.param(db(**rolling(partition=2)), ALL_OLD, ["-db-2"], id="down to the partition"),
        pytest.param(db(**rolling(partition=2)), [*ALL_OLD[:2], guest(2)], [], id="and no further"),
        pytest.param(db(**rolling(maxUnavailable="50%")), ALL_OLD, ["-db-2"], id="half of three, rounded down"),
        pytest.param(db(**rolling(maxUnavailable="70%")), ALL_OLD, ["-db-2", "-db-1"], id="two of three"),
        pytest.param(
            db(minReadySeconds=60, **PARALLEL), ALL_OLD, ["-db-2", "-db-1", "-db-0"], id="not available: all at once"
        ),
        pytest.param(db(minReadySeconds=60), ALL_OLD, [], id="Ready guests of an ordered set are waited for"),
        pytest.param(db(updateStrategy={"type": "OnDelete"}), ALL_OLD, [], id="on delete"),
        pytest.param(db(dying=True), ALL_OLD, [], id="deleted: the rest is not ours"),
        pytest.param(db(1, minReadySeconds=60), [guest(0), guest(1)], [], id="ready is not available"),
    ],
)
def test_plan(parent: Any, vmis: Any, expected: list[str]) -> None:
    assert verbs(plan_of(parent, *vmis)) == expected


def made(plan_: Plan, kind: Any = VMI) -> list[Any]:
    return [each.body for each in plan_.actions if isinstance(each, Create) and each.kind is kind]


def test_below_the_partition_the_old_template_is_kept() -> None:
    parent = db(**rolling(partition=1), status={"currentRevision": OLD})
    (body,) = made(plan_of(parent))
    assert body["metadata"]["labels"][apps.REVISION_HASH] == OLD
    assert body["spec"]["domain"]["memory"]["guest"] == "64Mi"


def test_an_ordinal_is_somebody() -> None:
    interfaces = [{"name": "a", "masquerade": {}}, {"name": "b", "bridge": {}}]
    domain = {"domain": {"devices": {"interfaces": interfaces}, "memory": {"guest": "128Mi"}}}
    parent = db(1, serviceName="dbs", guest=domain, volumeClaimTemplates=[CLAIM], dataVolumeTemplates=[CLONE])
    whole = plan(parent, Seen(), NOON)
    (body,) = made(whole)
    spec, labels = body["spec"], body["metadata"]["labels"]
    assert (spec["hostname"], spec["subdomain"]) == ("db-0", "dbs")
    assert (labels[apps.ORDINAL], labels[apps.MEMBER]) == ("0", "db-0")
    assert spec["volumes"] == [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}},
        {"name": "root", "dataVolume": {"name": "root-db-0"}},
    ]
    first, second = spec["domain"]["devices"]["interfaces"]
    assert first["macAddress"].startswith("02:")
    assert "macAddress" not in second
    (claim,) = made(whole, PersistentVolumeClaim)
    assert claim["metadata"]["labels"] == {"app": "web"}
    assert "ownerReferences" not in claim["metadata"]
    assert [each["metadata"]["name"] for each in made(whole, DataVolume)] == ["root-db-0"]
    again = identity.spec(parent, 0, members.template_raw(parent.spec.template)["spec"])
    other = identity.spec(parent, 1, members.template_raw(parent.spec.template)["spec"])
    assert again["domain"]["firmware"] == spec["domain"]["firmware"] != other["domain"]["firmware"]


def claim(number: int, *owners: Any) -> Any:
    refs = [{"apiVersion": "x/v1", "kind": kind, "name": name, "uid": f"uid-{name}"} for kind, name in owners]
    return PersistentVolumeClaim.read({"metadata": make.meta(f"data-db-{number}", ownerReferences=refs)})


SET, ONE = ("VirtualMachineStatefulSet", "db"), ("VirtualMachineInstance", "db-1")


@pytest.mark.parametrize(
    ("deleted", "scaled", "owners", "wanted"),
    [
        pytest.param("Retain", "Retain", [], None, id="kept"),
        pytest.param("Retain", "Delete", [], ["uid-db-1"], id="goes with the ordinal"),
        pytest.param("Retain", "Delete", [ONE], None, id="said once"),
        pytest.param("Delete", "Retain", [], ["uid-db"], id="goes with the set"),
        pytest.param("Delete", "Delete", [SET], ["uid-db-1"], id="the ordinal goes first"),
        pytest.param("Retain", "Retain", [SET], [], id="kept after all"),
    ],
)
def test_what_becomes_of_the_disk_of_a_number_that_goes(deleted: str, scaled: str, owners: Any, wanted: Any) -> None:
    policy = {"whenDeleted": deleted, "whenScaled": scaled}
    parent = db(1, volumeClaimTemplates=[CLAIM], persistentVolumeClaimRetentionPolicy=policy)
    disks = Disks({"data-db-1": claim(1, *owners)})
    steps = plan_of(parent, guest(0), guest(1), disks=disks)
    patches = [each for each in steps.actions if isinstance(each, Patch)]
    assert verbs(steps)[-1] == "-db-1"
    found = [[ref["uid"] for ref in each.patch["metadata"]["ownerReferences"]] for each in patches]
    assert found == ([] if wanted is None else [wanted])


def test_a_disk_that_goes_is_waited_for() -> None:
    parent = db(2, volumeClaimTemplates=[CLAIM])
    steps = plan_of(parent, guest(0), disks=Disks({"data-db-1": claim(1, ONE)}))
    assert steps.actions == ()
    assert steps.requeue_after == statefulset.DISK_WAIT
    kept = plan_of(parent, guest(0), disks=Disks({"data-db-1": claim(1)}))
    assert verbs(kept) == ["+db-1"], "a disk that was kept is taken as it is"


def test_counts_are_apps_v1s() -> None:
    parent = db(3, status={"currentRevision": OLD})
    found = plan_of(parent, guest(0, old=True), guest(1, old=True, ready=False), guest(2)).status
    assert found is not None
    assert {key: value for key, value in found.items() if key not in ("labelSelector", "collisionCount")} == {
        "observedGeneration": 1,
        "replicas": 3,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "currentReplicas": 2,
        "updatedReplicas": 1,
        "currentRevision": OLD,
        "updateRevision": NEW,
        "printable": {"ready": "2/3"},
    }
    done = plan_of(db(3, status={"currentRevision": OLD}), *(guest(n) for n in range(3))).status
    assert done is not None
    assert (done["currentRevision"], done["currentReplicas"]) == (NEW, 3)
    for seen in ((), (guest(0), guest(1))):
        halfway = plan_of(db(3, status={"currentRevision": OLD}), *seen).status
        assert halfway is not None
        assert halfway["currentRevision"] == OLD, "while guests are missing the update is not over"


def test_disks_come_before_the_guests_that_lack_them_and_after_those_that_do_not() -> None:
    there = Disks({"data-db-1": make.claim("data-db-1")})
    made = plan_of(db(3, volumeClaimTemplates=[CLAIM], **PARALLEL), disks=there)
    assert verbs(made) == ["+db-1", "+data-db-0", "+data-db-2", "+db-0", "+db-2"]


def test_a_disk_that_was_refused_is_made_for_the_guest_that_waits() -> None:
    made = plan_of(db(1, volumeClaimTemplates=[CLAIM]), guest(0, "Pending", None))
    assert verbs(made) == ["+data-db-0"]


@pytest.mark.parametrize(
    "last", [guest(2), guest(2, "Failed", None, age=900), guest(2, dying=True)], ids=["runs", "has ended", "is going"]
)
def test_a_disk_goes_with_a_guest_that_is_too_many_however_it_is(last: Any) -> None:
    policy = {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}
    disks = Disks({f"data-db-{n}": make.claim(f"data-db-{n}") for n in range(3)})
    made = plan_of(db(2, volumeClaimTemplates=[CLAIM], **policy), guest(0), guest(1), last, disks=disks)
    assert verbs(made)[0] == "~data-db-2 retain"


def test_revisions_of_an_earlier_set_are_taken_in_before_anybody_is_made_anew() -> None:
    store = Store()
    marks = {apps.REVISION_OF: "VirtualMachineStatefulSet", "app": "web"}
    for name, labels in ((NEW, marks), ("other-1", marks), ("db-x-1", marks), ("db-x", marks | {"app": "other"})):
        body = page(name).model_dump(mode="json", by_alias=True, exclude_unset=True)
        body["metadata"]["labels"] |= labels
        store.observe(ControllerRevision, body)
    seen = statefulset.look(store, db())
    assert [each.metadata.name for each in seen.loose_pages] == [NEW]
    assert verbs(plan(db(), seen, NOON)) == [f"~{NEW} adopt"]


def test_refused() -> None:
    steps = plan(db(1), Seen(), NOON)
    revision, first = steps.actions
    taken = statefulset.failed(db(1), steps, Failure(revision, AlreadyExists(409, "", "no")), NOON)
    assert taken.status == {"collisionCount": 1}
    told = statefulset.failed(db(1), steps, Failure(first, Forbidden(403, "", "quota")), NOON)
    assert told.status == steps.status, "the others are counted"
    (event,) = told.events
    assert event.note == "create VirtualMachineInstance db-0 in StatefulSet db failed error: quota"
    with pytest.raises(Terminal, match=r"disks\.enabled"):
        plan(db(1, dataVolumeTemplates=[CLONE]), Seen(), NOON, disks=False)


@pytest.mark.parametrize(
    ("orphan", "expected"),
    [
        pytest.param(make.vmi("db-1"), ["~db-1 adopt"], id="of its name"),
        pytest.param(make.vmi("db-1", "Failed", ended=5), ["~db-1 adopt"], id="also one that has ended"),
        pytest.param(make.vmi("db-1", dying=True), [], id="not one that goes"),
        pytest.param(make.vmi("db-1", labels={}), [], id="not selected"),
        pytest.param(make.vmi("other"), [], id="of another name"),
    ],
)
def test_orphans(orphan: Any, expected: list[str]) -> None:
    found = plan(db(1), Seen((guest(0),), (orphan,), PAGES), NOON)
    assert verbs(found) == expected


def test_who_adopts() -> None:
    store = Store()
    store.observe(StatefulSet, db().model_dump(by_alias=True))
    assert list(statefulset.who_might_adopt(make.vmi("db-1"), store)) == [(make.NS, "db")]
    for other in (make.vmi("db-01"), make.vmi("db"), make.vmi("x-1"), make.vmi("db-1", labels={}), guest(1)):
        assert list(statefulset.who_might_adopt(other, store)) == []


SETS = statefulset.controller(ManagerSettings())
VMIS = vmi.controller(ManagerSettings(use_emulation=True))
TEMPLATES = {"volumeClaimTemplates": [CLAIM]}


def at_rest(**spec: Any) -> World:
    world = World((SETS, VMIS))
    world.add(db(2, **(TEMPLATES | spec)))
    world.settle()
    return world


def changed(rounds: int = 0, **spec: Any) -> World:
    """Some rounds after its spec has changed."""
    world = at_rest(**spec.pop("before", {}))
    (found,) = world.all(StatefulSet)
    world.change(found, {"spec": spec})
    for _ in range(rounds):
        world.round()
    return world


def lost(phase: str) -> World:
    """A guest is deleted, or has ended."""
    world = at_rest()
    end(world, world.all(Pod)[0], phase) if phase else world.delete(world.all(VMI)[0])
    return world


def fresh() -> World:
    world = World((SETS, VMIS))
    world.add(db(2, **TEMPLATES))
    return world


NEWER = {"template": {"spec": {"domain": {"memory": {"guest": "64Mi"}}}}}
GOING = {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete", "whenDeleted": "Retain"}}
SCENES = {
    "a new set": fresh,
    "more": lambda: changed(replicas=4),
    "fewer": lambda: changed(replicas=1),
    "fewer, with their disks": lambda: changed(replicas=0, before=GOING),
    "a guest is deleted": lambda: lost(""),
    "a guest crashed": lambda: lost("Failed"),
    **{f"rolled, {n} rounds ago": lambda n=n: changed(n, **NEWER) for n in range(3)},  # type: ignore[misc]
    "parallel, rolled": lambda: changed(1, **NEWER, before=PARALLEL),
}


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_a_crash_at_any_write_changes_nothing_in_the_end(scene: Any) -> None:
    survives(scene)
