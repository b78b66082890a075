"""Runs controllers together on one Store: reflectors first, then the loops."""

import asyncio
import logging
from collections.abc import Iterable

from hostler.api.objects import Namespace
from hostler.runtime.apply import Applier, Sender
from hostler.runtime.events import Recorder
from hostler.runtime.figures import Figure, show
from hostler.runtime.loop import Loop
from hostler.runtime.pause import SELECTOR, Pause
from hostler.runtime.plan import EVENTS_PER_SECOND, AnyController
from hostler.runtime.protocol import Kind, Kube
from hostler.runtime.reflector import Reflector
from hostler.runtime.store import Listener, Store

log = logging.getLogger(__name__)


async def manage(  # noqa: PLR0913 - what a process is made of
    kube: Kube,
    controllers: Iterable[AnyController],
    reporter: str,
    identity: str,
    sender: Sender | None = None,
    *,
    listeners: Iterable[Listener] = (),
    home: str | None = None,
    figures: Iterable[Figure] = (),
    events_per_second: float = EVENTS_PER_SECOND,
) -> None:
    """Until cancelled; if any part fails, all end. Listeners hear of every change, for what they count.

    With a home, Hostler's own namespace, these controllers can be paused (`pause`).
    """
    controllers = tuple(controllers)
    store = Store(shared=[controller.parent for controller in controllers])
    for listener in listeners:
        store.subscribe(listener)
    recorder = Recorder(kube, reporter, identity, per_second=events_per_second)
    pause = Pause(home, recorder.record) if home is not None else None
    appliers = [Applier(kube, store, recorder, sender=sender) for _ in controllers]
    loops = [Loop(each, store, applier, pause=pause) for each, applier in zip(controllers, appliers, strict=True)]
    reflectors = [Reflector(kube, kind, store, labels=labels) for kind, labels in watched(controllers).items()]
    if pause is not None:  # first of all, so that nobody acts before it is known whether he may
        reflectors.insert(0, Reflector(kube, Namespace, pause, labels=SELECTOR))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(recorder.run(), name="events")
        tasks.create_task(show(store, figures), name="figures")
        # parents before children: what a parent's listing shows to have been made is in the children's
        for reflector in reflectors:
            tasks.create_task(reflector.run(), name=f"reflect {reflector.kind.plural}")
            await reflector.synced.wait()
        log.info("synced", extra={"resources": ",".join(reflector.kind.plural for reflector in reflectors)})
        for loop in loops:
            tasks.create_task(loop.run(), name=loop.controller.name)


def watched(controllers: Iterable[AnyController]) -> dict[Kind, str]:
    """Every kind once, owners before what they own; with the label selector that all its watchers agree on."""
    owners_first = tuple(reversed(tuple(controllers)))
    kinds: dict[Kind, str] = dict.fromkeys((controller.parent for controller in owners_first), "")
    for controller in owners_first:
        for kind in (controller.parent, *controller.children, *controller.others):
            kinds[kind] = controller.selectors.get(kind, kinds.get(kind, ""))
    return kinds
