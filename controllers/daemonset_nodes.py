"""Which nodes a daemon set's guests are for, as the scheduler and apps/v1 have it. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from hostler.api import launcher
from hostler.api.core import NodeSelectorRequirement, NodeSelectorTerm, Toleration
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.kubevirt.vmi import VirtualMachineInstanceSpec
from hostler.api.objects import Node, Taint
from hostler.runtime.protocol import Raw

NAME = "metadata.name"
# what every daemon set bears: its guests stay where others would not
TOLERATIONS: tuple[Raw, ...] = (
    {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
    {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"},
    {"key": "node.kubernetes.io/disk-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/pid-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"},
)
BORNE = tuple(Toleration.model_validate(each) for each in TOLERATIONS)


class Verdict(NamedTuple):
    """Whether a guest is to be on a node, and whether one that is there may stay."""

    wanted: bool
    may_stay: bool


def verdict(spec: VirtualMachineInstanceSpec, node: Node, *, occupied: bool) -> Verdict:
    """A node whose agent is away takes no new guest, but keeps the one that runs."""
    if not selected(spec, node):
        return Verdict(False, False)
    takes_guests = node.metadata.labels.get(launcher.SCHEDULABLE) == "true"
    bad = [each for each in node.spec.taints if not tolerated(each, (*spec.tolerations, *BORNE))]
    effects = {each.effect for each in bad}
    if effects & {"NoSchedule", "NoExecute"}:
        return Verdict(False, "NoExecute" not in effects)
    return Verdict(takes_guests or occupied, True)


def selected(spec: VirtualMachineInstanceSpec, node: Node) -> bool:
    labels = node.metadata.labels
    if any(labels.get(key) != value for key, value in spec.node_selector.items()):
        return False
    affinity = spec.affinity.node_affinity if spec.affinity else None
    required = affinity.required_during_scheduling_ignored_during_execution if affinity else None
    return required is None or any(fits(term, node) for term in required.node_selector_terms)


def fits(term: NodeSelectorTerm, node: Node) -> bool:
    """All of a term's requirements; a term without any fits no node."""
    if not term.match_expressions and not term.match_fields:
        return False
    names = {NAME: node.metadata.name}
    return all(holds(each, node.metadata.labels) for each in term.match_expressions) and all(
        holds(each, names) for each in term.match_fields
    )


def holds(requirement: NodeSelectorRequirement, values: dict[str, str]) -> bool:
    found = values.get(requirement.key)
    answers = {
        "In": found in requirement.values,
        "NotIn": found not in requirement.values,
        "Exists": found is not None,
        "DoesNotExist": found is None,
        "Gt": compared(found, requirement) > 0,
        "Lt": compared(found, requirement) < 0,
    }
    return answers.get(requirement.operator, False)


def compared(found: str | None, requirement: NodeSelectorRequirement) -> int:
    """The label's number against the requirement's; 0 also where there are none."""
    try:
        return int(found or "") - int(requirement.values[0])
    except (ValueError, IndexError):
        return 0


def tolerated(taint: Taint, tolerations: Iterable[Toleration]) -> bool:
    for each in tolerations:
        if each.effect and each.effect != taint.effect:
            continue
        if each.key and each.key != taint.key:
            continue
        if each.operator == "Exists" or (each.key and (each.value or "") == (taint.value or "")):
            return True
    return False


def bound_to(spec: Raw, node: str) -> Raw:
    """A guest's spec that only one node fits."""
    affinity = spec.get("affinity") or {}
    here = {"nodeSelectorTerms": [{"matchFields": [{"key": NAME, "operator": "In", "values": [node]}]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": here}
    on_node = (affinity.get("nodeAffinity") or {}) | required
    known = spec.get("tolerations") or []
    tolerations = [*known, *(each for each in TOLERATIONS if each not in known)]
    return spec | {"affinity": affinity | {"nodeAffinity": on_node}, "tolerations": tolerations}


def node_of(vmi: VMI) -> str:
    """The node that a guest is bound to."""
    affinity = vmi.spec.affinity.node_affinity if vmi.spec.affinity else None
    required = affinity.required_during_scheduling_ignored_during_execution if affinity else None
    for term in required.node_selector_terms if required else ():
        for each in term.match_fields:
            if each.key == NAME and each.operator == "In" and each.values:
                return each.values[0]
    return (vmi.status and vmi.status.node_name) or ""
