"""What the status of a VirtualMachineInstance says, and how it is to change. Pure."""

from collections.abc import Mapping
from datetime import datetime

from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import ProbedCondition
from hostler.api.objects import Pod
from hostler.runtime import conditions
from hostler.runtime.conditions import Condition
from hostler.runtime.protocol import Raw

NOT_RUNNING = Condition(False, "GuestNotRunning", "Guest VM is not reported as running")
NODE_SILENT = Condition(False, "PodNotReady", "the node does not report that the virt-launcher pod is ready")


def phase(vmi: VirtualMachineInstance) -> str:
    return (vmi.status and vmi.status.phase) or ""


def condition(vmi: VirtualMachineInstance, kind: str) -> ProbedCondition | None:
    return next((c for c in vmi.status.conditions if c.type == kind), None) if vmi.status else None


def set_conditions(vmi: VirtualMachineInstance, wanted: Mapping[str, Condition | None], now: datetime) -> Raw:
    return {"conditions": conditions.update(vmi.status.conditions if vmi.status else (), wanted, now)}


def transition(vmi: VirtualMachineInstance, to: str, now: datetime) -> Raw:
    """The phase, and when it began; nothing if it is the phase already."""
    if phase(vmi) == to:
        return {}
    passed = vmi.status.phase_transition_timestamps if vmi.status else ()
    since = [each.model_dump(mode="json", by_alias=True, exclude_unset=True) for each in passed]
    if not since and phase(vmi) == "Pending":  # set by an admission policy, which knows no time
        born = vmi.metadata.creation_timestamp or conditions.stamp(now)
        since.append({"phase": "Pending", "phaseTransitionTimestamp": born})
    since.append({"phase": to, "phaseTransitionTimestamp": conditions.stamp(now)})
    return {"phase": to, "phaseTransitionTimestamps": since}


def readiness(vmi: VirtualMachineInstance, pod: Pod) -> dict[str, Condition | None]:
    """Only of a node that is silent, and of probes, the agent may not know."""
    ready, seen, compute = condition(vmi, "Ready"), pod.condition("Ready"), pod.container(launcher.COMPUTE)
    if seen is None or compute is None:
        return {}  # the kubelet has not caught up with the agent
    if not compute.ready:
        return probed(vmi, ready, seen.message or "")
    # a node's silence turns the pod's condition, but not what its last report said of the container
    if seen.status == "False":
        return {"Ready": NODE_SILENT}
    if ready is not None and ready.reason in (NODE_SILENT.reason, launcher.NOT_PROBED):
        return {"Ready": Condition(True)}
    return {}


def probed(vmi: VirtualMachineInstance, ready: ProbedCondition | None, why: str) -> dict[str, Condition | None]:
    """The kubelet says that the guest is not ready; without a probe of its own it only has not caught up."""
    if vmi.spec.readiness_probe is None or (ready is not None and ready.reason == NOT_RUNNING.reason):
        return {}  # of a guest that is paused, the agent has told
    return {"Ready": Condition(False, launcher.NOT_PROBED, why)}
