"""The target's side of a move: a pod that is ready for a guest, until the guest is its own."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime import ownership
from hostler.runtime.errors import Retry
from launcher.agent.ground import Ground
from launcher.agent.migration import marks
from launcher.agent.migration.tunnel import Expected
from launcher.agent.migration.ways import Ways
from launcher.agent.places import Place
from launcher.agent.pods import LauncherPod
from launcher.agent.reporter import Reporter

PATIENT = 60.0  # seconds between looks, if no watch event brings news


async def named(reporter: Reporter, news: asyncio.Event) -> VirtualMachineInstance:
    """Wait until the VMI says that its guest is to come into this pod, and the kubelet what the pod's address is."""
    while True:
        news.clear()
        vmi = reporter.vmi
        if vmi is not None and ownership.owns(reporter.pod, vmi):
            return vmi
        if vmi is not None and marks.coming(reporter.pod, vmi) and reporter.pod.status.pod_ip:
            return vmi
        await _news(reporter, news)


async def owned(reporter: Reporter, news: asyncio.Event) -> VirtualMachineInstance:
    """Wait until the guest is this pod's; Retry if it will not be."""
    while True:
        news.clear()
        vmi = reporter.vmi
        if vmi is None:
            raise Retry(1, "the VMI is gone")
        if ownership.owns(reporter.pod, vmi):
            return vmi
        if marks.coming(reporter.pod, vmi) is None:
            raise Retry(1, "the guest does not come")
        await _news(reporter, news)


async def _news(reporter: Reporter, news: asyncio.Event) -> None:
    """Wait for what a watch tells; ask, should it have told nothing for long."""
    try:
        async with asyncio.timeout(PATIENT):
            await news.wait()
    except TimeoutError:
        await reporter.look()


@asynccontextmanager
async def expected(ways: Ways, ground: Ground, pod: LauncherPod, place: Place, migration: str) -> AsyncIterator[None]:
    """As long as it lasts, the guest may come."""
    folder = ground.private(pod.metadata.uid)
    forget = ways.inbox.expect(pod.metadata.uid, Expected(migration, place, folder, pod.status.pod_ip or ""))
    try:
        yield
    finally:
        forget()
        os.close(folder)
