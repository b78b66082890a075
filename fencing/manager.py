"""Runs it all while we lead: the watch, one driver for each operation, and the health of the devices."""

import asyncio

from fencing import metrics
from fencing.agents import FenceAgent, Programs
from fencing.dialogue import Pace
from fencing.driver import Driver
from fencing.eyes import Eyes
from fencing.health import Health
from fencing.settings import FencingSettings
from fencing.watch import SOURCE, Watch, policy
from hostler.api.fencing import FINAL, FenceOperation, NodeFencing
from hostler.api.meta import Resource
from hostler.api.objects import Node
from hostler.runtime.events import Recorder
from hostler.runtime.figures import show
from hostler.runtime.protocol import Kind, Kube
from hostler.runtime.reflector import Reflector
from hostler.runtime.store import Store


async def manage(
    kube: Kube, identity: str, settings: FencingSettings, agent: FenceAgent | None = None, pace: Pace | None = None
) -> None:
    """Until cancelled; if any part fails, all end."""
    store = Store()
    store.subscribe(metrics.heard)
    recorder = Recorder(kube, SOURCE, identity)
    eyes = Eyes(kube, store, settings.namespace, policy(settings))
    pace = pace or Pace(confirm=settings.confirm)
    driver = Driver(kube, store, recorder, eyes, agent or Programs(settings.agents), settings, pace)
    reflectors = [Reflector(kube, kind, store) for kind in (NodeFencing, FenceOperation, Node)]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(recorder.run(), name="events")
        tasks.create_task(show(store, metrics.FIGURES), name="figures")
        for reflector in reflectors:
            tasks.create_task(reflector.run(), name=f"reflect {reflector.kind.plural}")
            await reflector.synced.wait()
        await eyes.look()  # an operation that is taken up again needs to know which boot there is
        tasks.create_task(Watch(driver, settings).run(), name="watch")
        tasks.create_task(Health(driver, settings.check_every).run(), name="health")
        await Operations(driver, tasks).run()


class Operations:
    """A task for each operation that has not ended."""

    def __init__(self, driver: Driver, tasks: asyncio.TaskGroup) -> None:
        self._driver = driver
        self._tasks = tasks
        self._running: dict[str, asyncio.Task[None]] = {}  # UID ->
        self._news = asyncio.Event()
        driver.store.subscribe(self._heard)

    async def run(self) -> None:
        while True:
            self._news.clear()
            self._running = {uid: task for uid, task in self._running.items() if not task.done()}
            for op in self._driver.store.all(FenceOperation):
                if op.phase not in FINAL and op.metadata.uid not in self._running:
                    drive = self._driver.drive(op.metadata.name)
                    self._running[op.metadata.uid] = self._tasks.create_task(drive, name=op.metadata.name)
            await self._news.wait()

    def _heard(self, kind: Kind, _old: Resource | None, _new: Resource | None) -> None:
        if kind is FenceOperation:
            self._news.set()
