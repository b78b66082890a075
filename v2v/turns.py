"""Whose turn it is: how many workers work, of all tenants together. Who only waits takes nobody's turn."""

from dataclasses import dataclass
from datetime import datetime

from hostler.api.cdi import DataVolume
from hostler.api.objects import Pod
from hostler.runtime import disk_report
from hostler.runtime.store import Store
from v2v import following, worker_pod
from v2v.sources import WORDS

START = 60.0  # seconds that a new pod has its turn before it runs: else all that wait would get one at once


@dataclass(frozen=True)
class Turns:
    """Worker pods in the cluster."""

    working: int = 0
    starting: tuple[str, ...] = ()  # when those were made that do not run (yet)


NONE = Turns()


def taken(turns: Turns, now: datetime) -> int:
    """A pod that cannot start (no node, no such Secret) gives its turn back."""
    return turns.working + sum(following.since(made, now) < START for made in turns.starting)


def look(store: Store) -> Turns:
    working, starting = 0, []
    for pod in store.all(Pod):
        # one that is being deleted is done, or on a node that is lost
        if pod.metadata.labels.get(worker_pod.LABEL) != worker_pod.VALUE or pod.metadata.deletion_timestamp:
            continue
        container = pod.container(worker_pod.CONTAINER)
        if container is not None and container.state.running is not None:
            working += not idle(store, pod)
        elif not pod.finished:
            starting.append(pod.metadata.creation_timestamp or "")
    return Turns(working, tuple(starting))


def idle(store: Store, pod: Pod) -> bool:
    """An upload that nobody sends: it may be so for days."""
    owner = pod.metadata.controller
    if pod.metadata.labels.get("cdi.kubevirt.io") != WORDS["upload"].pod or owner is None:
        return False
    volume = store.get(DataVolume, (pod.metadata.namespace, owner.name))
    said = disk_report.read(volume.metadata.annotations, owner.uid) if volume else None
    return said is not None and said.pod == pod.metadata.uid and said.state == "ready" and said.percent is None
