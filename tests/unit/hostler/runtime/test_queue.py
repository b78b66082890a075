"""Keys: each once, soon, later, or later and later."""

import asyncio

import pytest

from hostler.runtime.queue import FIRST, LONGEST, SHARE, WorkQueue


@pytest.fixture
async def queue() -> WorkQueue[str]:
    return WorkQueue("test")


async def taken(queue: WorkQueue[str], seconds: float = 0.2) -> list[str]:
    """Visit what is due within some time; visits take no time."""
    keys: list[str] = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                keys.append(await queue.get())
                queue.done(keys[-1])
    except TimeoutError:
        return keys


async def test_a_key_waits_once(queue: WorkQueue[str]) -> None:
    for key in ("a", "b", "a"):
        queue.add(key)
    assert len(queue) == 2
    assert await taken(queue, 0.05) == ["a", "b"]


async def test_a_key_is_visited_by_one_at_a_time(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await taken(queue, 0.05) == ["a"]


async def test_later(queue: WorkQueue[str]) -> None:
    queue.add("a", 0.05)
    assert await taken(queue, 0.02) == []
    assert await taken(queue) == ["a"]


async def test_the_first_of_two_times_counts(queue: WorkQueue[str]) -> None:
    queue.add("a", 5)
    queue.add("a", 0.02)
    queue.add("a", 9)
    assert await taken(queue) == ["a"]


async def test_a_visit_now_replaces_one_later(queue: WorkQueue[str]) -> None:
    queue.add("a", 0.05)
    queue.add("a")
    assert await taken(queue) == ["a"]


async def test_a_time_that_comes_during_a_visit_is_not_lost(queue: WorkQueue[str]) -> None:
    queue.add("a")
    await queue.get()
    queue.add("a", 0.02)
    await asyncio.sleep(0.05)
    assert len(queue) == 0
    queue.done("a")
    assert await taken(queue, 0.05) == ["a"]


async def test_retries_come_later_and_later(queue: WorkQueue[str]) -> None:
    pauses = [queue.retry("a") for _ in range(12)]
    for number, pause in enumerate(pauses):
        assert 0.75 <= pause / min(FIRST * 2**number, LONGEST) <= 1.25
    queue.forgive("a")
    assert queue.retry("a") <= FIRST * 1.25


async def test_a_costly_visit_is_followed_by_a_longer_pause() -> None:
    queue: WorkQueue[str] = WorkQueue("paced", pace=0.01)
    queue.add("a")
    await queue.get()
    queue.done("a", cost=0.2 * SHARE)
    queue.add("a")
    assert await taken(queue, 0.1) == []
    assert await taken(queue, 0.2) == ["a"]


async def test_pace_spreads_visits() -> None:
    queue: WorkQueue[str] = WorkQueue("paced", pace=0.1)
    queue.add("a")
    assert await taken(queue, 0.02) == ["a"]
    for _ in range(5):
        queue.add("a")
    assert await taken(queue, 0.05) == []
    assert await taken(queue, 0.15) == ["a"]


async def test_pace_holds_for_what_came_during_the_visit() -> None:
    queue: WorkQueue[str] = WorkQueue("paced", pace=0.1)
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.done("a")
    assert await taken(queue, 0.05) == []
    assert await taken(queue, 0.15) == ["a"]


async def test_a_plan_may_be_in_a_hurry() -> None:
    queue: WorkQueue[str] = WorkQueue("paced", pace=10)
    queue.add("a")
    await queue.get()
    queue.add("a", 0, paced=False)
    queue.done("a")
    assert await taken(queue, 0.05) == ["a"]


async def test_dropped_is_forgotten(queue: WorkQueue[str]) -> None:
    queue.retry("a")
    queue.drop("a")
    assert await taken(queue, 0.9) == []
    assert queue.retry("a") <= FIRST * 1.25


async def test_of_what_is_gone_nothing_is_kept() -> None:
    """It is the visit itself that finds it gone."""
    queue = WorkQueue[str]("test", pace=60.0)
    for name in ("a", "b"):
        queue.add(name)
        key = await queue.get()
        queue.drop(key)
        queue.done(key)
    assert not queue._rested
    assert not queue._dropped
