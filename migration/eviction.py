"""What becomes of a launcher pod that is to be evicted, by its VMI's evictionStrategy; KubeVirt's answers. Pure."""

from dataclasses import dataclass
from typing import Literal

from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import Resource

Say = Literal["allow", "deny", "mark"]  # mark: deny, and have the guest move away


@dataclass(frozen=True)
class Answer:
    """Whether the pod may go now; a denial is HTTP 429: try again later."""

    say: Say
    message: str = ""


ALLOW = Answer("allow")


def answer(pod: Resource, node: str, vmi: VirtualMachineInstance | None) -> Answer:
    """Of a pod on this node, whose VMI is as it is now."""
    strategy = (vmi and vmi.spec.eviction_strategy) or "None"
    owner = pod.metadata.controller
    if vmi is None or owner is None or owner.uid != vmi.metadata.uid or strategy == "None":
        return ALLOW
    status = vmi.status
    if status is None or status.phase in ("Succeeded", "Failed") or vmi.metadata.deletion_timestamp:
        return ALLOW
    if node != status.node_name:
        return ALLOW  # a pod that the guest has left, or has not reached: the disruption budget decides
    if not migratable(vmi) and strategy != "External":
        why = f"VMI {vmi.metadata.name} is configured with an eviction strategy but is not live-migratable"
        return Answer("deny", why) if strategy == "LiveMigrate" else ALLOW
    triggered = f'Eviction triggered evacuation of VMI "{vmi.metadata.namespace}/{vmi.metadata.name}"'
    if status.evacuation_node_name == node:
        return Answer("deny", f"Evacuation in progress: {triggered}")
    return Answer("mark", triggered)


def moves_away(vmi: VirtualMachineInstance) -> bool:
    """Whether we move it: External is somebody else's to move."""
    strategy = vmi.spec.eviction_strategy or "None"
    return strategy in ("LiveMigrate", "LiveMigrateIfPossible") and migratable(vmi)


def protected(vmi: VirtualMachineInstance) -> bool:
    """Whether a disruption budget guards its pod."""
    strategy = vmi.spec.eviction_strategy or "None"
    return strategy in ("LiveMigrate", "External") or moves_away(vmi)


def migratable(vmi: VirtualMachineInstance) -> bool:
    found = vmi.status.conditions if vmi.status else ()
    return any(each.type == "LiveMigratable" and each.status == "True" for each in found)


def launched(pod: Resource) -> bool:
    return pod.metadata.labels.get(launcher.APP_LABEL) == launcher.APP_VALUE
