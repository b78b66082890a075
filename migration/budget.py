"""How many guests may move at one time, and which of those that wait is next. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

# KubeVirt's priorities of a migration; what people ask for goes before maintenance
PRIORITIES = {"system-critical": 100, "user-triggered": 50, "": 50, "system-maintenance": 20}


@dataclass(frozen=True)
class Limits:
    """Moves at one time."""

    cluster: int = 5
    outbound: int = 2  # for each node
    inbound: int = 2  # for each node


@dataclass(frozen=True)
class Slot:
    """One move that is not over."""

    uid: str
    source: str
    target: str = ""  # "" until its pod is scheduled
    running: bool = False  # it has a target pod
    copying: bool = False  # its target has been told to take it
    able: bool = True  # not, when it waits for something else than a place
    priority: str = ""
    born: str = ""

    @property
    def rank(self) -> tuple[int, str, str]:
        """The more urgent first, then the older."""
        return -PRIORITIES.get(self.priority, PRIORITIES[""]), self.born, self.uid


def why_wait(uid: str, slots: Iterable[Slot], limits: Limits) -> str:
    """Why this move may not begin yet; "" if it may. Whoever goes before it, and can, has taken its place already."""
    slots = tuple(slots)
    taken = [slot for slot in slots if slot.running]
    waiting = (slot for slot in slots if not slot.running and (slot.able or slot.uid == uid))
    for slot in sorted(waiting, key=lambda slot: slot.rank):
        why = full(slot, taken, limits)
        if slot.uid == uid:
            return why
        if not why:
            taken.append(slot)
    return ""


def full(slot: Slot, taken: list[Slot], limits: Limits) -> str:
    if len(taken) >= limits.cluster:
        return f"{len(taken)} migrations are running; the limit for the cluster is {limits.cluster}"
    leaving = sum(other.source == slot.source for other in taken)
    if leaving >= limits.outbound:
        return f"{leaving} migrations are leaving node {slot.source}; the limit is {limits.outbound}"
    return ""


def why_hold(uid: str, slots: Iterable[Slot], limits: Limits) -> str:
    """Why this move, whose target pod is ready, may not be copied to its node yet; "" if it may."""
    slots = tuple(slots)
    mine = next((slot for slot in slots if slot.uid == uid), None)
    if mine is None:
        return ""
    towards = [slot for slot in slots if slot.running and slot.target == mine.target]
    coming = sum(slot.copying for slot in towards)
    ahead = sum(not slot.copying and slot.rank < mine.rank for slot in towards)
    if coming + ahead >= limits.inbound:
        return f"{coming} migrations are coming to node {mine.target}; the limit is {limits.inbound}"
    return ""
