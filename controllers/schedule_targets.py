"""How what a schedule names goes up and down: a machine by its run strategy or a request, a set by its size. Pure.

A change and the marks that tell of it are one write, so a manager that dies repeats nothing and forgets nothing.
"""

from typing import Any, NamedTuple

from controllers import vm_status
from controllers.vm_instance import dying, final, phase
from controllers.vm_status import run_strategy
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import Resource
from hostler.api.schedule import BEFORE_STOP, SCHEDULED
from hostler.runtime.plan import Patch
from hostler.runtime.protocol import Raw

BY_REQUEST = ("Manual", "RerunOnFailure")  # strategies that leave it to somebody to ask for a start or a stop
SWITCHED_ON = ("Always", "Once")
LARGEST = 2**31 - 1


class Turn(NamedTuple):
    """What is to be done now."""

    action: str  # Start or Stop
    mark: str  # which transition it is: schedule, action and time
    replicas: int = 1  # of a set that is started and of which no size is remembered


class Target(NamedTuple):
    """Something to start and stop; with the instance of its name, if it is a machine."""

    it: Resource
    vmi: VirtualMachineInstance | None = None

    @property
    def name(self) -> str:
        return self.it.metadata.name


def change(target: Target, turn: Turn) -> Patch | None:
    """What makes it so; None if it is so, if somebody has seen to it, or if this very turn was its already."""
    if target.it.metadata.annotations.get(SCHEDULED) == turn.mark:
        return None
    if isinstance(target.it, VirtualMachine):
        return stop(target.it, target.vmi, turn) if turn.action == "Stop" else start(target.it, target.vmi, turn)
    return resize(target.it, turn)


def stop(vm: VirtualMachine, vmi: VirtualMachineInstance | None, turn: Turn) -> Patch | None:
    strategy = run_strategy(vm)
    if strategy in SWITCHED_ON:
        return edit(vm, strategy_spec(vm, "Halted"), turn, before=strategy)
    if strategy not in BY_REQUEST or vmi is None or dying(vmi) or final(vmi):
        return None
    return request(vm, vmi, turn, [{"action": "Stop", "uid": vmi.metadata.uid}])


def start(vm: VirtualMachine, vmi: VirtualMachineInstance | None, turn: Turn) -> Patch | None:
    strategy = run_strategy(vm)
    if strategy == "Halted":
        before = vm.metadata.annotations.get(BEFORE_STOP, "")
        return edit(vm, strategy_spec(vm, before if before in SWITCHED_ON else "Always"), turn)
    if strategy not in BY_REQUEST or (vmi is not None and not dying(vmi) and not final(vmi)):
        return None
    if strategy == "RerunOnFailure" and vmi is not None and phase(vmi) == "Failed":
        return None  # it comes again by itself
    asked = vm_status.open_requests(vm, vmi)
    if vmi is not None and final(vmi) and not asked:
        asked = [{"action": "Stop", "uid": vmi.metadata.uid}]
    return request(vm, vmi, turn, [*(each for each in asked if each["action"] == "Stop"), {"action": "Start"}])


def strategy_spec(vm: VirtualMachine, strategy: str) -> Raw:
    """`running` where that is how this VM says it."""
    if vm.spec.run_strategy is None:
        return {"running": strategy != "Halted"}
    return {"runStrategy": strategy}


def request(vm: VirtualMachine, vmi: VirtualMachineInstance | None, turn: Turn, wishes: list[Raw]) -> Patch | None:
    """What the gateway writes, too; the VM's controller carries it out."""
    if vm_status.open_requests(vm, vmi) == wishes:
        return None
    return Patch(vm, {"status": {"stateChangeRequests": wishes}}, turn.action.lower(), subresource="status", alone=True)


def resize(it: Any, turn: Turn) -> Patch | None:
    """A set is down when its size is 0; a size that somebody, or an autoscaler, gave it meanwhile stays."""
    now = 1 if it.spec.replicas is None else it.spec.replicas
    if turn.action == "Stop":
        return edit(it, {"replicas": 0}, turn, before=str(now)) if now else None
    return None if now else edit(it, {"replicas": remembered(it) or turn.replicas}, turn)


def remembered(it: Resource) -> int | None:
    """The size before the stop, unless somebody wrote nonsense there."""
    text = it.metadata.annotations.get(BEFORE_STOP, "")
    digits = text.isdecimal() and text.isascii()
    short = len(text) <= len(str(LARGEST))  # Python refuses to read very long ones
    return int(text) if digits and short and 0 < int(text) <= LARGEST else None


def edit(it: Resource, spec: Raw, turn: Turn, before: str | None = None) -> Patch:
    marks = {SCHEDULED: turn.mark, BEFORE_STOP: before}
    return Patch(it, {"spec": spec, "metadata": {"annotations": marks}}, turn.action.lower(), alone=True)
