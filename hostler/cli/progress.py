"""How far a rollout is, look by look, and why it does not get on."""

import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from hostler.cli import revisions, trouble
from hostler.cli.revisions import Found
from hostler.runtime.errors import Terminal
from hostler.runtime.protocol import Kube

POLL = 0.5  # seconds
PATIENCE = 5.0  # seconds without progress, after which the cause is looked for


@dataclass(frozen=True)
class State:
    """What one look has shown; `vmctl rollout status -o json` prints the last one as it is here."""

    kind: str
    namespace: str
    name: str
    desired: int
    updated: int | None  # None: a pool does not count them
    ready: int
    available: int | None  # None, too
    done: bool
    failed: str  # the reason, if it cannot get done by itself
    message: str
    causes: tuple[str, ...]


async def states(kube: Kube, place: str, what: str, watch: bool, limit: float) -> AsyncIterator[State]:
    """Until it is done or has failed. The causes are looked for when nothing has happened for some seconds."""
    deadline = time.monotonic() + (limit or math.inf)
    said, patience = "", 0.0
    while True:
        found = await revisions.find(kube, place, what)
        message, done, failed = judged(found)
        if not (done or failed) and watch and time.monotonic() > deadline:
            failed, message = "TimedOut", f"{what}: not done within {limit:g} seconds"
        if message != said:
            said, patience = message, time.monotonic() + PATIENCE if watch else 0
        causes: list[str] = []
        if failed or (not done and time.monotonic() > patience):
            causes = await trouble.of(kube, found)
            patience = time.monotonic() + PATIENCE
        here = found.body["metadata"]["namespace"]
        counts = revisions.counts(found)
        yield State(found.kind.kind(), here, found.name, *counts, done, failed, message, tuple(causes))
        if done or failed or not watch:
            return
        await asyncio.sleep(POLL)


def judged(found: Found) -> tuple[str, bool, str]:
    """Words for it, whether it is done, and why it never will be."""
    try:
        return *revisions.progress(found), ""
    except Terminal as error:
        return error.message, False, error.reason


async def tell(looks: AsyncIterator[State]) -> State:
    """A line for each step, and on stderr what stands in the way, each once; the last look."""
    said, known = "", set[str]()
    async for look in looks:
        if look.message != said and not look.failed:
            print(look.message, flush=True)
            said = look.message
        for each in look.causes:
            if each not in known:
                print(f"  {each}", file=sys.stderr, flush=True)
            known.add(each)
    return look


async def last(looks: AsyncIterator[State]) -> State:
    async for look in looks:  # noqa: B007
        pass
    return look
