"""Clears the place of a node that is proven dead: taint first, so that nothing starts there, then VMIs, then pods."""

import logging
from datetime import UTC, datetime

from fencing import recovery
from fencing.dialogue import Cleared
from hostler.api.fencing import EndedInstance, FenceOperation, FenceProof
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.launcher import OWNER_EPOCH
from hostler.api.objects import Node, Pod
from hostler.runtime.errors import Conflict, NotFound
from hostler.runtime.events import Recorder
from hostler.runtime.plan import Event
from hostler.runtime.protocol import Kube

NAMED = 5  # pods that are told by name

log = logging.getLogger(__name__)


async def clear(
    kube: Kube, recorder: Recorder, op: FenceOperation, proof: FenceProof
) -> tuple[Cleared, list[EndedInstance]]:
    """One round; safe to repeat. The VMIs that this round ended."""
    await _taint(kube, op)
    pods = [Pod.model_validate(raw) for raw in (await kube.list(Pod, fields=f"spec.nodeName={op.spec.node_name}"))[0]]
    dead = recovery.ended(pods)
    instances = [
        ended for place in sorted(recovery.owners(dead)) if (ended := await _fail(kube, recorder, place, op, proof))
    ]
    for pod in dead:
        await _delete(kube, pod)
    held = sorted(f"{pod.metadata.namespace}/{pod.metadata.name}" for pod in dead if recovery.held(pod))
    return Cleared(len(dead) - len(held), f"; held by their finalizers: {some(held)}" if held else ""), instances


def some(names: list[str]) -> str:
    """The first few, and how many more."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


async def _taint(kube: Kube, op: FenceOperation) -> None:
    try:
        node = Node.model_validate(await kube.get(Node, None, op.spec.node_name))
    except NotFound:
        return  # without a node nothing is scheduled there
    if patch := recovery.taint(node, op):
        await kube.patch(Node, None, op.spec.node_name, patch)


async def _fail(
    kube: Kube, recorder: Recorder, place: tuple[str, str], op: FenceOperation, proof: FenceProof
) -> EndedInstance | None:
    """The owner's epoch first: once the VMI has ended, its VM may make another at any moment."""
    try:
        vmi = VirtualMachineInstance.model_validate(await kube.get(VirtualMachineInstance, *place))
        if recovery.ended_by(vmi, op):  # and then our predecessor ended, before it could say so
            return instance(vmi, recovery.epoch(vmi.metadata.annotations))
        if not recovery.lost(vmi, op.spec.node_name):
            return None
        raised = await _raise_epoch(kube, vmi)
        patch = recovery.fail(vmi, op, proof, raised, datetime.now(UTC))
        await kube.patch(VirtualMachineInstance, *place, patch)
    except NotFound:
        return None
    note = f"node {op.spec.node_name} was fenced ({op.metadata.name}): {proof.message}"
    recorder.record(vmi, Event("NodeFenced", note, "Warning"))
    log.info("ended", extra={"object": "/".join(place), "epoch": raised, "operation": op.metadata.name})
    return instance(vmi, raised)


def instance(vmi: VirtualMachineInstance, epoch: int) -> EndedInstance:
    meta = vmi.metadata
    return EndedInstance(namespace=meta.namespace, name=meta.name, uid=meta.uid, epoch=epoch)


async def _raise_epoch(kube: Kube, vmi: VirtualMachineInstance) -> int:
    """One more than the VMI and its VM, which outlives it, ever had; written to the VM by compare-and-swap."""
    known = recovery.epoch(vmi.metadata.annotations)
    owner, namespace = vmi.metadata.controller, vmi.metadata.namespace
    if owner is None or owner.kind != VirtualMachine.kind():
        return known + 1
    try:
        meta = (await kube.get(VirtualMachine, namespace, owner.name))["metadata"]
    except NotFound:
        return known + 1  # no owner, no heir
    if meta["uid"] != owner.uid:
        return known + 1
    raised = max(known, recovery.epoch(meta.get("annotations") or {})) + 1
    annotations = {OWNER_EPOCH: str(raised)}
    patch = {"metadata": {"resourceVersion": meta["resourceVersion"], "annotations": annotations}}
    await kube.patch(VirtualMachine, namespace, owner.name, patch)
    return raised


async def _delete(kube: Kube, pod: Pod) -> None:
    """Without grace: the kubelet that would end it is no more. A pod of the same name with another UID stays."""
    meta = pod.metadata
    try:
        await kube.delete(Pod, meta.namespace, meta.name, uid=meta.uid, grace=0)
    except (NotFound, Conflict):
        return
    log.info("deleted", extra={"object": f"{meta.namespace}/{meta.name}", "uid": meta.uid})
