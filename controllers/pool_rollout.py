"""How a pool's VMs follow its template: whose turn it is, and when the update must stop. Pure.

KubeVirt writes a changed template into all VMs at once and restarts them by and by. Here a VM of a proactive pool gets
the template when it is its turn, so that those whose turn has not come stay whole when the update stops.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from controllers import pool_index
from controllers.fractions import share
from controllers.pool_choice import Crew, chosen, replicas, whole
from controllers.pool_revisions import Book, instance
from controllers.vm_status import run_strategy
from hostler.api.kubevirt import pool as api
from hostler.api.kubevirt.pool import REVISION, VirtualMachinePool
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.runtime import conditions
from hostler.runtime.plan import Action, Delete, Event, Patch
from hostler.runtime.protocol import Raw

DEADLINE = 600  # seconds that a VM has to become Ready with the new template: apps/v1's progressDeadlineSeconds
BURST = 250  # VMs a visit


@dataclass
class Steps:
    """What an update does in a visit."""

    actions: list[Action] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True)
class Update:
    """The VMs and the template that they are to follow."""

    crew: Crew
    book: Book

    @property
    def pool(self) -> VirtualMachinePool:
        return self.crew.pool

    @cached_property
    def scope(self) -> list[VirtualMachine]:
        """The VMs that are to follow, in their order."""
        strategy = self.pool.spec.update_strategy
        if strategy and strategy.unmanaged is not None:
            return []
        proactive = strategy.proactive if strategy else None
        return chosen(self.crew, proactive.selection_policy if proactive else None)

    @cached_property
    def outdated(self) -> list[VirtualMachine]:
        """VMs that say another thing than the template."""
        return [vm for vm in self.scope if not self.current(vm)]

    @cached_property
    def behind(self) -> list[VirtualMachine]:
        """VMs that say what the template says, and whose guest is not yet so."""
        return [vm for vm in self.scope if self.current(vm) and self.differs(vm)]

    @cached_property
    def late(self) -> list[VirtualMachine]:
        """VMs that have had their time with the new template, and are not Ready."""
        return [vm for vm in self.tried if self.time_left(vm) <= 0]

    @property
    def tried(self) -> Iterator[VirtualMachine]:
        """VMs that ought to be Ready with the new template, and are not."""
        return (vm for vm in self.scope if self.current(vm) and not self.differs(vm) and self.crew.missing(vm))

    @property
    def running(self) -> bool:
        return proactive(self.pool) and bool(self.outdated or self.behind)

    @property
    def stopped(self) -> bool:
        return self.running and bool(self.late)

    def current(self, vm: VirtualMachine) -> bool:
        return vm.metadata.labels.get(REVISION) in self.book.equal

    def differs(self, vm: VirtualMachine) -> bool:
        """The VM has a guest of another instance's template."""
        vmi = self.crew.guest(vm)
        return vmi is not None and self.book.template(revision(vmi)) != instance(self.book.content)

    def time_left(self, vm: VirtualMachine) -> float:
        since = vm.metadata.annotations.get(api.UPDATED) or vm.metadata.creation_timestamp or ""
        return deadline(self.pool) - (self.crew.now - conditions.parse(since)).total_seconds()

    @cached_property
    def room(self) -> int:
        """How many more VMs may be missing."""
        absent = max(replicas(self.pool) - len(self.crew.vms), 0)
        return most_unavailable(self.pool) - absent - sum(map(self.crew.missing, self.crew.vms))


def proactive(pool: VirtualMachinePool) -> bool:
    strategy = pool.spec.update_strategy
    return strategy is None or (strategy.unmanaged is None and strategy.opportunistic is None)


def deadline(pool: VirtualMachinePool) -> int:
    return whole(pool.metadata.annotations.get(api.PROGRESS_DEADLINE), DEADLINE)


def most_unavailable(pool: VirtualMachinePool) -> int:
    return max(share(pool.spec.max_unavailable, replicas(pool), "100%", up=False), 1)


def revision(vmi: VMI) -> str:
    return vmi.metadata.labels.get(REVISION, "")


def step(update: Update) -> Steps:
    """Guests that are behind are restarted first; then VMs get the template, those that do not work before others."""
    steps = Steps()
    if not proactive(update.pool):
        for vm in update.outdated[:BURST]:
            write(update, vm, steps)
        return steps
    relabel(update, steps)
    if update.stopped:
        return steps
    room = restarts(update, steps)
    give(update, steps, room)
    steps.actions.sort(key=lambda each: isinstance(each, Delete))  # what is side by side is done at once
    return steps


def restarts(update: Update, steps: Steps) -> int:
    """The room that is left for others."""
    room = update.room
    for vm in update.behind:
        vmi = update.crew.guest(vm)
        if vmi is None:
            continue
        if update.crew.available(vm):
            room -= 1  # whether it goes now or has to wait: its turn was before others'
            if room < 0:
                continue
        if asked(vm, vmi):
            continue
        restarted = restart(vm, vmi)
        if update.time_left(vm) < deadline(update.pool) / 2:  # it has waited long for this: its time begins anew
            steps.actions.append(Patch(vm, {"metadata": {"annotations": just_now(update)}}, "restart"))
            if isinstance(restarted, Patch):
                continue  # of the same VM: at the next visit
        steps.actions.append(restarted)
        steps.events.append(Event("SuccessfulDelete", f"Successfully updated resource {place(vm)}"))
    return room


def give(update: Update, steps: Steps, room: int) -> None:
    """The template to VMs whose turn it is: who is not available costs nothing."""
    for vm in update.outdated[:BURST]:
        if update.crew.available(vm):
            if room <= 0:
                continue
            room -= 1
        if disks_differ(update.pool, update.book, vm):
            mark = {"metadata": {"annotations": {api.REPLACED: conditions.stamp(update.crew.now)}}}
            steps.actions += (Patch(vm, mark, "replace"), Delete(vm))
            steps.events.append(Event("SuccessfulDelete", f"Successfully updated resource {place(vm)}"))
        else:
            write(update, vm, steps)


def asked(vm: VirtualMachine, vmi: VMI) -> bool:
    """It has been told to stop, and will."""
    requests = vm.status.state_change_requests if vm.status else ()
    return any(each.action == "Stop" and each.uid == vmi.metadata.uid for each in requests)


def restart(vm: VirtualMachine, vmi: VMI) -> Action:
    """A guest that is deleted comes back, but for the strategies that want to be asked."""
    if run_strategy(vm) not in ("Manual", "RerunOnFailure"):
        return Delete(vmi)
    wish: list[Raw] = [{"action": "Stop", "uid": vmi.metadata.uid}, {"action": "Start"}]
    return Patch(vm, {"status": {"stateChangeRequests": wish}}, "restart", subresource="status")


def relabel(update: Update, steps: Steps) -> None:
    """A guest whose own template has not changed is of the VM's revision as it is."""
    for vm in update.scope:
        vmi, name = update.crew.guest(vm), vm.metadata.labels.get(REVISION, "")
        if vmi is not None and update.current(vm) and not update.differs(vm) and revision(vmi) != name:
            steps.actions.append(Patch(vmi, {"metadata": {"labels": {REVISION: name}}}, "relabel"))


def write(update: Update, vm: VirtualMachine, steps: Steps) -> None:
    """The template, as the VM's index has it, into the VM."""
    number = pool_index.index(update.pool, vm)
    if number is None:
        return
    have = vm.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    change: Raw = {"metadata": marks(update, vm)}
    if spec := difference(have, pool_index.spec(update.book.content, number, update.book.name)):
        change["spec"] = spec
    steps.actions.append(Patch(vm, change, "update"))
    steps.events.append(Event("SuccessfulUpdate", f"Updated VM {place(vm)}"))


def marks(update: Update, vm: VirtualMachine) -> Raw:
    """The template's labels and annotations in place of those that the VM had from the template before."""
    old = update.book.marks(vm.metadata.labels.get(REVISION, ""))
    new: Raw = update.book.content["virtualMachineTemplate"]["metadata"]
    added = {
        "labels": {REVISION: update.book.name},
        "annotations": just_now(update),
    }
    return {
        part: dict.fromkeys(old.get(part, {}), None) | new[part] | added[part] for part in ("labels", "annotations")
    }


def just_now(update: Update) -> Raw:
    return {api.UPDATED: conditions.stamp(update.crew.now)}


def disks_differ(pool: VirtualMachinePool, book: Book, vm: VirtualMachine) -> bool:
    """The VM's own disks are to be others: it is made anew."""
    number = pool_index.index(pool, vm)
    if number is None:
        return False
    wanted = pool_index.spec(book.content, number, "").get("dataVolumeTemplates") or []
    have = vm.spec.model_dump(mode="json", by_alias=True, exclude_unset=True).get("dataVolumeTemplates") or []
    return bool(wanted != have)


def difference(have: Mapping[str, Any], want: Mapping[str, Any]) -> Raw:
    """The merge patch that makes one the other; lists as a whole."""
    change: Raw = {key: None for key in have if key not in want}
    for key, value in want.items():
        known = have.get(key)
        if isinstance(value, dict) and isinstance(known, dict):
            if inner := difference(known, value):
                change[key] = inner
        elif key not in have or known != value:
            change[key] = value
    return change


def place(vm: VirtualMachine) -> str:
    return f"{vm.metadata.namespace}/{vm.metadata.name}"


def done(update: Update) -> int:
    """VMs that are of the template and available, of those that are to be."""
    return sum(update.current(vm) and not update.differs(vm) and update.crew.available(vm) for vm in update.scope)


def wake(update: Update) -> float | None:
    """Seconds until somebody has had its time."""
    return min((left for vm in update.tried if (left := update.time_left(vm)) > 0), default=None)
