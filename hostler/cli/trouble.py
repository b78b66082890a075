"""Why a rollout does not get on: what a set and its guests that are not Ready say of themselves. Pure but for `of`."""

from collections import Counter
from collections.abc import Iterable, Iterator

from hostler.api.kubevirt.pool import VirtualMachinePool
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import LabelSelector
from hostler.api.objects import Event
from hostler.cli.describe import when
from hostler.cli.revisions import Found
from hostler.runtime import selectors
from hostler.runtime.protocol import Kind, Kube, Raw

# in the order in which one is the cause of the next
TELLING = ("PodScheduled", "Synchronized", "Failure", "Ready")
FAILURES = ("Failure", "ReplicaFailure")  # conditions that are trouble when they are True
# reasons for which only patience is wanted
PASSING = ("GuestNotRunning", "PodTerminating", "VMINotExists")


async def of(kube: Kube, found: Found) -> list[str]:
    """A line each; the cause of most guests first. Empty when nothing but time is needed."""
    member: Kind = VirtualMachine if found.kind is VirtualMachinePool else VirtualMachineInstance
    namespace = found.body["metadata"]["namespace"]
    labels = selectors.text(LabelSelector.model_validate(found.body["spec"]["selector"]))
    guests, _ = await kube.list(member, namespace, labels=labels)
    if told := causes(found.body, guests):
        return told
    events, _ = await kube.list(Event, namespace, fields=f"regarding.uid={found.body['metadata']['uid']}")
    return refusals(events)


def causes(workload: Raw, guests: Iterable[Raw]) -> list[str]:
    reasons: Counter[str] = Counter()
    first: dict[str, str] = {}  # reason -> the guest that is named, and what it says
    for guest in sorted(guests, key=lambda each: str(each["metadata"]["name"])):
        if said := cause(guest):
            reasons[said["reason"]] += 1
            first.setdefault(said["reason"], f"{guest['metadata']['name']}: {text(said)}")
    told = [text(each) for each in unwelcome(workload, FAILURES)]
    for reason, number in reasons.most_common():
        told.append(first[reason] + (f" (and {number - 1} more)" if number > 1 else ""))
    return told


def cause(guest: Raw) -> Raw | None:
    """The condition that says why a guest is not Ready, if one does."""
    found = {each["type"]: each for each in unwelcome(guest, TELLING)}
    return next((found[kind] for kind in TELLING if kind in found), None)


def unwelcome(body: Raw, kinds: tuple[str, ...]) -> Iterator[Raw]:
    for each in (body.get("status") or {}).get("conditions") or []:
        bad = "True" if each["type"] in FAILURES else "False"
        if each["type"] in kinds and each["status"] == bad and each.get("reason", "") not in ("", *PASSING):
            yield each


def refusals(events: Iterable[Raw]) -> list[str]:
    """The last of what could not be done, of a set that has no condition for it."""
    warnings = [each for each in events if each.get("type") == "Warning" and each.get("reason") == "FailedCreate"]
    last = max(warnings, key=when, default=None)
    return [f"{last['reason']}: {last.get('note', '')}"] if last else []


def text(condition: Raw) -> str:
    return ": ".join(filter(None, (condition["reason"], condition.get("message", ""))))
