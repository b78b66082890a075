"""Plans carried out against the fake API server."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from hostler.api import objects
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime.apply import Applier, changes
from hostler.runtime.errors import AlreadyExists, Conflict, Forbidden, Unavailable
from hostler.runtime.events import COALESCE, Recorder
from hostler.runtime.pace import TokenBucket
from hostler.runtime.plan import Controller, Create, Delete, Event, Failure, Patch, Plan, owner_reference
from hostler.runtime.protocol import Raw
from hostler.runtime.store import Store
from tests.unit.hostler.runtime.fake_kube import FakeKube
from tests.unit.hostler.runtime.kube_contract import ConfigMap
from tests.unit.make import NOON, NS, vmi


def told(_parent: Any, _plan: Plan, failure: Failure, _now: Any) -> Plan:
    return Plan(status={"reason": failure.error.reason}, events=(Event("Failed", str(failure.error), "Warning"),))


CONTROLLER: Any = Controller(
    name="test",
    parent=VirtualMachineInstance,
    children=(ConfigMap,),
    look=lambda *_: None,
    plan=lambda *_: Plan(),
    failed=told,
    subresource=None,
)


class Bench:
    """A fake API server with one VMI, and an Applier."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.store = Store()
        self.recorder = Recorder(self.kube, "test", "test-0")
        self.courtesy = TokenBucket(0, 1)
        self.applier = Applier(self.kube, self.store, self.recorder, self.courtesy)

    async def start(self) -> "Bench":
        body = vmi().model_dump(mode="json", by_alias=True, exclude_unset=True)
        body["metadata"].pop("resourceVersion")
        self.store.observe(VirtualMachineInstance, await self.kube.create(VirtualMachineInstance, NS, body))
        self.kube.calls.clear()
        return self

    @property
    def parent(self) -> VirtualMachineInstance:
        (found,) = self.store.all(VirtualMachineInstance)
        return found

    async def apply(self, *actions: Any, **plan: Any) -> Any:
        return await self.applier.apply(CONTROLLER, self.parent, Plan(tuple(actions), **plan), NOON)

    def child(self, name: str, owned: bool = True) -> Raw:
        owners = [owner_reference(self.parent)] if owned else []
        return {"metadata": {"name": name, "namespace": NS, "ownerReferences": owners}}

    def known(self) -> list[str]:
        return sorted(each.metadata.name for each in self.store.all(ConfigMap))


@pytest.fixture
async def bench() -> Bench:
    return await Bench().start()


async def test_what_is_created_is_known_at_once(bench: Bench) -> None:
    outcome = await bench.apply(*(Create(ConfigMap, bench.child(f"c{n}")) for n in range(5)))
    assert outcome.failures == ()
    assert bench.known() == bench.kube.names(ConfigMap) == ["c0", "c1", "c2", "c3", "c4"]
    assert len(bench.store.owned(ConfigMap, bench.parent.metadata.uid)) == 5


async def test_a_name_that_we_took_before_is_success(bench: Bench) -> None:
    await bench.kube.create(ConfigMap, NS, bench.child("a"))
    outcome = await bench.apply(Create(ConfigMap, bench.child("a")))
    assert outcome.failures == ()
    assert bench.known() == ["a"]


async def test_a_name_that_a_stranger_took_is_not(bench: Bench) -> None:
    await bench.kube.create(ConfigMap, NS, bench.child("a", owned=False))
    outcome = await bench.apply(Create(ConfigMap, bench.child("a")))
    assert [type(each.error) for each in outcome.failures] == [AlreadyExists]


async def test_creates_start_slowly_and_stop_at_a_refusal(bench: Bench) -> None:
    def quota(verb: str, _kind: Any, _name: str) -> None:
        if verb == "POST" and len(bench.kube.names(ConfigMap)) >= 4:
            raise Forbidden(403, "Forbidden", "exceeded quota")

    bench.kube.refuse = quota
    outcome = await bench.apply(*(Create(ConfigMap, bench.child(f"c{n:03}")) for n in range(250)))
    asked = bench.kube.writes("POST")
    assert [name for _, _, name in asked] == [f"c{n:03}" for n in range(1 + 2 + 4)]
    assert len(outcome.failures) == 3
    assert bench.parent.status.reason == "Forbidden"  # type: ignore[union-attr]


@pytest.mark.parametrize(("alone", "labelled"), [(True, ["c1", "c2", "c3"]), (False, [])])
async def test_what_stands_alone_does_not_keep_the_others(bench: Bench, alone: bool, labelled: list[str]) -> None:
    await bench.apply(*(Create(ConfigMap, bench.child(f"c{n}")) for n in range(4)))

    def policy(verb: str, _kind: Any, name: str) -> None:
        if verb == "PATCH" and name == "c0":
            raise Forbidden(403, "Forbidden", "a policy says no")

    bench.kube.refuse = policy
    maps = sorted(bench.store.all(ConfigMap), key=lambda each: each.metadata.name)
    patches = [Patch(each, {"metadata": {"labels": {"a": "b"}}}, "label", alone=alone) for each in maps]
    if alone:
        assert [each.action for each in (await bench.apply(*patches)).failures] == [patches[0]]
    else:
        with pytest.raises(Forbidden):
            await bench.apply(*patches)
    assert [each.metadata.name for each in bench.store.all(ConfigMap) if each.metadata.labels] == labelled


@pytest.mark.parametrize(("alone", "made"), [(True, ["c1", "c2", "c3"]), (False, [])])
async def test_a_create_that_stands_alone_does_not_keep_the_others(bench: Bench, alone: bool, made: list[str]) -> None:
    def policy(verb: str, _kind: Any, name: str) -> None:
        if verb == "POST" and name == "c0":
            raise Forbidden(403, "Forbidden", "a policy says no")

    bench.kube.refuse = policy
    creates = [Create(ConfigMap, bench.child(f"c{n}"), alone=alone) for n in range(4)]
    outcome = await bench.apply(*creates, requeue_after=5.0)
    assert [each.action for each in outcome.failures] == [creates[0]]
    assert bench.known() == made
    assert bench.parent.status.reason == "Forbidden"  # type: ignore[union-attr]


async def test_a_refused_delete_is_told(bench: Bench) -> None:
    """By its parent's events: no condition of any controller tells of it."""
    await bench.apply(Create(ConfigMap, bench.child("c")))

    def policy(verb: str, *_: Any) -> None:
        if verb == "DELETE":
            raise Forbidden(403, "Forbidden", "a policy says no")

    bench.kube.refuse = policy
    (found,) = bench.store.all(ConfigMap)
    with pytest.raises(Forbidden):
        await bench.apply(Delete(found))
    await asyncio.sleep(COALESCE)
    await bench.recorder.flush()
    (name,) = bench.kube.names(objects.Event)
    told = await bench.kube.get(objects.Event, NS, name)
    assert (told["reason"], told["note"]) == ("FailedDelete", "delete ConfigMap c failed error: a policy says no")


async def test_disks_are_there_before_their_guests(bench: Bench) -> None:
    def refuse(verb: str, _kind: Any, name: str) -> None:
        if verb == "POST" and name == "b":
            raise Forbidden(403, "Forbidden", "exceeded quota")

    bench.kube.refuse = refuse
    other = {"metadata": {"name": "guest", "namespace": NS}}
    await bench.apply(
        Create(ConfigMap, bench.child("a")), Create(ConfigMap, bench.child("b")), Create(objects.Pod, other)
    )
    assert [name for _, _, name in bench.kube.writes("POST")] == ["a", "b"]


async def test_no_answer_is_no_refusal(bench: Bench) -> None:
    def down(verb: str, *_: Any) -> None:
        if verb == "POST":
            raise Unavailable(0, "NoAnswer", "connection refused")

    bench.kube.refuse = down
    with pytest.raises(Unavailable):
        await bench.apply(Create(ConfigMap, bench.child("a")), status={"reason": "All"})
    assert bench.parent.status.reason is None  # type: ignore[union-attr]


async def test_actions_come_before_the_status(bench: Bench) -> None:
    await bench.apply(Create(ConfigMap, bench.child("a")), status={"nodeName": "n1"})
    assert [verb for verb, _, _ in bench.kube.writes()] == ["POST", "PATCH"]


async def test_delete(bench: Bench) -> None:
    await bench.apply(Create(ConfigMap, bench.child("a")))
    (child,) = bench.store.all(ConfigMap)
    await bench.apply(Delete(child))
    assert bench.kube.names(ConfigMap) == []


async def test_one_that_ends_slowly_is_known_to_be_ending(bench: Bench) -> None:
    held = bench.child("a")
    held["metadata"]["finalizers"] = ["x"]
    await bench.apply(Create(ConfigMap, held))
    (child,) = bench.store.all(ConfigMap)
    await bench.apply(Delete(child))
    (child,) = bench.store.all(ConfigMap)
    assert child.metadata.deletion_timestamp


async def test_delete_means_this_one_and_no_other(bench: Bench) -> None:
    await bench.apply(Create(ConfigMap, bench.child("a")))
    (old,) = bench.store.all(ConfigMap)
    await bench.kube.delete(ConfigMap, NS, "a")
    await bench.kube.create(ConfigMap, NS, bench.child("a"))
    await bench.apply(Delete(old))
    assert bench.kube.names(ConfigMap) == ["a"]
    assert bench.known() == []


async def test_gone_already_is_as_good(bench: Bench) -> None:
    await bench.apply(Create(ConfigMap, bench.child("a")))
    (child,) = bench.store.all(ConfigMap)
    await bench.kube.delete(ConfigMap, NS, "a")
    await bench.apply(Delete(child))
    assert bench.known() == []


async def test_status_is_written_once_and_only_what_differs(bench: Bench) -> None:
    status = {"phase": "Running", "nodeName": "n1"}
    await bench.apply(status=status)
    await bench.apply(status=status)
    await bench.apply(status=status | {"nodeName": "n2"})
    assert len(bench.kube.writes()) == 2
    assert bench.parent.status.node_name == "n2"  # type: ignore[union-attr]


async def test_a_status_from_an_old_picture_is_refused(bench: Bench) -> None:
    await bench.kube.patch(VirtualMachineInstance, NS, "web", {"status": {"phase": "Running"}})
    with pytest.raises(Conflict):
        await bench.apply(status={"phase": "Scheduling"})


@pytest.mark.parametrize(
    ("phase", "written"), [("Running", "Running"), ("Succeeded", "Pending"), ("Failed", "Pending")]
)
async def test_a_last_word_is_not_said_of_a_successor(bench: Bench, phase: str, written: str) -> None:
    old, status = bench.parent, replace(CONTROLLER, subresource="status")
    body = vmi().model_dump(mode="json", by_alias=True, exclude_unset=True)
    body["metadata"] = {"name": "web", "namespace": NS}
    await bench.kube.vanish(VirtualMachineInstance, NS, "web")
    await bench.kube.create(VirtualMachineInstance, NS, body)
    with suppress(Conflict):
        await bench.applier.apply(status, old, Plan(status={"phase": phase}), NOON)
    assert (await bench.kube.get(VirtualMachineInstance, NS, "web"))["status"]["phase"] == written


async def test_a_patch_from_an_old_picture_is_refused(bench: Bench) -> None:
    old = bench.parent
    await bench.kube.patch(VirtualMachineInstance, NS, "web", {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(Conflict):
        await bench.apply(Patch(old, {"metadata": {"finalizers": []}}, "release"))


async def test_adoption_by_one_who_is_ending_is_refused(bench: Bench) -> None:
    await bench.apply(Create(ConfigMap, bench.child("orphan", owned=False)))
    (orphan,) = bench.store.all(ConfigMap)
    parent = bench.parent
    await bench.kube.delete(VirtualMachineInstance, NS, "web")
    with pytest.raises(Conflict, match="web is being deleted"):
        await bench.apply(Patch(orphan, {"metadata": {"labels": {"mine": "yes"}}}, "adopt", alive=parent))
    assert "PATCH" not in [verb for verb, _, _ in bench.kube.calls]


async def test_a_courtesy_waits_while_there_is_much_to_do(bench: Bench) -> None:
    first = await bench.apply(status={"phase": "Scheduling"}, courtesy=True)
    second = await bench.apply(status={"phase": "Scheduled"}, courtesy=True)
    third = await bench.apply(status={"phase": "Running"})
    assert [first.postponed, second.postponed, third.postponed] == [False, True, False]
    assert len(bench.kube.writes()) == 2


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"phase": "Pending"}, {}, id="the same"),
        pytest.param({"phase": "Running"}, {"phase": "Running"}, id="other"),
        pytest.param({"reason": "New"}, {"reason": "New"}, id="more"),
        pytest.param({"reason": None}, {}, id="nothing to take away"),
        pytest.param({"phase": None}, {"phase": None}, id="take away"),
        pytest.param({"conditions": []}, {}, id="an empty list"),
    ],
)
def test_changes(wanted: Raw, expected: Raw) -> None:
    assert changes(vmi().status, wanted) == expected


def test_changes_to_nothing() -> None:
    assert changes(None, {"phase": "Pending"}) == {"phase": "Pending"}


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level("WARNING"):
        yield


@pytest.mark.parametrize("does", [True, False])
async def test_what_was_done_is_told_even_if_the_status_is_refused(bench: Bench, does: bool) -> None:
    def stale(verb: str, kind: Any, _name: str) -> None:
        if verb == "PATCH" and kind is VirtualMachineInstance:
            raise Conflict(409, "Conflict", "it was changed meanwhile")

    bench.kube.refuse = stale
    actions = [Create(ConfigMap, bench.child("a"))] if does else []
    with pytest.raises(Conflict):
        await bench.apply(*actions, status={"reason": "x"}, events=(Event("SuccessfulCreate", "Created a"),))
    await asyncio.sleep(COALESCE)
    await bench.recorder.flush()
    assert len(bench.kube.names(objects.Event)) == (1 if does else 0)
