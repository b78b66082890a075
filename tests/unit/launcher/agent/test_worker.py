import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from hostler.runtime.errors import Retry
from launcher.agent.worker import Worker


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    made = Worker("test")
    yield made
    made.close()


async def test_calls_run_one_after_another_in_one_thread(worker: Worker) -> None:
    threads = await asyncio.gather(*(worker.call(threading.get_ident, 5) for _ in range(5)))
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


async def test_an_error_is_the_callers(worker: Worker) -> None:
    with pytest.raises(ZeroDivisionError):
        await worker.call(lambda: 1 // 0, 5)
    assert await worker.call(lambda: 1, 5) == 1


async def test_a_call_that_hangs_is_left_alone_and_none_follows_it(worker: Worker) -> None:
    release = threading.Event()
    with pytest.raises(Retry, match="did not answer"):
        await worker.call(release.wait, 0.05)
    with pytest.raises(Retry, match="still owes"):
        await worker.call(lambda: 1, 5)
    release.set()
    async with asyncio.timeout(30):
        while True:
            try:
                assert await worker.call(lambda: 1, 5) == 1
                return
            except Retry:
                await asyncio.sleep(0.01)


async def test_a_late_error_is_nobodys(worker: Worker) -> None:
    release = threading.Event()

    def fail() -> None:
        release.wait()
        raise ValueError

    with pytest.raises(Retry):
        await worker.call(fail, 0.05)
    release.set()
    await asyncio.sleep(0.05)


async def test_what_is_left_for_later_is_done_in_order_and_its_errors_ignored(worker: Worker) -> None:
    done: list[int] = []
    worker.later(lambda: done.append(1 // 0))
    worker.later(lambda: done.append(1))
    await worker.call(lambda: done.append(2), 5)
    assert done == [1, 2]


async def test_a_closed_worker_ends_its_thread() -> None:
    worker = Worker("closing")
    await worker.call(lambda: None, 5)
    thread = next(each for each in threading.enumerate() if each.name == "closing")
    worker.close()
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()
