"""Carries out what a running guest lacks, one change after another; what fails is told and tried again."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import replace

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime.errors import Error, Retry
from hostler.runtime.plan import Event
from launcher.agent import hotplug, metrics
from launcher.agent.facts import Domain
from launcher.agent.ground import Ground
from launcher.agent.hotplug import Attach, Change
from launcher.agent.hypervisor import Hypervisor

SOON, EVERY = 3.0, 0.1  # seconds that a disk may take to appear in a pod that runs, and between looks for it

Tell = Callable[[Event], None]


async def carry_out(
    one: Hypervisor, ground: Ground, vmi: VirtualMachineInstance, domain: Domain, tell: Tell
) -> dict[str, str]:
    """What could not be done: a volume, "cpu" or "memory" -> why."""
    troubles: dict[str, str] = {}
    for change in hotplug.changes(vmi, domain):
        begun = time.monotonic()
        try:
            await carry_out_one(one, ground, domain.name, change)
        except Error as error:
            metrics.HOTPLUG.labels(type(change).__name__, "failed").inc()
            troubles[subject(change)] = str(error)
            tell(Event("FailedHotplug", f"{change}: {error}", "Warning"))
        else:
            metrics.HOTPLUG.labels(type(change).__name__, "done").inc()
            tell(Event("SuccessfulHotplug", f"{change}, in {time.monotonic() - begun:.2f} s"))
    return troubles


def subject(change: Change) -> str:
    """What the change is about."""
    match change:
        case hotplug.Attach(volume=volume) | hotplug.Detach(volume=volume):
            return volume
        case hotplug.SetCpus():
            return "cpu"
    return "memory"


async def carry_out_one(one: Hypervisor, ground: Ground, name: str, change: Change) -> None:
    if not isinstance(change, Attach):
        await one.change(name, change)
        return
    descriptor = await appeared(ground, change)
    try:
        await one.change(name, replace(change, descriptor=descriptor))
    finally:
        os.close(descriptor)


async def appeared(ground: Ground, change: Attach) -> int:
    """The disk's descriptor, once its pod has made it."""
    deadline = time.monotonic() + SOON
    while (descriptor := await asyncio.to_thread(ground.disk, change)) is None:
        if time.monotonic() > deadline:
            raise Retry(5, f"the attachment pod of volume {change.volume} has no disk yet")
        await asyncio.sleep(EVERY)
    return descriptor
