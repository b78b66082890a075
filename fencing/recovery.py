"""What is left of a node that is proven dead, and what must be written about it: pure."""

from collections.abc import Iterable
from datetime import datetime

from hostler.api.fencing import FENCED_BOOT, FENCED_BY, NODE_FENCED, OUT_OF_SERVICE, FenceOperation, FenceProof
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.launcher import OWNER_EPOCH
from hostler.api.objects import Node, Pod, Taint
from hostler.runtime import conditions
from hostler.runtime.conditions import Condition
from hostler.runtime.protocol import Raw

FINAL = ("Succeeded", "Failed")
MIRROR = "kubernetes.io/config.mirror"  # annotation: the kubelet's own picture of a static pod
VALUE = "nodeshutdown"


def taint(node: Node, op: FenceOperation) -> Raw | None:
    """The patch that keeps pods off the node and lets its volumes go; None if it is there."""
    wanted = Taint(key=OUT_OF_SERVICE, value=VALUE, effect="NoExecute")
    others = [each for each in node.spec.taints if each.key != OUT_OF_SERVICE]
    owner = node.metadata.annotations.get(FENCED_BY)
    if len(others) != len(node.spec.taints) and owner == op.metadata.name:
        return None
    marks = {FENCED_BY: op.metadata.name, FENCED_BOOT: op.spec.boot_id}
    return {
        "metadata": {"resourceVersion": node.metadata.resource_version, "annotations": marks},
        "spec": {"taints": plain([*others, wanted])},
    }


def untaint(node: Node) -> Raw:
    """The node is back: the patch that lets pods in again."""
    marks = {FENCED_BY: None, FENCED_BOOT: None}
    return {
        "metadata": {"resourceVersion": node.metadata.resource_version, "annotations": marks},
        "spec": {"taints": plain(each for each in node.spec.taints if each.key != OUT_OF_SERVICE)},
    }


def rejoined(op: FenceOperation, node: Node, boot: str, renewed: bool) -> bool:
    """Whether a node that was fenced may have pods again: another boot than the one that was, alive and ready."""
    return node.metadata.annotations.get(FENCED_BY) == op.metadata.name and (
        boot not in ("", op.spec.boot_id) and renewed and node.ready
    )


def forgotten(node: Node, boot: str, renewed: bool) -> bool:
    """As `rejoined`, of a node whose operation somebody has deleted: what was fenced is written on the node, too."""
    fenced = node.metadata.annotations.get(FENCED_BOOT)
    return fenced is not None and boot not in ("", fenced) and renewed and node.ready


def ended(pods: Iterable[Pod]) -> list[Pod]:
    """The pods that ended with the node. A DaemonSet's would be made anew at once, and a mirror is its kubelet's."""
    return [pod for pod in pods if MIRROR not in pod.metadata.annotations and not made_for_it(pod)]


def held(pod: Pod) -> bool:
    """Nothing of it runs, and it is deleted; that its finalizers keep the object is no concern of ours."""
    return pod.metadata.deletion_timestamp is not None and bool(pod.metadata.finalizers)


def made_for_it(pod: Pod) -> bool:
    """Whether it need not go: a DaemonSet's would be there again at once, and so would one that bears every taint.

    A kubelet says when it starts a pod. One that was never started, and runs no VMI, holds nothing: if it does not bear
    our taint, Kubernetes itself takes it away.
    """
    kind = pod.metadata.controller.kind if pod.metadata.controller else ""
    return kind == "DaemonSet" or (kind != VirtualMachineInstance.kind() and pod.status.start_time is None)


def owners(pods: Iterable[Pod]) -> set[tuple[str, str]]:
    """(namespace, name) of the VMIs that the pods run."""
    return {
        (pod.metadata.namespace, pod.metadata.controller.name)
        for pod in pods
        if pod.metadata.controller and pod.metadata.controller.kind == VirtualMachineInstance.kind()
    }


def lost(vmi: VirtualMachineInstance, node: str) -> bool:
    """Whether this guest ran on the node, or was about to, and was not ended yet."""
    phase = (vmi.status and vmi.status.phase) or ""
    elsewhere = bool(vmi.status and vmi.status.node_name and vmi.status.node_name != node)
    return phase not in FINAL and not elsewhere


def ended_by(vmi: VirtualMachineInstance, op: FenceOperation) -> bool:
    """Whether this operation has ended the guest already."""
    ready = next((each for each in vmi.status.conditions if each.type == "Ready"), None) if vmi.status else None
    return ready is not None and ready.reason == NODE_FENCED and f" ({op.metadata.name}: " in (ready.message or "")


def epoch(annotations: dict[str, str]) -> int:
    """Of an owner; whoever reads a mess starts anew."""
    text = annotations.get(OWNER_EPOCH, "")
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def fail(vmi: VirtualMachineInstance, op: FenceOperation, proof: FenceProof, raised: int, now: datetime) -> Raw:
    """The patch that ends a VMI with its node; whoever holds an older epoch is not its owner any more."""
    node = op.spec.node_name
    why = Condition(False, NODE_FENCED, f"node {node} is off ({op.metadata.name}: {proof.message})")
    passed = vmi.status.phase_transition_timestamps if vmi.status else ()
    transitions = [each.model_dump(mode="json", by_alias=True, exclude_unset=True) for each in passed]
    transitions.append({"phase": "Failed", "phaseTransitionTimestamp": conditions.stamp(now)})
    return {
        "metadata": {
            "resourceVersion": vmi.metadata.resource_version,
            "annotations": {OWNER_EPOCH: str(raised)},
        },
        "status": {
            "phase": "Failed",
            "reason": NODE_FENCED,
            "phaseTransitionTimestamps": transitions,
            "conditions": conditions.update(vmi.status.conditions if vmi.status else (), {"Ready": why}, now),
        },
    }


def plain(taints: Iterable[Taint]) -> list[Raw]:
    return [each.model_dump(mode="json", by_alias=True, exclude_unset=True) for each in taints]
