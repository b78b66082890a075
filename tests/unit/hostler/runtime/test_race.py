"""The first to end ends all."""

import asyncio

import pytest

from hostler.runtime.race import first


class Runner:
    def __init__(self) -> None:
        self.ended = ""

    async def forever(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = "cancelled"


async def ends(error: Exception | None = None) -> None:
    await asyncio.sleep(0)
    if error:
        raise error


@pytest.mark.parametrize("error", [None, ConnectionResetError("gone")])
async def test_the_others_are_cancelled(error: Exception | None) -> None:
    runner = Runner()
    await first(runner.forever(), ends(error))
    assert runner.ended == "cancelled"


async def test_a_mistake_is_told() -> None:
    runner = Runner()
    with pytest.raises(ValueError, match="a bug"):
        await first(ends(ValueError("a bug")), runner.forever())
    assert runner.ended == "cancelled"


async def test_who_is_cancelled_cancels() -> None:
    runner = Runner()
    task = asyncio.create_task(first(runner.forever()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert runner.ended == "cancelled"
