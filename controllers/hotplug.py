"""What changes of a VMI while its guest runs: room in its pod for more CPUs and memory, pods that bring disks. Pure.

The manager makes room and says so in the VMI's status; the node's agent then changes the guest, and reports.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from controllers import attachments
from controllers.launcher_volumes import Claims
from controllers.resources import resources
from controllers.settings import ManagerSettings
from hostler.api import launcher, quantity
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.objects import Pod
from hostler.runtime.conditions import Condition
from hostler.runtime.plan import Action, Event, Patch
from hostler.runtime.protocol import Raw

CPU_CHANGE, MEMORY_CHANGE = "HotVCPUChange", "HotMemoryChange"
PENDING = "PodResizePending"  # the kubelet's condition


@dataclass
class Change:
    """What one visit brings; each part adds to it."""

    actions: list[Action] = field(default_factory=list)
    status: Raw = field(default_factory=dict)
    conditions: dict[str, Condition | None] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


def change(
    vmi: VirtualMachineInstance,
    pod: Pod,
    pods: tuple[Pod, ...],
    claims: Claims,
    settings: ManagerSettings,
) -> Change:
    """All that a running VMI needs."""
    result = Change()
    room(result, vmi, pod, settings)
    wanted = attachments.wanted(vmi, pod, claims, settings)
    result.actions += attachments.make_and_remove(wanted, pods)
    entries = attachments.entries(vmi, claims, pods)
    if vmi.status and vmi.status.volume_status and entries != attachments.known(vmi):
        result.status["volumeStatus"] = entries
    return result


# CPUs and memory


def room(result: Change, vmi: VirtualMachineInstance, pod: Pod, settings: ManagerSettings) -> None:
    """Resize the pod, in place, for what the guest is to have more; when the kubelet has done so, the guest gets it."""
    cpus, memory = cpus_wanted(vmi), memory_wanted(vmi)
    less = memory is not None and not more_memory(vmi)
    waits = ""
    if cpus or (memory is not None and not less):
        waits = make_room(result, vmi, pod, settings)
    for kind, wanted in ((CPU_CHANGE, cpus), (MEMORY_CHANGE, memory is not None)):
        hold = waits and not (less and kind == MEMORY_CHANGE)
        reason = "PodResizePending" if hold else ""
        if wanted or said(vmi, kind):
            result.conditions[kind] = Condition(not hold, reason, waits if hold else "") if wanted else None
    if memory is not None and (less or not waits) and vmi.status and vmi.status.memory:
        result.status["memory"] = vmi.status.memory.model_dump(mode="json", by_alias=True, exclude_unset=True) | {
            "guestRequested": memory
        }


def denied(vmi: VirtualMachineInstance, why: str) -> dict[str, Condition | None]:
    """The API server does not let the pod have more: a quota, a node that cannot."""
    kinds = {CPU_CHANGE: cpus_wanted(vmi), MEMORY_CHANGE: memory_wanted(vmi) is not None}
    return {kind: Condition(False, "FailedResize", why) for kind, wanted in kinds.items() if wanted}


def said(vmi: VirtualMachineInstance, kind: str) -> bool:
    return vmi.status is not None and any(each.type == kind for each in vmi.status.conditions)


def cpus_wanted(vmi: VirtualMachineInstance) -> bool:
    """The guest is to have more sockets than it has."""
    now = vmi.status.current_cpu_topology if vmi.status else None
    asked = vmi.spec.domain.cpu.sockets if vmi.spec.domain.cpu else None
    return bool(now and asked and asked > (now.sockets or 1))


def memory_wanted(vmi: VirtualMachineInstance) -> str | int | float | None:
    """What the guest is to have, if that is not what it has."""
    now = vmi.status.memory if vmi.status else None
    asked = vmi.spec.domain.memory.guest if vmi.spec.domain.memory else None
    if now is None or asked is None or now.guest_current is None:
        return None
    want = quantity.whole(asked)
    done = want == quantity.whole(now.guest_current) == quantity.whole(now.guest_requested or now.guest_current)
    return None if done else asked


def more_memory(vmi: VirtualMachineInstance) -> bool:
    now, asked = vmi.status and vmi.status.memory, vmi.spec.domain.memory and vmi.spec.domain.memory.guest
    return bool(now and asked and quantity.whole(asked) >= quantity.whole(now.guest_current or asked))


def make_room(result: Change, vmi: VirtualMachineInstance, pod: Pod, settings: ManagerSettings) -> str:
    """Why the guest must wait; "" when the pod has what it needs."""
    wanted = resources(vmi, settings)
    index = next((n for n, each in enumerate(pod.spec.containers) if each.name == launcher.COMPUTE), 0)
    compute, running = pod.spec.containers[index], pod.container(launcher.COMPUTE)
    ops = list(replacements(wanted, compute.resources.model_dump(), index))
    if ops:
        result.actions.append(Patch(pod, ops, "resize", subresource="resize"))
        result.events.append(Event("PodResize", f"Pod {pod.metadata.name} is resized for the guest"))
        return "the pod is resized"
    pending = pod.condition(PENDING)
    if pending is not None and pending.status == "True":
        return f"{pending.reason or PENDING}: {pending.message or 'the node has no room yet'}"
    given = running.resources.model_dump() if running and running.resources else {}
    if any(replacements(wanted, given, 0)):
        return "the pod is resized"
    return ""


def replacements(wanted: Raw, given: Raw, index: int) -> Iterator[Raw]:
    """A JSON patch of the amounts that grow."""
    for part in ("requests", "limits"):
        for resource in ("cpu", "memory"):
            asked, has = wanted[part].get(resource), given.get(part, {}).get(resource)
            if asked is not None and has is not None and quantity.value(asked) > quantity.value(has):
                path = f"/spec/containers/{index}/resources/{part}/{resource}"
                yield {"op": "replace", "path": path, "value": asked}
