"""Which of its pods may run a VMI's guest: the one whose owner epoch is the VMI's. Pure.

The epoch of a VMI only grows, and only by hand-over: one write, refused if the VMI has changed since it was read. A pod
keeps the epoch that it was made with, so there is no moment in which two pods may run the guest.
"""

from datetime import datetime

from hostler.api import launcher
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigrationState
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import Resource
from hostler.runtime import conditions
from hostler.runtime.protocol import Raw


def epoch(thing: Resource, annotation: str = launcher.OWNER_EPOCH) -> int:
    """A VMI's or a pod's; what was never moved is 0. What is no number agrees with nothing."""
    text = thing.metadata.annotations.get(annotation, "0")
    return int(text) if text.isascii() and text.isdigit() else -1


def owns(pod: Resource, vmi: VirtualMachineInstance) -> bool:
    """Whether the guest may run in this pod."""
    owner = pod.metadata.controller
    return owner is not None and owner.uid == vmi.metadata.uid and epoch(pod) == epoch(vmi) >= 0


def moving(vmi: VirtualMachineInstance) -> VirtualMachineInstanceMigrationState | None:
    """The move that is going on, if one is: it is neither completed nor failed."""
    state = vmi.status.migration_state if vmi.status else None
    over = state is None or state.completed or state.failed or not state.migration_uid
    return None if over else state


def hand_over(vmi: VirtualMachineInstance, now: datetime) -> Raw:
    """The patch by which the guest is the target pod's; it must carry the resourceVersion that `vmi` was read with.

    Only for who knows that the guest has ended in the source pod, and is complete in the target.
    """
    state = moving(vmi)
    assert state is not None
    assert vmi.status is not None
    stamp = conditions.stamp(now)
    return {
        "metadata": {
            "resourceVersion": vmi.metadata.resource_version,
            "annotations": {
                launcher.OWNER_EPOCH: str(epoch(vmi, launcher.TARGET_EPOCH)),
                launcher.TARGET_EPOCH: None,
                launcher.PROGRESS: None,
            },
            "labels": {launcher.NODE_NAME: state.target_node, launcher.TARGET_NODE: None},
        },
        "status": {
            "nodeName": state.target_node,
            "activePods": {uid: None for uid, node in vmi.status.active_pods.items() if node != state.target_node},
            "evacuationNodeName": None,
            "migrationState": {
                "completed": True,
                "endTimestamp": stamp,
                "targetNodeDomainDetected": True,
                "targetNodeDomainReadyTimestamp": stamp,
            },
        },
    }


def give_up(vmi: VirtualMachineInstance, why: str, now: datetime, *, aborted: bool = False) -> Raw:
    """The patch by which the move has failed, and the guest stays; with the resourceVersion, as for `hand_over`."""
    state: Raw = {"completed": True, "failed": True, "endTimestamp": conditions.stamp(now), "failureReason": why[:1024]}
    if aborted:
        state["abortStatus"] = "Succeeded"
    return {
        "metadata": {
            "resourceVersion": vmi.metadata.resource_version,
            "annotations": {launcher.TARGET_EPOCH: None, launcher.PROGRESS: None},
            "labels": {launcher.TARGET_NODE: None},
        },
        "status": {"migrationState": state},
    }
