"""Which of a pool's VMs go, or follow the template, first: selectors, sort policies, and who has failed. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from controllers import members, pool_index
from controllers.vm_instance import final
from controllers.vm_status import run_strategy
from hostler.api.core import NodeSelectorRequirement
from hostler.api.kubevirt import pool as api
from hostler.api.kubevirt.pool import VirtualMachinePool, VirtualMachinePoolSelectionPolicy, VirtualMachinePoolSelectors
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.meta import Condition
from hostler.runtime import conditions, names, selectors

FAILURES = 3  # failed starts in a row after which a VM is replaced,
FAILING = 300.0  # or so many seconds for which it says that it cannot start
FAILED = (
    "CrashLoopBackOff",
    "DataVolumeError",
    "ErrImagePull",
    "ErrorPvcNotFound",
    "ErrorUnschedulable",
    "ImagePullBackOff",
)
SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Crew:
    """A pool's VMs that are not being deleted, and their guests by VM's name."""

    pool: VirtualMachinePool
    vms: tuple[VirtualMachine, ...]
    now: datetime
    guests: Mapping[str, VMI] = field(default_factory=dict)

    def guest(self, vm: VirtualMachine) -> VMI | None:
        """The guest that the VM has now, if it has one that lives."""
        vmi = self.guests.get(vm.metadata.name)
        return vmi if vmi is not None and members.alive(vmi) else None

    def available(self, vm: VirtualMachine) -> bool:
        vmi = self.guest(vm)
        return vmi is not None and members.available(vmi, min_ready(self.pool), self.now)

    def ready(self, vm: VirtualMachine) -> bool:
        vmi = self.guest(vm)
        return vmi is not None and members.ready(vmi)

    def resting(self, vm: VirtualMachine) -> bool:
        """It has no guest because its user wants none, or its guest has done what it had to do."""
        vmi = self.guests.get(vm.metadata.name)
        said = vm.status.printable_status if vm.status else None
        return run_strategy(vm) != "Always" and said == "Stopped" and (vmi is None or final(vmi))

    def missing(self, vm: VirtualMachine) -> bool:
        """It ought to be there for its users, and is not."""
        return not self.available(vm) and not self.resting(vm)


def replicas(pool: VirtualMachinePool) -> int:
    return 1 if pool.spec.replicas is None else pool.spec.replicas


def min_ready(pool: VirtualMachinePool) -> int:
    return whole(pool.metadata.annotations.get(api.MIN_READY), 0)


def whole(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isdecimal() else default


# in which order

SortKey = tuple[bool | float | int | str, ...]
Policy = Callable[[Crew, VirtualMachine], SortKey]


def number(crew: Crew, vm: VirtualMachine) -> int:
    return pool_index.index(crew.pool, vm) or 0


def at_random(crew: Crew, vm: VirtualMachine) -> SortKey:
    """The same whenever it is asked, so that who was chosen stays so; and of those any, who is not Ready goes first."""
    return crew.ready(vm), names.suffix(f"{crew.pool.metadata.uid}/{vm.metadata.uid}")


POLICIES: Mapping[str, Policy] = {
    "AscendingOrder": lambda crew, vm: (number(crew, vm),),
    "DescendingOrder": lambda crew, vm: (-number(crew, vm),),
    "Newest": lambda crew, vm: (-members.born(vm), -number(crew, vm)),
    "Oldest": lambda crew, vm: (members.born(vm), number(crew, vm)),
    "Random": at_random,
}


def chosen(crew: Crew, policy: VirtualMachinePoolSelectionPolicy | None) -> list[VirtualMachine]:
    """The VMs that a policy is about, the first to go first."""
    key = POLICIES.get((policy and policy.sort_policy) or "", at_random)
    wanted = policy.selectors if policy else None
    found = (vm for vm in crew.vms if wanted is None or selected(wanted, vm))
    return sorted(found, key=lambda vm: key(crew, vm))


def selected(wanted: VirtualMachinePoolSelectors, vm: VirtualMachine) -> bool:
    """By the labels and the nodeSelector of the VM's template; what is not asked about is content."""
    template = vm.spec.template
    labels = template.metadata.labels if template.metadata else {}
    nodes = template.spec.node_selector if template.spec else {}
    by_label = wanted.label_selector
    return (
        by_label is None
        or not (by_label.match_labels or by_label.match_expressions)
        or selectors.matches(by_label, labels)
    ) and all(holds(each, nodes) for each in wanted.node_selector_requirement_matcher)


def holds(requirement: NodeSelectorRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            return compares(value, operator, requirement.values)
    return False


def compares(value: str | None, operator: str, limits: tuple[str, ...]) -> bool:
    if value is None or len(limits) != 1 or not all(re.fullmatch("-?[0-9]+", each) for each in (value, *limits)):
        return False
    return int(value) > int(limits[0]) if operator == "Gt" else int(value) < int(limits[0])


# who goes


def surplus(crew: Crew, going: Sequence[VirtualMachine] = ()) -> list[VirtualMachine]:
    """Who goes, too, because there are too many; nobody, where somebody else is to take them away."""
    strategy, count = crew.pool.spec.scale_in_strategy, len(crew.vms) - len(going) - replicas(crew.pool)
    if count <= 0 or (strategy and (strategy.unmanaged is not None or strategy.opportunistic is not None)):
        return []
    proactive = strategy.proactive if strategy else None
    known = {vm.metadata.uid for vm in going}
    ranked = chosen(crew, proactive.selection_policy if proactive else None)
    return [vm for vm in ranked if vm.metadata.uid not in known][:count]


def keeps_when_scaled(pool: VirtualMachinePool) -> bool:
    """Whether the disks of a VM that we take away stay."""
    strategy = pool.spec.scale_in_strategy
    return bool(strategy and strategy.proactive and preserves(strategy.proactive.state_preservation))


def keeps_when_deleted(pool: VirtualMachinePool) -> bool:
    """Whether the disks of a VM that somebody else deletes stay."""
    strategy = pool.spec.scale_in_strategy
    return bool(strategy and strategy.opportunistic and preserves(strategy.opportunistic.state_preservation))


def preserves(state: str | None) -> bool:
    """Online, too, keeps the disks; the memory goes, as in KubeVirt."""
    return state in ("Offline", "Online")


def failing_in(crew: Crew, vm: VirtualMachine) -> float | None:
    """Seconds until the VM has failed to start for long enough to be replaced; None if it does not fail."""
    healing = crew.pool.spec.autohealing
    if healing is None or vm.status is None:
        return None
    most = FAILURES if healing.start_up_failure_threshold is None else healing.start_up_failure_threshold
    start = vm.status.start_failure
    if start is not None and (start.consecutive_fail_count or 0) >= most:
        return 0.0
    known = unready(vm)
    if vm.status.printable_status not in FAILED or known is None or known.last_transition_time is None:
        return None
    patience = FAILING
    if healing.min_failing_to_start_duration is not None:
        patience = seconds(healing.min_failing_to_start_duration)
    return max(0.0, patience - (crew.now - conditions.parse(known.last_transition_time)).total_seconds())


def unready(vm: VirtualMachine) -> Condition | None:
    found = vm.status.conditions if vm.status else ()
    return next((each for each in found if each.type == "Ready" and each.status == "False"), None)


def seconds(duration: str) -> float:
    """Of a duration as Go writes it: 5m, 1h30m, 1.5s."""
    return sum(float(value) * SECONDS[unit] for value, unit in re.findall(r"([0-9.]+)(ns|us|ms|s|m|h)", duration))


def soonest(waits: Iterable[float | None]) -> float | None:
    return members.soonest(*(each for each in waits if each))
