"""How a guest ended, by what is left of its pod: the last phase of its VMI. Pure."""

import json
import re
from datetime import datetime
from typing import NamedTuple

from controllers.disruption import disruption, interrupted
from controllers.vmi_status import set_conditions, transition
from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.objects import Pod
from hostler.runtime import ownership
from hostler.runtime.conditions import Condition
from hostler.runtime.plan import Event, Plan
from hostler.runtime.protocol import Raw

DESTROYED = "Destroyed"  # PID 1's word for a guest that did not shut down in time
FAILED = "NonZeroExitCode"  # and for one that says so itself
MOVED = "Migrated"  # PID 1's word for a guest that went to another pod: the hand-over follows
LOST = Condition(False, "MigrationTargetLost", "the guest left for a pod that ended before it could run there")
REASON = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")
LONGEST_MESSAGE = 1024
NO_POD = Condition(False, "PodNotExists", "virt-launcher pod no longer exists")


class LastWords(NamedTuple):
    """Why a guest ended, and what it said of itself."""

    why: Condition
    exit_code: int | None = None
    result: str = ""
    disruption: Condition | None = None  # that it was through no fault of its own


def ended(vmi: VirtualMachineInstance, pod: Pod, elsewhere: bool, now: datetime) -> Plan:
    """The last phase, by what the pod's end says; none yet if the guest is on its way elsewhere."""
    how = last_words(pod)._replace(disruption=disruption(pod))
    if how.why.reason == MOVED:
        leaving = elsewhere and ownership.moving(vmi)
        return Plan(status=said(how)) if leaving else finish(vmi, "Failed", LastWords(LOST), now)
    how = with_earlier(vmi, how)
    return finish(vmi, phase(vmi, pod, how), how, now)


def phase(vmi: VirtualMachineInstance, pod: Pod, how: LastWords) -> str:
    if interrupted(vmi, how.why.reason, how.exit_code) or how.why.reason == FAILED:
        return "Failed"
    if how.why.reason == DESTROYED and not vmi.spec.domain.has_acpi:
        return "Succeeded"  # it had no way to hear that it was to go: KubeVirt's rule
    return pod.status.phase


def with_earlier(vmi: VirtualMachineInstance, how: LastWords) -> LastWords:
    """With what the guest said before it moved, if it says nothing newer."""
    known = vmi.status
    if known is None:
        return how
    result = how.result or known.result or ""
    if how.exit_code is not None or known.exit_code is None:
        return how._replace(result=result)
    code = known.exit_code
    told = Condition(False, FAILED, f"the guest ended with exit code {code}") if code else how.why
    return how._replace(why=told, exit_code=code, result=result)


def without_pod(vmi: VirtualMachineInstance, now: datetime) -> Plan:
    """Its pod went while nobody looked, and what the guest said of itself with it."""
    return finish(vmi, "Failed", LastWords(NO_POD), now)


def finish(vmi: VirtualMachineInstance, end: str, words: LastWords, now: datetime) -> Plan:
    """The guest's last phase; it is never left again."""
    why = words.why
    disrupted = {launcher.DISRUPTION: words.disruption} if words.disruption else {}
    status = transition(vmi, end, now) | set_conditions(vmi, {"Ready": why, **disrupted}, now)
    status |= said(words)
    if end == "Failed":
        status["reason"] = why.reason
    shut_down = Event("Stopped", "The VirtualMachineInstance was shut down.")
    failure = Event("Stopped", f"The VirtualMachineInstance failed: {why.message}", "Warning")
    return Plan(status=status, events=(failure if end == "Failed" else shut_down,))


def said(words: LastWords) -> Raw:
    """What the guest said of itself, as its VMI's status has it."""
    code: Raw = {} if words.exit_code is None else {"exitCode": words.exit_code}
    return code | ({"result": words.result} if words.result else {})


def last_words(pod: Pod) -> LastWords:
    """Why the pod ended, and what its guest said: in all of it a hostile guest may have had a hand.

    PID 1 leaves a line {"reason": ..., "message": ..., "exitCode": ...}, then the result.
    """
    compute = pod.container(launcher.COMPUTE)
    last = compute.state.terminated if compute else None
    if pod.status.reason or last is None:
        message = (pod.status.message or "")[:LONGEST_MESSAGE]
        return LastWords(Condition(False, pod.status.reason or "GuestNotRunning", message))
    line, _, result = last.message.partition("\n")
    try:
        said = json.loads(line)
        reason, message, code = said["reason"], said["message"], said.get("exitCode")
    except (ValueError, TypeError, KeyError, AttributeError):
        reason, message, code, result = last.reason, last.message or f"exit code {last.exit_code}", None, ""
    if not isinstance(reason, str) or not REASON.fullmatch(reason):
        reason = "GuestNotRunning"
    if type(code) is not int or not -(2**31) <= code < 2**32:
        code = None
    why = Condition(False, reason, str(message)[:LONGEST_MESSAGE])
    return LastWords(why, code, result[: launcher.RESULT_LIMIT])
