"""A DataVolume while its worker pod is there: what pod and worker say becomes phase, progress and conditions."""

import re
from datetime import datetime

from hostler.api import cdi
from hostler.api.cdi import DataVolume
from hostler.api.objects import ContainerStatus, PersistentVolumeClaim, Pod
from hostler.runtime.conditions import Condition, parse, stamp
from hostler.runtime.disk_report import Report
from hostler.runtime.plan import Action, Delete, Event, Patch, Plan, Send
from v2v import progress, worker_pod
from v2v.sources import WORDS, Words, source_kind
from v2v.telling import told

STALE = 30.0  # seconds without a word, after which the worker has not got its task, or hangs
PATIENCE = 15.0  # seconds between two messages to one container
HUNG = 90.0  # seconds without a word, after which its pod is replaced
LOOK = 5.0  # seconds between visits while it works: silence brings no event
REASON = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")


def follow(volume: DataVolume, claim: PersistentVolumeClaim, pod: Pod, said: Report | None, now: datetime) -> Plan:
    """Send the task anew where it was lost, replace a pod that is no use, and tell how far it is."""
    words = WORDS[source_kind(volume)]
    if pod.metadata.deletion_timestamp:
        return Plan(requeue_after=LOOK)
    container = pod.container(worker_pod.CONTAINER)
    own = said if said is not None and said.pod == pod.metadata.uid else None
    stranger = pod.metadata.annotations.get(worker_pod.CLAIM, claim.metadata.uid) != claim.metadata.uid
    if stranger or pod.finished or hung(container, own, now):
        why = "was made for another claim" if stranger else pod.status.reason or "is silent"
        note = f"worker pod {pod.metadata.name} {why}: it is replaced"
        told_of = pod.status.phase != "Succeeded"  # that one found nothing to do, or its last word is on its way
        return Plan((Delete(pod),), events=(Event("WorkerReplaced", note, "Warning"),) if told_of else ())
    restarts = container.restart_count if container else 0
    bound = claim.status.phase == "Bound"
    works = running(pod, container, own)
    conditions = {
        "Bound": Condition(bound, claim.status.phase, f"PVC {claim.metadata.name} {claim.status.phase}"),
        "Running": works,
        "Ready": Condition(False, "TransferRunning") if own else Condition(False),
    }
    result = told(
        volume,
        phase(own, words),
        conditions,
        now,
        progress=progress.text(own.percent) if own else None,
        restarts=restarts,
        warn=None if works.status or works.reason.startswith("Pod") else works,
    )
    ready = own is not None and own.state == "ready"
    actions = (*dispatch(volume, pod, container, own, now), *mark(claim, phase=pod.status.phase, ready=ready))
    events = (*result.events, *began(volume, own, words))
    return Plan(actions, result.status, events, LOOK)


def phase(own: Report | None, words: Words) -> str:
    if own is None or (words.pod == "uploader" and own.state != "ready" and own.percent is None):
        return words.scheduled
    return words.under_way


def began(volume: DataVolume, own: Report | None, words: Words) -> tuple[Event, ...]:
    """Told once, when the phase turns."""
    if phase(own, words) != words.under_way or volume.phase == words.under_way:
        return ()
    reason = words.under_way if words.pod == "uploader" else f"{words.event}InProgress"
    return (Event(reason, f"{words.event} into {volume.metadata.name} in progress"),)


def running(pod: Pod, container: ContainerStatus | None, own: Report | None) -> Condition:
    """What keeps the worker from its work, or that it works."""
    if (
        container is not None
        and container.state.waiting
        and container.state.waiting.reason not in ("", "ContainerCreating")
    ):
        waiting = container.state.waiting
        last = own.message if own and own.message else waiting.message
        return Condition(False, reason(own.reason if own and own.reason else waiting.reason), last)
    if own is not None and own.reason:
        return Condition(False, reason(own.reason), own.message)
    scheduled = pod.condition("PodScheduled")
    if scheduled is not None and scheduled.status == "False":
        return Condition(False, scheduled.reason or "Unschedulable", scheduled.message or "")
    if container is not None and container.state.running:
        return Condition(True, "PodRunning", own.doing if own else "")
    return Condition(False, f"Pod{pod.status.phase}")


def reason(text: str) -> str:
    """A word from outside, if it can be a condition's reason."""
    return text if REASON.fullmatch(text) else "Error"


def dispatch(
    volume: DataVolume, pod: Pod, container: ContainerStatus | None, own: Report | None, now: datetime
) -> tuple[Action, ...]:
    """The task once more, when this start of the container has not taken it: the broker would only after hours."""
    if container is None or container.state.running is None or taken(container, own, now):
        return ()
    restarts, _, when = pod.metadata.annotations.get(worker_pod.DISPATCHED, "").partition(" ")
    if restarts == str(container.restart_count) and since(when, now) < PATIENCE:
        return ()
    text = worker_pod.dispatched(container.restart_count, stamp(now))
    note = Patch(pod, {"metadata": {"annotations": {worker_pod.DISPATCHED: text}}}, "dispatched")
    return Send(volume.metadata.uid, worker_pod.TASK, volume), note


def taken(container: ContainerStatus, own: Report | None, now: datetime) -> bool:
    """The process that runs now has spoken, and not long ago."""
    if own is None:
        return False
    started = container.state.running and container.state.running.started_at
    return since(own.at, now) < STALE and (not started or own.time > parse(started))


def hung(container: ContainerStatus | None, own: Report | None, now: datetime) -> bool:
    """It runs, has spoken, and is silent now: a frozen process does not end."""
    if container is None or container.state.running is None or own is None:
        return False
    started = container.state.running.started_at
    return since(own.at, now) > HUNG and (not started or since(started, now) > HUNG)


def since(when: str, now: datetime) -> float:
    """Seconds; very many for what is no time."""
    try:
        return (now - parse(when)).total_seconds()
    except (ValueError, TypeError):
        return float("inf")


def mark(claim: PersistentVolumeClaim | None, *, phase: str, ready: bool) -> tuple[Patch, ...]:
    """The claim says what clients look for there."""
    if claim is None:
        return ()
    wanted = {cdi.POD_PHASE: phase, cdi.POD_READY: str(ready).lower()}
    if phase == cdi.SUCCEEDED:
        wanted[cdi.POPULATED_FOR] = claim.metadata.name
    if all(claim.metadata.annotations.get(key) == value for key, value in wanted.items()):
        return ()
    return (Patch(claim, {"metadata": {"annotations": wanted}}, "mark"),)
