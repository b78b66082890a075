"""Which guests of a stateful set come and go next, in order, as apps/v1 has it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from controllers import members
from controllers import statefulset_identity as identity
from controllers.fractions import share
from hostler.api import apps
from hostler.api.apps import VirtualMachineStatefulSet as StatefulSet
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI


@dataclass(frozen=True)
class Row:
    """The set's guests by their number, and the revisions that they are to be of."""

    stateful_set: StatefulSet
    guests: Mapping[int, VMI]
    current: str  # names of revisions
    update: str
    now: datetime

    def available(self, vmi: VMI | None) -> bool:
        return vmi is not None and members.available(vmi, self.stateful_set.spec.min_ready_seconds, self.now)

    def revision(self, number: int) -> str:
        """Of a guest that is made now: below the partition it stays the old one."""
        return self.current if number < floor(self.stateful_set) else self.update

    def outdated(self, number: int) -> bool:
        vmi = self.guests.get(number)
        return vmi is not None and members.alive(vmi) and of(vmi) != self.update and number >= floor(self.stateful_set)

    @property
    def condemned(self) -> list[int]:
        """The highest first."""
        return sorted(set(self.guests) - set(identity.numbers(self.stateful_set)), reverse=True)


@dataclass
class Moves:
    """Numbers to fill, and guests to delete."""

    creates: list[int]
    deletes: list[VMI]


def of(vmi: VMI) -> str:
    return vmi.metadata.labels.get(apps.REVISION_HASH, "")


def on_delete(stateful_set: StatefulSet) -> bool:
    strategy = stateful_set.spec.update_strategy
    return strategy is not None and strategy.type == "OnDelete"


def floor(stateful_set: StatefulSet) -> int:
    """The lowest number that follows the template."""
    strategy = stateful_set.spec.update_strategy
    rolling = strategy.rolling_update if strategy else None
    return identity.first(stateful_set) + ((rolling and rolling.partition) or 0)


def most_unavailable(stateful_set: StatefulSet) -> int:
    strategy = stateful_set.spec.update_strategy
    rolling = strategy.rolling_update if strategy else None
    value = rolling.max_unavailable if rolling else None
    return max(share(value, identity.replicas(stateful_set), 1, up=False), 1)


def ordered(stateful_set: StatefulSet) -> bool:
    return stateful_set.spec.pod_management_policy != "Parallel"


def step(row: Row) -> Moves:
    """Fill the row from its beginning, empty it from its end, renew it from its end; one after another if ordered."""
    moves = Moves([], [])
    if fill(row, moves) and empty(row, moves) and not on_delete(row.stateful_set):
        renew(row, moves)
    return moves


def fill(row: Row, moves: Moves) -> bool:
    """Whether there may be more to do after it."""
    one_by_one = ordered(row.stateful_set)
    for number in identity.numbers(row.stateful_set):
        vmi = row.guests.get(number)
        if row.available(vmi):
            continue
        if vmi is None:
            moves.creates.append(number)
        elif members.finished(vmi) and not members.dying(vmi):
            if not members.hasty(vmi, row.now):
                moves.deletes.append(vmi)
        elif one_by_one and row.outdated(number) and not members.ready(vmi) and not on_delete(row.stateful_set):
            moves.deletes.append(vmi)  # it does not work and is not wanted: apps/v1 would wait for it for ever
        if one_by_one:
            return False
    return True


def empty(row: Row, moves: Moves) -> bool:
    """Those beyond the row's end; one that is not available makes the others wait, unless it is the first such."""
    one_by_one = ordered(row.stateful_set)
    broken = [number for number in row.condemned if not row.available(row.guests[number])]
    for number in row.condemned:
        vmi = row.guests[number]
        if not members.dying(vmi):
            if one_by_one and number in broken and number != min(broken):
                return False
            moves.deletes.append(vmi)
        if one_by_one:
            return False
    return True


def renew(row: Row, moves: Moves) -> None:
    """The highest first, as many as may be missing at once; who is not available is missing already."""
    numbers = identity.numbers(row.stateful_set)
    missing = sum(not row.available(row.guests.get(number)) for number in numbers)
    room = max(most_unavailable(row.stateful_set) - missing, 0)
    for number in reversed(numbers):
        if not row.outdated(number):
            continue
        vmi = row.guests[number]
        if not row.available(vmi):
            moves.deletes.append(vmi)
        elif room:
            moves.deletes.append(vmi)
            room -= 1
