"""What a VirtualMachine says of itself: KubeVirt's words, in KubeVirt's order of precedence. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controllers import vm_disks, vm_instance
from controllers.vm_instance import dying, final, phase
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import ProbedCondition
from hostler.runtime import conditions, names
from hostler.runtime.conditions import Condition
from hostler.runtime.protocol import Raw

RESTARTING = ("Always", "RerunOnFailure", "Once")  # strategies that back off
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 300.0  # seconds before the next start, after one failure and after many
OWN = ("Ready", "Failure", "RestartRequired")  # conditions that are not the instance's
NOT_THERE = Condition(False, "VMINotExists", "VMI does not exist")
NOT_SAID = Condition(False, "VMIConditionMissing", "VMI is missing the Ready condition")


@dataclass(frozen=True)
class Prospect:
    """How things will be when the plan is carried out."""

    vmi: VirtualMachineInstance | None
    claims: vm_disks.Claims = field(default_factory=dict)
    volumes: vm_disks.Volumes = field(default_factory=dict)
    starting: bool = False  # an instance is being made
    stopping: bool = False  # the instance is being deleted


def run_strategy(vm: VirtualMachine) -> str:
    """`running` is the old way to say it."""
    return vm.spec.run_strategy or ("Always" if vm.spec.running else "Halted")


# requests to start or stop


def request_kind(requests: list[Raw]) -> str:
    """Only the first counts; the next one is looked at when that is done."""
    return str(requests[0]["action"]) if requests else ""


def open_requests(vm: VirtualMachine, vmi: VirtualMachineInstance | None) -> list[Raw]:
    """What was asked for and has not happened yet."""
    asked = vm.status.state_change_requests if vm.status else ()
    left = [each.model_dump(mode="json", by_alias=True, exclude_unset=True) for each in asked]
    while left and done(left[0], vmi):
        left = left[1:]
    return left


def done(request: Raw, vmi: VirtualMachineInstance | None) -> bool:
    if request["action"] == "Stop":
        return vmi is None or vmi.metadata.uid != request.get("uid")
    if request["action"] == "Start":
        return vmi is not None and not dying(vmi) and not final(vmi)
    return True  # nothing that we know


# failures to start


def failed_early(vmi: VirtualMachineInstance) -> bool:
    """It ended before its guest ran."""
    return final(vmi) and not vm_instance.was_running(vmi)


def counts(vm: VirtualMachine) -> bool:
    """Whether failures of its guests matter to its strategy."""
    return run_strategy(vm) in RESTARTING


def counted(vm: VirtualMachine, vmi: VirtualMachineInstance) -> bool:
    known = vm.status.start_failure if vm.status else None
    return known is not None and known.last_failed_vmiuid == vmi.metadata.uid


def start_failure(vm: VirtualMachine, vmi: VirtualMachineInstance | None, now: datetime) -> Raw | None:
    """How often in a row the guest did not come to run, and when it is tried again."""
    known = vm.status.start_failure if vm.status else None
    if not counts(vm) or (vmi is not None and vm_instance.was_running(vmi)):
        return None
    if vmi is None or not failed_early(vmi) or counted(vm, vmi):
        return known.model_dump(mode="json", by_alias=True, exclude_unset=True) if known else None
    count = ((known.consecutive_fail_count or 0) if known else 0) + 1
    again = now + timedelta(seconds=pause(count, vmi.metadata.uid))
    return {
        "consecutiveFailCount": count,
        "lastFailedVMIUID": vmi.metadata.uid,
        "retryAfterTimestamp": conditions.stamp(again),
    }


def pause(failures: int, seed: str) -> float:
    """Seconds until the next start: as KubeVirt's, quadratic and spread, but the same whenever it is asked."""
    delay = FIRST_PAUSE * failures**2
    spread = int.from_bytes(names.suffix(seed).encode()[:2], "big") % 256 / 256
    return min(delay + spread * delay / 2, LONGEST_PAUSE)


def pause_left(vm: VirtualMachine, now: datetime) -> float:
    known = vm.status.start_failure if vm.status else None
    until = vm_instance.stamp_of(known.retry_after_timestamp) if known else None
    return max(0.0, until - now.timestamp()) if until and counts(vm) else 0.0


# the status


def status(vm: VirtualMachine, to_be: Prospect, requests: list[Raw], now: datetime) -> Raw:
    """All fields of the status that are the controller's."""
    vmi = to_be.vmi
    failure = start_failure(vm, vmi, now)
    ready = vmi is not None and said(vmi, "Ready", "True") is not None
    return {
        "created": vmi is not None or to_be.starting,
        "ready": ready,
        "runStrategy": run_strategy(vm),
        "stateChangeRequests": requests or None,
        "startFailure": failure,
        "desiredGeneration": vm.metadata.generation,
        "observedGeneration": vm_instance.observed_generation(vm, vmi),
        "printableStatus": printable(vm, to_be, failing=failure is not None),
        "conditions": wanted_conditions(vm, to_be, now),
    }


def trouble(vm: VirtualMachine, reason: str, message: str, now: datetime) -> Raw:
    """What keeps the VM from having an instance. Not a word of the strategy: it has not been followed yet."""
    wanted = {"Ready": NOT_THERE, "Failure": Condition(True, reason, message)}
    own = [each for each in (vm.status.conditions if vm.status else ()) if each.type in OWN]
    return {
        "created": False,
        "ready": False,
        "printableStatus": printable(vm, Prospect(None), failing=False),
        "conditions": conditions.update(own, wanted, now),
    }


def wanted_conditions(vm: VirtualMachine, to_be: Prospect, now: datetime) -> list[Raw]:
    """Ready and Failure are the VM's; all others are its instance's, word for word."""
    vmi = to_be.vmi
    theirs = {each.type: each for each in vmi.status.conditions} if vmi and vmi.status else {}
    why = vm_instance.outdated(vm, vmi) if vmi else ""
    wanted: dict[str, Condition | None] = {
        "Failure": None,
        "RestartRequired": Condition(True, "", why) if why else None,
    }
    if "Ready" not in theirs:
        wanted["Ready"] = NOT_SAID if vmi is not None or to_be.starting else NOT_THERE
    own = [each for each in (vm.status.conditions if vm.status else ()) if each.type in OWN]
    if "Ready" in theirs:
        own = [each for each in own if each.type != "Ready"]
    mirrored = [each for each in theirs.values() if each.type not in OWN or each.type == "Ready"]
    raw = [each.model_dump(mode="json", by_alias=True, exclude_unset=True) for each in mirrored]
    return conditions.update(own, wanted, now) + raw


def said(vmi: VirtualMachineInstance, kind: str, truth: str) -> ProbedCondition | None:
    """The instance's condition of a type, if it is "True" (or "False")."""
    found = vmi.status.conditions if vmi.status else ()
    return next((each for each in found if each.type == kind and each.status == truth), None)


def stuck(vmi: VirtualMachineInstance | None, *reasons: str) -> bool:
    """The instance does not get on, for one of these reasons."""
    why = said(vmi, "Synchronized", "False") if vmi else None
    return why is not None and why.reason in reasons


def unschedulable(vmi: VirtualMachineInstance | None) -> bool:
    why = said(vmi, "PodScheduled", "False") if vmi else None
    return why is not None and why.reason == "Unschedulable"


def migrating(vmi: VirtualMachineInstance) -> bool:
    state = vmi.status.migration_state if vmi.status else None
    return state is not None and not state.completed and state.start_timestamp is not None


def unbound(to_be: Prospect) -> bool:
    """A claim of the guest has no volume yet."""
    if to_be.vmi is None and not to_be.starting:
        return False
    return any(claim.status.phase != "Bound" for claim in to_be.claims.values())


def unready(vmi: VirtualMachineInstance) -> bool:
    return phase(vmi) in ("", "Pending", "Scheduling", "Scheduled")


def printable(vm: VirtualMachine, to_be: Prospect, *, failing: bool) -> str:
    """One word for people: the first that is true."""
    vmi = to_be.vmi
    alive = vmi is not None and not final(vmi)
    coming = to_be.starting or (vmi is not None and unready(vmi))
    words: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("Terminating", lambda: vm.metadata.deletion_timestamp is not None),
        ("Stopping", lambda: vmi is not None and alive and (to_be.stopping or dying(vmi))),
        ("Migrating", lambda: vmi is not None and alive and migrating(vmi)),
        ("Paused", lambda: vmi is not None and alive and said(vmi, "Paused", "True") is not None),
        ("Running", lambda: vmi is not None and phase(vmi) == "Running"),
        ("ErrorPvcNotFound", lambda: coming and stuck(vmi, "FailedPvcNotFound")),
        ("DataVolumeError", lambda: vm_disks.broken(to_be.volumes) is not None),
        ("ErrorUnschedulable", lambda: coming and unschedulable(vmi)),
        ("Provisioning", lambda: vm_disks.filling(to_be.volumes) is not None),
        ("WaitingForVolumeBinding", lambda: coming and unbound(to_be)),
        ("ErrImagePull", lambda: coming and stuck(vmi, "ErrImagePull")),
        ("ImagePullBackOff", lambda: coming and stuck(vmi, "ImagePullBackOff")),
        ("Starting", lambda: coming),
        ("CrashLoopBackOff", lambda: failing),
        ("Stopped", lambda: not alive),
    )
    return next((word for word, so in words if so()), "Unknown")
