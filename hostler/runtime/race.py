"""Work side by side, of which the first to end ends all."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any


async def first(*works: Coroutine[Any, Any, Any]) -> None:
    """Until the first of them ends; that a connection broke is an end like another."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            with suppress(OSError):
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
