"""LIST, WATCH, and LIST again: against the fake API server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from hostler.runtime import reflector
from hostler.runtime.errors import Forbidden, Unavailable
from hostler.runtime.reflector import Reflector
from hostler.runtime.store import Store
from tests.unit.hostler.runtime.fake_kube import FakeKube, refusing
from tests.unit.hostler.runtime.kube_contract import ConfigMap, config

NS = "test"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    def back_off() -> Iterator[float]:
        while True:
            yield 0.01

    monkeypatch.setattr(reflector, "back_off", back_off)


@asynccontextmanager
async def reflecting(kube: FakeKube, **options: object) -> AsyncIterator[Store]:
    store = Store()
    mirror = Reflector(kube, ConfigMap, store, **options)  # type: ignore[arg-type]
    task = asyncio.create_task(mirror.run())
    try:
        await asyncio.wait_for(mirror.synced.wait(), 30)
        yield store
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def names(store: Store) -> list[str]:
    return sorted(each.metadata.name for each in store.all(ConfigMap))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def cluster(*existing: str) -> FakeKube:
    kube = FakeKube()
    for name in existing:
        await kube.create(ConfigMap, NS, config(name, labels={"app": name[0]}))
    return kube


async def test_synced_means_all_is_there() -> None:
    async with reflecting(await cluster("a", "b", "c")) as store:
        assert names(store) == ["a", "b", "c"]


async def test_an_empty_listing_is_a_listing() -> None:
    async with reflecting(await cluster()) as store:
        assert names(store) == []


async def test_changes_are_followed() -> None:
    kube = await cluster("a", "b")
    async with reflecting(kube) as store:
        await kube.create(ConfigMap, NS, config("c"))
        await kube.delete(ConfigMap, NS, "a")
        await until(lambda: names(store) == ["b", "c"])
        await kube.patch(ConfigMap, NS, "b", {"metadata": {"labels": {"x": "y"}}})
        await until(lambda: store.get(ConfigMap, (NS, "b")).metadata.labels.get("x") == "y")  # type: ignore[union-attr]


async def test_only_what_is_selected() -> None:
    kube = await cluster("a", "b")
    async with reflecting(kube, labels="app=a") as store:
        assert names(store) == ["a"]
        await kube.create(ConfigMap, NS, config("a2", labels={"app": "a"}))
        await kube.create(ConfigMap, NS, config("b2", labels={"app": "b"}))
        await until(lambda: names(store) == ["a", "a2"])


async def test_what_vanished_during_a_gap_is_found_by_the_next_listing() -> None:
    kube = await cluster("a", "ghost")
    async with reflecting(kube) as store:
        await kube.vanish(ConfigMap, NS, "ghost")
        await until(lambda: names(store) == ["a"])


async def test_a_listing_now_and_then_finds_what_no_watch_tells() -> None:
    kube = await cluster("a", "ghost")
    async with reflecting(kube, resync=0.05) as store:
        del kube.objects["configmaps", NS, "ghost"]
        kube._version += 1
        await until(lambda: names(store) == ["a"])


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(Unavailable(0, "NoAnswer", "connection refused"), id="no server"),
        pytest.param(Forbidden(403, "Forbidden", "no"), id="no permission yet"),
    ],
)
async def test_a_failing_server_is_waited_for(error: Exception) -> None:
    kube = await cluster("a")
    kube.refuse = refusing(error, "LIST", "WATCH")  # type: ignore[arg-type]
    store = Store()
    mirror = Reflector(kube, ConfigMap, store)
    task = asyncio.create_task(mirror.run())
    await until(lambda: len(kube.calls) > 4)
    assert not mirror.synced.is_set()
    kube.refuse = lambda *_: None
    await asyncio.wait_for(mirror.synced.wait(), 30)
    assert names(store) == ["a"]
    task.cancel()


async def test_a_broken_watch_goes_on_where_it_was() -> None:
    kube = await cluster("a")
    async with reflecting(kube) as store:
        await until(lambda: ("WATCH", "configmaps", "") in kube.calls)
        kube.refuse = refusing(Unavailable(0, "WatchEnded", "reset"), "WATCH")
        await kube.expire()
        await until(lambda: kube.calls.count(("WATCH", "configmaps", "")) > 3)
        await kube.create(ConfigMap, NS, config("b"))
        kube.refuse = lambda *_: None
        await until(lambda: names(store) == ["a", "b"])


def test_pauses_grow_and_then_stay() -> None:
    pauses = reflector.PAUSES
    assert list(pauses) == sorted(pauses)
    assert pauses[-1] <= 30
