"""How large each set of a deployment is to be next, as apps/v1 has it. Pure, in whole guests."""

from collections.abc import Sequence
from typing import NamedTuple

from controllers.deployment_sets import Fleet, number, replicas
from controllers.fractions import share
from controllers.members import born, finished
from hostler.api import apps
from hostler.api.apps import VirtualMachineDeployment as Deployment

DEFAULT = "25%"


class Resize(NamedTuple):
    """A set, and its size to be."""

    fleet: Fleet
    size: int


class Bounds(NamedTuple):
    """How far a rolling update may go above and below."""

    surge: int
    unavailable: int


def recreates(deployment: Deployment) -> bool:
    strategy = deployment.spec.strategy
    return strategy is not None and strategy.type == "Recreate"


def bounds(deployment: Deployment) -> Bounds:
    if recreates(deployment):
        return Bounds(0, 0)
    rolling = deployment.spec.strategy.rolling_update if deployment.spec.strategy else None
    wanted = replicas(deployment)
    surge = share(rolling.max_surge if rolling else None, wanted, DEFAULT, up=True)
    unavailable = share(rolling.max_unavailable if rolling else None, wanted, DEFAULT, up=False)
    if not surge and not unavailable:
        unavailable = 1  # percentages of a small number may both come to nothing
    return Bounds(surge, min(unavailable, wanted))


def most(deployment: Deployment) -> int:
    return replicas(deployment) + bounds(deployment).surge


def first_size(deployment: Deployment, old: Sequence[Fleet]) -> int:
    """Of a set that is about to be made."""
    room = most(deployment) - sum(each.size for each in old)
    return max(min(room, replicas(deployment)), 0)


def scaled(deployment: Deployment, fleets: Sequence[Fleet]) -> bool:
    """The deployment's size has changed since its sets got theirs."""
    known = [each.rs.metadata.annotations.get(apps.DESIRED_REPLICAS) for each in fleets if each.size]
    return any(text is not None and text != str(replicas(deployment)) for text in known)


def scale(deployment: Deployment, new: Fleet | None, old: Sequence[Fleet]) -> list[Resize]:
    """A new size outside of, or in the middle of, a rollout."""
    wanted = replicas(deployment)
    active = [each for each in (*old, *([new] if new else [])) if each.size]
    if len(active) <= 1:
        latest = active[0] if active else new or max(old, key=lambda each: born(each.rs), default=None)
        return [Resize(latest, wanted)] if latest else []
    if new and new.size == wanted == new.available and number(new.rs, apps.DESIRED_REPLICAS) == wanted:
        return [Resize(each, 0) for each in active if each is not new]
    return [] if recreates(deployment) else in_proportion(deployment, active)


def in_proportion(deployment: Deployment, active: Sequence[Fleet]) -> list[Resize]:
    """Every set grows or shrinks by its share; what is left over goes to the largest."""
    allowed = most(deployment) if replicas(deployment) else 0
    change = allowed - sum(each.size for each in active)
    age = 1 if change <= 0 else -1  # of two of one size, the older shrinks, the newer grows
    ordered = sorted(active, key=lambda each: (-each.size, age * born(each.rs), each.rs.metadata.name))
    sizes, given = [], 0
    for each in ordered:
        part = fraction(deployment, each) if change and change != given else 0
        part = min(part, change - given) if change > 0 else max(part, change - given)
        sizes.append(each.size + part)
        given += part
    sizes[0] = max(sizes[0] + change - given, 0)
    return [Resize(each, size) for each, size in zip(ordered, sizes, strict=True)]


def fraction(deployment: Deployment, fleet: Fleet) -> int:
    """By how much the set changes if it keeps its share of the whole."""
    if not replicas(deployment):
        return -fleet.size
    before = number(fleet.rs, apps.MAX_REPLICAS)
    if not before:
        before = (deployment.status and deployment.status.replicas) or most(deployment)
    return int(fleet.size * most(deployment) / before + 0.5) - fleet.size


def rolling(deployment: Deployment, new: Fleet, old: Sequence[Fleet]) -> list[Resize]:
    """One step: the new set up as far as the surge allows; else the old sets down as far as the floor allows."""
    wanted, (surge, unavailable) = replicas(deployment), bounds(deployment)
    total = new.size + sum(each.size for each in old)
    if new.size > wanted:
        return [Resize(new, wanted)]
    if new.size < wanted and total < wanted + surge:
        return [Resize(new, min(new.size + wanted + surge - total, wanted))]
    floor = wanted - unavailable
    spare = total - floor - max(new.size - new.available, 0)
    return shrink(new, old, spare, floor) if spare > 0 else []


def shrink(new: Fleet, old: Sequence[Fleet], spare: int, floor: int) -> list[Resize]:
    """Who is not available goes first, the oldest set's first; then the available above the floor."""
    ordered = sorted((each for each in old if each.size), key=lambda each: born(each.rs))
    sizes = {}
    for each in ordered:
        idle = min(spare, each.size - each.kept)
        sizes[each.rs.metadata.uid] = each.size - idle
        spare -= idle
    above = new.kept + sum(each.kept for each in ordered) - floor
    for each in ordered:
        size = sizes[each.rs.metadata.uid]
        gone = max(min(above, size), 0)
        sizes[each.rs.metadata.uid] = size - gone
        above -= gone
    return [Resize(each, size) for each in ordered if (size := sizes[each.rs.metadata.uid]) != each.size]


def recreating(deployment: Deployment, new: Fleet | None, old: Sequence[Fleet]) -> list[Resize]:
    """All of the old ones first, and only when their guests have ended the new ones."""
    if down := [Resize(each, 0) for each in old if each.size]:
        return down
    return [Resize(new, replicas(deployment))] if new and cleared(old) else []


def cleared(old: Sequence[Fleet]) -> bool:
    """No guest of an old set is left; one that is being deleted still holds its disks."""
    return all(finished(vmi) for each in old for vmi in each.vmis)
