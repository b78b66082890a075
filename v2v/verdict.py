"""The last word of a worker pod: JSON that its container leaves when it ends."""

import json
import re
from dataclasses import dataclass

from hostler.api.objects import ContainerStatus, Pod

CONTAINER = "worker"
RESTARTS = 5  # of a container that ends without a last word
REASON = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")
LONGEST = 1000


@dataclass(frozen=True)
class Verdict:
    """Done, or not to be done."""

    ok: bool
    message: str
    reason: str = ""


def text(verdict: Verdict) -> str:
    """What the worker leaves; the kubelet keeps 4096 bytes."""
    return json.dumps({"ok": verdict.ok, "reason": verdict.reason, "message": verdict.message[:LONGEST]})


def of(pod: Pod) -> Verdict | None:
    """None as long as it works, or is started again."""
    container = pod.container(CONTAINER)
    if pod.status.phase == "Succeeded":
        return read(container.state.terminated.message if container and container.state.terminated else "")
    if pod.status.phase == "Failed":
        why = pod.status.message or pod.status.reason or last(container) or "its pod failed"
        return Verdict(False, why[:LONGEST], "WorkerFailed")
    if container is not None and container.restart_count > RESTARTS:
        why = last(container) or f"its pod was restarted {container.restart_count} times"
        return Verdict(False, why, "WorkerFailed")
    return None


def read(said: str) -> Verdict:
    """A worker's word is a stranger's: only what is expected is taken over."""
    try:
        found = json.loads(said)
        ok, reason, message = found["ok"], found["reason"], found["message"]
    except (ValueError, TypeError, KeyError):
        return Verdict(False, "the worker ended without a word", "WorkerFailed")
    known = reason if isinstance(reason, str) and REASON.fullmatch(reason) else "WorkerFailed"
    return Verdict(ok is True, str(message)[:LONGEST], "" if ok is True else known)


def last(container: ContainerStatus | None) -> str:
    """Why it ended the last time."""
    ended = container and (container.state.terminated or container.last_state.terminated)
    if not ended:
        return ""
    try:
        return str(json.loads(ended.message)["message"])[:LONGEST]
    except (ValueError, TypeError, KeyError):
        return (ended.message or ended.reason)[:LONGEST]


def trouble(pod: Pod) -> str:
    """Why it does not get on: it cannot be scheduled or started, or has to try again and again."""
    scheduled, container = pod.condition("PodScheduled"), pod.container(CONTAINER)
    if scheduled is not None and scheduled.status == "False":
        return scheduled.message or scheduled.reason or "it cannot be scheduled"
    if container is None:
        return ""
    waiting = container.state.waiting
    if waiting and waiting.reason not in ("", "ContainerCreating", "PodInitializing", "CrashLoopBackOff"):
        return f"{waiting.reason}: {waiting.message}"[:LONGEST]
    return last(container) if container.restart_count else ""
