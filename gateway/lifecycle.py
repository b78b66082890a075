"""Start, stop and restart of a VirtualMachine, as KubeVirt decides it: VM and VMI in, patches out. Pure.

What is written is a wish: the run strategy, or a request in status.stateChangeRequests, that the VM's controller
carries out.
"""

from dataclasses import dataclass

from gateway.refusals import VM, Refusal, bad_request, conflict
from hostler.api.kubevirt.vm import VirtualMachine, VirtualMachineStateChangeRequest
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import Resource
from hostler.runtime.protocol import Ops, Raw

Vmi = VirtualMachineInstance | None
UNDERWAY = "unable to complete request: stop/start already underway"
RESTART_GRACE = 1  # second that a guest has when it is restarted by force


@dataclass(frozen=True)
class Write:
    """One JSON patch to the VM or its VMI."""

    target: Resource
    ops: Ops
    subresource: str | None = None


def start(vm: VirtualMachine, vmi: Vmi, *, paused: bool = False) -> list[Write]:
    if vmi is not None and not final(vmi) and phase(vmi) not in ("", "Unknown"):
        raise refuse(vm, "VM is already running")
    strategy = run_strategy(vm)
    wish: Raw = {"action": "Start"} | ({"data": {"paused": "true"}} if paused else {})
    if strategy == "Halted":
        return [request(vm, wish)] if paused else [switch(vm, on=True)]
    if strategy not in ("Manual", "RerunOnFailure"):
        raise refuse(vm, f"{strategy} does not support manual start requests")
    if strategy == "RerunOnFailure" and vmi is not None and phase(vmi) == "Failed":
        raise refuse(vm, f"{strategy} does not support starting VM from failed state")
    if vmi is not None and final(vmi):
        return [request(vm, {"action": "Stop", "uid": vmi.metadata.uid}, wish)]
    return [request(vm, wish)]


def stop(vm: VirtualMachine, vmi: Vmi, grace: int | None = None) -> list[Write]:
    """`grace`: seconds that the guest has from now on, in place of what its spec says."""
    if grace is not None and grace < 0:
        raise bad_request("gracePeriod has to be greater or equal to 0")
    strategy = run_strategy(vm)
    alive = vmi if vmi is not None and not final(vmi) else None
    hurry = [shorten(alive, grace)] if alive is not None and grace is not None else []
    if strategy in ("Always", "Once"):
        return [*hurry, switch(vm, on=False)]
    if alive is None:
        raise refuse(vm, "VM is not running")
    if strategy == "Halted" and (grace is None or grace >= grace_of(alive)):
        raise refuse(vm, "Halted only supports manual stop requests with a shorter graceperiod")
    return [*hurry, request(vm, {"action": "Stop", "uid": alive.metadata.uid}, replace=True)]


def restart(vm: VirtualMachine, vmi: Vmi, grace: int | None = None) -> list[Write]:
    if grace is not None and grace > 0:
        raise bad_request("For force restart, only gracePeriod=0 is supported for now")
    if grace is not None and grace < 0:
        raise bad_request("gracePeriod has to be greater or equal to 0")
    strategy = run_strategy(vm)
    if strategy == "Halted":
        raise refuse(vm, "VM is not running: Halted")
    if strategy == "Once":
        raise refuse(vm, "RunStategy Once does not support manual restart requests")  # clients know it by this typo
    if vmi is None or final(vmi):
        raise refuse(vm, "VM is not running")
    wish = request(vm, {"action": "Stop", "uid": vmi.metadata.uid}, {"action": "Start"})
    return [shorten(vmi, RESTART_GRACE), wish] if grace == 0 else [wish]


def switch(vm: VirtualMachine, *, on: bool) -> Write:
    """The run strategy, or `running` where that is how this VM says it."""
    if vm.spec.run_strategy is not None:
        path, old, new = "/spec/runStrategy", vm.spec.run_strategy, "Always" if on else "Halted"
        return Write(vm, [test(path, old), {"op": "replace", "path": path, "value": new}])
    path = "/spec/running"
    return Write(vm, [test(path, bool(vm.spec.running)), {"op": "replace", "path": path, "value": on}])


def request(vm: VirtualMachine, *wishes: Raw, replace: bool = False) -> Write:
    """Requests in the VM's status; only a stop may take the place of others that are still open."""
    if vm.status is None:
        return Write(vm, [{"op": "add", "path": "/status", "value": {"stateChangeRequests": list(wishes)}}], "status")
    path = "/status/stateChangeRequests"
    before = [raw(each) for each in vm.status.state_change_requests]
    if before and not replace:
        raise refuse(vm, UNDERWAY)
    known = [test(path, before)] if before else []
    return Write(vm, [*known, {"op": "add", "path": path, "value": list(wishes)}], "status")


def shorten(vmi: VirtualMachineInstance, grace: int) -> Write:
    """How long the guest has to shut down."""
    path = "/spec/terminationGracePeriodSeconds"
    return Write(vmi, [test("/metadata/uid", vmi.metadata.uid), {"op": "add", "path": path, "value": grace}])


def test(path: str, value: object) -> Raw:
    return {"op": "test", "path": path, "value": value}


def raw(wish: VirtualMachineStateChangeRequest) -> Raw:
    return wish.model_dump(mode="json", by_alias=True, exclude_unset=True)


def run_strategy(vm: VirtualMachine) -> str:
    return vm.spec.run_strategy or ("Always" if vm.spec.running else "Halted")


def phase(vmi: VirtualMachineInstance) -> str:
    return (vmi.status.phase if vmi.status else None) or ""


def final(vmi: VirtualMachineInstance) -> bool:
    return phase(vmi) in ("Succeeded", "Failed")


def grace_of(vmi: VirtualMachineInstance) -> int:
    grace = vmi.spec.termination_grace_period_seconds
    return 30 if grace is None else grace


def refuse(vm: VirtualMachine, why: str) -> Refusal:
    return conflict(VM, vm.metadata.name, why)
