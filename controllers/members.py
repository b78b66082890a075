"""What sets of guests have in common: who belongs to them, who is ready, and what a new member is made of. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar

from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.kubevirt.vmi import VirtualMachineInstanceTemplateSpec
from hostler.api.meta import LabelSelector, Resource
from hostler.runtime import conditions, selectors
from hostler.runtime.plan import Patch, owner_reference
from hostler.runtime.protocol import Raw

FINAL = ("Succeeded", "Failed")
SHORT_LIFE = 60.0  # seconds: a member that ends sooner may do so again and again,
HOLD = 10.0  # so its place stays empty for this long

R = TypeVar("R", bound=Resource)


def finished(vmi: VMI) -> bool:
    return vmi.status is not None and vmi.status.phase in FINAL


def dying(obj: Resource) -> bool:
    return obj.metadata.deletion_timestamp is not None


def alive(vmi: VMI) -> bool:
    return not finished(vmi) and not dying(vmi)


def ready_since(vmi: VMI) -> datetime | None:
    """Since when the guest has been Ready; None if it is not."""
    for each in vmi.status.conditions if vmi.status else ():
        if each.type == "Ready" and each.status == "True":
            return conditions.parse(each.last_transition_time or vmi.metadata.creation_timestamp or "")
    return None


def ready(vmi: VMI) -> bool:
    return vmi.status is not None and any(c.type == "Ready" and c.status == "True" for c in vmi.status.conditions)


def available_in(vmi: VMI, min_ready: int | None, now: datetime) -> float | None:
    """Seconds until the guest has been Ready for long enough, 0 if it has; None if it is not Ready."""
    if not alive(vmi) or not ready(vmi):
        return None
    since = ready_since(vmi) if min_ready else None
    return max(0.0, (min_ready or 0) - (now - since).total_seconds()) if since else 0.0


def available(vmi: VMI, min_ready: int | None, now: datetime) -> bool:
    return available_in(vmi, min_ready, now) == 0


def next_available(vmis: Iterable[VMI], min_ready: int | None, now: datetime) -> float | None:
    """Seconds until one more of them is available by the clock alone."""
    if not min_ready:
        return None
    return min((left for vmi in vmis if (left := available_in(vmi, min_ready, now))), default=None)


def soonest(*waits: float | None) -> float | None:
    """The next reason for a visit."""
    return min((each for each in waits if each is not None), default=None)


def born(obj: Resource) -> float:
    return conditions.parse(obj.metadata.creation_timestamp or "").timestamp()


def end_time(vmi: VMI) -> float | None:
    passed = vmi.status.phase_transition_timestamps if vmi.status else ()
    times = (each.phase_transition_timestamp for each in passed if each.phase in FINAL)
    return next((conditions.parse(time).timestamp() for time in times if time), None)


def hasty(vmi: VMI, now: datetime) -> bool:
    """It ended so soon after its birth that its place is to stay empty for a while."""
    end = end_time(vmi)
    return end is not None and end - born(vmi) < SHORT_LIFE and now.timestamp() - end < HOLD


def replaceable(ended: Iterable[VMI], now: datetime) -> tuple[list[VMI], list[VMI]]:
    """Those to delete and replace now, and those whose place stays empty for a while."""
    due: list[VMI] = []
    held: list[VMI] = []
    for vmi in ended:
        (held if hasty(vmi, now) else due).append(vmi)
    return due, held


def membership(
    owner: Resource, selector: LabelSelector, owned: Iterable[R], orphans: Iterable[R]
) -> tuple[list[R], tuple[Patch, ...]]:
    """Who belongs to an owner and is not being deleted, and the patches that take in and let go."""
    members: list[R] = []
    strangers: list[R] = []
    for each in owned:
        if not dying(each):
            (members if selectors.matches(selector, each.metadata.labels) else strangers).append(each)
    found = [each for each in orphans if not dying(each) and selectors.matches(selector, each.metadata.labels)]
    moves = (*(release(owner, each) for each in strangers), *(adopt(owner, each) for each in found))
    return members + found, moves


def adopt(owner: Resource, found: Resource) -> Patch:
    """Only while the owner lives: one that is being deleted with --cascade=orphan has just let it go."""
    owners = [each.model_dump(by_alias=True, exclude_unset=True) for each in found.metadata.owner_references]
    return Patch(found, {"metadata": {"ownerReferences": [*owners, owner_reference(owner)]}}, "adopt", alive=owner)


def release(owner: Resource, member: Resource) -> Patch:
    others = [each for each in member.metadata.owner_references if each.uid != owner.metadata.uid]
    left = [each.model_dump(by_alias=True, exclude_unset=True) for each in others]
    return Patch(member, {"metadata": {"ownerReferences": left}}, "release")


def template_raw(template: VirtualMachineInstanceTemplateSpec) -> Raw:
    """A template in one form, whichever way it was written: two are equal when these are."""
    meta = template.metadata
    return {
        "metadata": {
            "labels": dict(meta.labels) if meta else {},
            "annotations": dict(meta.annotations) if meta else {},
        },
        "spec": template.spec.model_dump(mode="json", by_alias=True, exclude_unset=True) if template.spec else {},
    }


def guest(owner: Resource, name: str, template: Raw, now: datetime) -> Raw:
    """One VMI of a template in that form; its first phase and its finalizer are there from the start."""
    pending: dict[str, Any] = {"phase": "Pending", "phaseTransitionTimestamp": conditions.stamp(now)}
    return {
        "metadata": {
            "name": name,
            "namespace": owner.metadata.namespace,
            "labels": template["metadata"]["labels"],
            "annotations": template["metadata"]["annotations"],
            "finalizers": [launcher.VMI_FINALIZER],
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": template["spec"],
        "status": {"phase": "Pending", "phaseTransitionTimestamps": [pending]},
    }
