"""What a daemon set does on each node: a guest where one is wanted, a new one for an old one, some at a time. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from controllers import members
from controllers.daemonset_nodes import Verdict
from controllers.fractions import share
from hostler.api import apps
from hostler.api.apps import VirtualMachineDaemonSet as DaemonSet
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI


@dataclass(frozen=True)
class Place:
    """A node, and the set's guests on it."""

    node: str
    verdict: Verdict
    vmis: tuple[VMI, ...]
    mark: str  # hash of the newest template
    min_ready: int
    now: datetime

    @cached_property
    def alive(self) -> list[VMI]:
        """The oldest first."""
        return sorted(filter(members.alive, self.vmis), key=lambda vmi: (members.born(vmi), vmi.metadata.name))

    @property
    def first(self) -> VMI | None:
        """The oldest that has not ended, which is what the counts of a status go by."""
        there = (vmi for vmi in self.vmis if not members.finished(vmi))
        return min(there, key=lambda vmi: (members.born(vmi), vmi.metadata.name), default=None)

    @property
    def ended(self) -> list[VMI]:
        return [vmi for vmi in self.vmis if members.finished(vmi) and not members.dying(vmi)]

    @cached_property
    def new(self) -> VMI | None:
        return next((vmi for vmi in self.alive if self.is_new(vmi)), None)

    @cached_property
    def old(self) -> VMI | None:
        return next((vmi for vmi in self.alive if not self.is_new(vmi)), None)

    @property
    def free(self) -> bool:
        """Nobody is there: not even one that still ends, or one that ended so soon that its place is held."""
        return not self.vmis

    def is_new(self, vmi: VMI) -> bool:
        return vmi.metadata.labels.get(apps.REVISION_HASH) == self.mark

    def available(self, vmi: VMI) -> bool:
        return members.available(vmi, self.min_ready, self.now)


@dataclass(frozen=True)
class Moves:
    """Guests to delete, and nodes that get one."""

    deletes: tuple[VMI, ...] = ()
    creates: tuple[str, ...] = ()


def bounds(daemon_set: DaemonSet, wanted: int) -> tuple[int, int]:
    """maxSurge and maxUnavailable, in nodes."""
    strategy = daemon_set.spec.update_strategy
    rolling = strategy.rolling_update if strategy else None
    surge = share(rolling.max_surge if rolling else None, wanted, 0, up=True)
    unavailable = share(rolling.max_unavailable if rolling else None, wanted, 0 if surge else 1, up=True)
    return surge, unavailable if surge or unavailable else 1


def manage(places: Iterable[Place]) -> Moves:
    """Where nobody is and somebody should be; and whoever should not be there, or has ended."""
    deletes: list[VMI] = []
    creates: list[str] = []
    for place in places:
        if not place.verdict.may_stay:
            deletes += [*place.alive, *place.ended]
            continue
        deletes += [vmi for vmi in place.ended if not members.hasty(vmi, place.now)]
        deletes += surplus(place)
        if place.verdict.wanted and place.free:
            creates.append(place.node)
    return Moves(tuple(deletes), tuple(creates))


def surplus(place: Place) -> list[VMI]:
    """One of each template may be there, while one replaces the other: the oldest."""
    kept = {vmi.metadata.uid for vmi in (place.new, place.old) if vmi}
    return [vmi for vmi in place.alive if vmi.metadata.uid not in kept]


def update(daemon_set: DaemonSet, places: Sequence[Place]) -> Moves:
    """The next guests to be replaced; OnDelete leaves that to the user."""
    wanted = [place for place in places if place.verdict.wanted]
    left = [place for place in places if not place.verdict.wanted and place.verdict.may_stay and place.alive]
    strategy = daemon_set.spec.update_strategy
    if strategy and strategy.type == "OnDelete":
        return Moves(both((*wanted, *left)))
    surge, unavailable = bounds(daemon_set, len(wanted))
    if not surge:
        return replacing((*wanted, *left), unavailable)
    steps = surging(wanted, surge)
    # no new one may come beside these: they go at once, as in apps/v1
    return Moves((*steps.deletes, *(place.old for place in left if place.old)), steps.creates)


def both(places: Iterable[Place]) -> tuple[VMI, ...]:
    """Old ones whose successor is there: left from a rollout with a surge."""
    return tuple(place.old for place in places if place.old and place.new and place.available(place.new))


def replacing(places: Sequence[Place], most: int) -> Moves:
    """Who is not available goes anyway; then as many of the others as may be missing at once."""
    broken = [place.old for place in places if place.old and not place.new and not place.available(place.old)]
    missing = [place for place in places if not any(map(place.available, place.alive))]
    good = [place.old for place in places if place.old and not place.new and place.available(place.old)]
    room = max(most - len(missing), 0)
    return Moves((*broken, *good[:room], *both(places)))


def surging(places: Sequence[Place], most: int) -> Moves:
    """A new one beside the old one, which goes when the new one is available."""
    coming = [place for place in places if place.old and place.new and not place.available(place.new)]
    alone = [place for place in places if place.old and not place.new and len(place.alive) == len(place.vmis)]
    broken = [place.node for place in alone if place.old and not place.available(place.old)]
    good = [place.node for place in alone if place.old and place.available(place.old)]
    return Moves(both(places), (*broken, *good[: max(most - len(coming), 0)]))
