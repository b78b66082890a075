"""Changes become visits, visits become writes, errors become pauses."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import Resource
from hostler.api.objects import PersistentVolumeClaim, Pod
from hostler.runtime import loop as loops
from hostler.runtime import queue as queues
from hostler.runtime.apply import Applier
from hostler.runtime.errors import Conflict, Forbidden, Retry, Terminal
from hostler.runtime.events import Recorder
from hostler.runtime.loop import Loop
from hostler.runtime.plan import Controller, Create, Failure, Plan
from hostler.runtime.store import Key, Store
from tests.unit.hostler.runtime.fake_kube import FakeKube, refusing
from tests.unit.make import NS, claim, pod, vmi


class Fixture:
    """A controller whose plan the test gives, and what it was asked."""

    def __init__(self) -> None:
        self.visits: list[str] = []
        self.failures: list[Failure] = []
        self.after_failure: float | None = None
        self.decide: Callable[[], Plan] = Plan
        self.concerned: tuple[Key, ...] = ()
        self.kube = FakeKube()
        self.store = Store()
        self.controller: Controller[Any, Any] = Controller(
            name="test",
            parent=VirtualMachineInstance,
            children=(Pod,),
            look=lambda *_: None,
            plan=self._plan,
            failed=self._failed,
            concerns=self._concerns,
            others=(PersistentVolumeClaim,),
            subresource=None,
        )

    def _plan(self, parent: Any, _seen: None, _now: Any) -> Plan:
        self.visits.append(parent.metadata.name)
        return self.decide()

    def _failed(self, _parent: Any, _plan: Plan, failure: Failure, _now: Any) -> Plan:
        self.failures.append(failure)
        return Plan(requeue_after=self.after_failure)

    def _concerns(self, changed: Resource, _store: Store) -> Iterable[Key]:
        return self.concerned if isinstance(changed, PersistentVolumeClaim) else ()

    def see(self, obj: Resource) -> None:
        self.store.observe(type(obj), obj.model_dump(mode="json", by_alias=True))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Loop]:
        loop = Loop(self.controller, self.store, Applier(self.kube, self.store, Recorder(self.kube, "t", "t-0")))
        task = asyncio.create_task(loop.run())
        try:
            yield loop
        finally:
            assert not task.done(), "the loop must not die"
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def visited(self, count: int, seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while len(self.visits) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Fixture:
    monkeypatch.setattr(queues, "FIRST", 0.02)
    return Fixture()


async def test_a_change_of_a_parent_is_a_visit(bench: Fixture) -> None:
    async with bench.running():
        bench.see(vmi("a"))
        await bench.visited(1)
    assert bench.visits == ["a"]


async def test_a_change_of_a_child_is_a_visit_to_its_owner(bench: Fixture) -> None:
    async with bench.running():
        bench.see(vmi("a"))
        bench.see(vmi("b"))
        await bench.visited(2)
        bench.see(pod("b"))
        bench.see(pod("nobody"))
        await bench.visited(3)
        bench.store.remove(Pod, (NS, "virt-launcher-b"), "uid-virt-launcher-b")
        await bench.visited(4)
    assert bench.visits[2:] == ["b", "b"]


async def test_a_child_of_another_kind_of_owner_is_none_of_ours(bench: Fixture) -> None:
    async with bench.running():
        bench.see(vmi("a"))
        await bench.visited(1)
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "x", "controller": True}
        bench.see(pod("a", ownerReferences=[owner]))
        await asyncio.sleep(0.05)
    assert bench.visits == ["a"]


async def test_other_kinds_concern_whom_the_controller_says(bench: Fixture) -> None:
    bench.concerned = ((NS, "a"),)
    async with bench.running():
        bench.see(vmi("a"))
        await bench.visited(1)
        bench.see(claim())
        await bench.visited(2)


async def test_a_plan_that_takes_long_is_made_less_often(bench: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a pace, what a plan has cost is told to the queue."""
    bench.controller = replace(bench.controller, pace=0.001)

    def slow() -> Plan:
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
        return Plan()

    bench.decide = slow
    told: list[float] = []
    monkeypatch.setattr(queues.WorkQueue, "done", lambda _queue, _key, cost: told.append(cost))
    async with bench.running():
        bench.see(vmi("a"))
        await bench.visited(1)
        await asyncio.sleep(0)
    assert [round(cost, 2) for cost in told] == [pytest.approx(0.02, abs=0.01)]


async def test_a_parent_that_is_gone_is_not_visited(bench: Fixture) -> None:
    async with bench.running() as loop:
        loop.queue.add((NS, "nobody"))
        await asyncio.sleep(0.05)
    assert bench.visits == []


async def test_the_plan_says_when_to_come_back(bench: Fixture) -> None:
    bench.decide = lambda: Plan(requeue_after=0.05)
    async with bench.running():
        bench.see(vmi("a"))
        await bench.visited(3)


async def test_a_bug_stops_only_its_own_object(bench: Fixture, caplog: pytest.LogCaptureFixture) -> None:
    def buggy() -> Plan:
        if bench.visits[-1] == "bad":
            raise ZeroDivisionError("a bug")
        return Plan()

    bench.decide = buggy
    async with bench.running():
        bench.see(vmi("bad"))
        bench.see(vmi("good"))
        await bench.visited(4)
    assert bench.visits.count("good") == 1
    assert bench.visits.count("bad") >= 3
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(Retry(0.02, "target is Pending"), id="the world must change"),
        pytest.param(Conflict(409, "Conflict", "modified"), id="it changed under us"),
    ],
)
async def test_tried_again(bench: Fixture, error: Exception) -> None:
    def failing() -> Plan:
        if len(bench.visits) < 3:
            raise error
        return Plan()

    bench.decide = failing
    async with bench.running():
        bench.see(vmi("a"))
        await bench.visited(3)


async def test_what_only_the_user_can_change_is_told_and_not_tried_again(bench: Fixture) -> None:
    def refuse() -> Plan:
        raise Terminal("DiskBusUnknown", "disk root: bus 'ide'")

    bench.decide = refuse
    async with bench.running():
        bench.see(vmi("a"))
        await bench.visited(1)
        await asyncio.sleep(0.1)
        assert bench.visits == ["a"]
    (failure,) = bench.failures
    assert failure.action is None
    assert str(failure.error) == "disk root: bus 'ide'"


async def test_a_refused_create_is_tried_later_and_later(bench: Fixture) -> None:
    bench.kube.refuse = refusing(Forbidden(403, "Forbidden", "exceeded quota"), "POST")
    bench.decide = lambda: Plan((Create(Pod, {"metadata": {"name": "p", "namespace": NS}}),))
    async with bench.running():
        bench.see(vmi("a"))
        await bench.visited(3)
        bench.kube.refuse = lambda *_: None
        async with asyncio.timeout(30):
            while bench.kube.names(Pod) != ["p"]:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    assert len(bench.failures) >= 2


async def test_what_the_clock_brings_comes_though_a_create_is_refused(bench: Fixture) -> None:
    bench.kube.refuse = refusing(Forbidden(403, "Forbidden", "exceeded quota"), "POST")
    bench.decide = lambda: Plan((Create(Pod, {"metadata": {"name": "p", "namespace": NS}}),))
    bench.after_failure = 0.01
    async with bench.running():
        bench.see(vmi("a"))
        await bench.visited(9, seconds=5)  # the pause after a ninth failure is two minutes


async def test_a_courtesy_put_off_is_made_later(bench: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "POSTPONED", 0.02)
    monkeypatch.setattr("hostler.runtime.apply.COURTESY_RATE", 0)
    monkeypatch.setattr("hostler.runtime.apply.COURTESY_BURST", 0)
    bench.decide = lambda: Plan(status={"reason": "x"}, courtesy=True)
    async with bench.running():
        bench.see(vmi("a"))
        await bench.visited(3)
    assert bench.kube.writes() == []


async def test_one_object_is_visited_by_one_worker_at_a_time(bench: Fixture) -> None:
    bench.controller = replace(bench.controller, workers=8)
    async with bench.running() as loop:
        bench.see(vmi("a"))
        for _ in range(100):
            loop.queue.add((NS, "a"))
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
    assert 1 <= len(bench.visits) <= 101
