"""VirtualMachine: a guest that outlives its runs; its run strategy says when there is an instance of it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import partial

from controllers import vm_disks, vm_instance, vm_status
from controllers.settings import ManagerSettings
from controllers.vm_instance import dying, final, phase
from controllers.vm_status import Prospect, request_kind, run_strategy
from hostler.api import launcher
from hostler.api.cdi import DataVolume
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import Resource
from hostler.api.objects import PersistentVolumeClaim
from hostler.runtime import conditions
from hostler.runtime.errors import Terminal
from hostler.runtime.plan import Action, Controller, Create, Delete, Event, Failure, Patch, Plan, owner_reference
from hostler.runtime.protocol import Raw
from hostler.runtime.store import Key, Store

ORPHAN = "orphan"  # finalizer of a VM that is deleted with --cascade=orphan
ASKED_TO_END = ("Destroyed", "Stopped")  # PID 1's words for a guest that had to be ended, and for one that never began
START_REQUEST: Raw = {"action": "Start"}


@dataclass(frozen=True)
class Seen:
    """What there is of a VM in the cluster."""

    vmi: VirtualMachineInstance | None = None  # the one of its name, whoever owns it
    claims: vm_disks.Claims = field(default_factory=dict)
    volumes: vm_disks.Volumes = field(default_factory=dict)


class Wish(Enum):
    """What is to become of the guest now."""

    KEEP = "keep it as it is"
    START = "make an instance"
    STOP = "delete the instance"
    SWITCH_ON = "somebody asked to start a halted VM: it is to be Always"


def look(store: Store, vm: VirtualMachine) -> Seen:
    namespace = vm.metadata.namespace
    names = vm_disks.names(vm)
    claims = {name: claim for name in names if (claim := store.get(PersistentVolumeClaim, (namespace, name)))}
    volumes = {name: volume for name in names if (volume := store.get(DataVolume, (namespace, name)))}
    return Seen(store.get(VirtualMachineInstance, (namespace, vm.metadata.name)), claims, volumes)


def others(changed: Resource, store: Store) -> Iterable[Key]:
    """An instance concerns the VM of its name, whoever owns it; a claim, and what fills it, the VMs that use it."""
    namespace, name = changed.metadata.namespace, changed.metadata.name
    if isinstance(changed, VirtualMachineInstance):
        if store.get(VirtualMachine, (namespace, name)):
            yield namespace, name
    elif isinstance(changed, PersistentVolumeClaim | DataVolume):
        for vm in store.using(VirtualMachine, vm_disks.names, namespace, name):
            yield namespace, vm.metadata.name


def plan(vm: VirtualMachine, seen: Seen, now: datetime, *, disks: bool = True) -> Plan:
    """Guard the VM, make sure that the instance of its name is its own, and run it."""
    vmi = seen.vmi
    if vm.metadata.deletion_timestamp:
        return ending(vm, vmi if vmi is not None and owns(vm, vmi) else None, now)
    if launcher.VM_FINALIZER not in vm.metadata.finalizers:
        return Plan((guard(vm),))
    if vmi is not None and not owns(vm, vmi):
        return take_over(vm, vmi)
    if vm.spec.data_volume_templates and not disks:
        why = "spec.dataVolumeTemplates: there are no DataVolumes here; install hostler with disks.enabled=true"
        raise Terminal("FailedDataVolumeCreate", why)
    return run(vm, seen, now)


def run(vm: VirtualMachine, seen: Seen, now: datetime) -> Plan:
    """Make the disks; make or delete the instance as the run strategy and the requests want it; report."""
    requests = vm_status.open_requests(vm, seen.vmi)
    if creates := vm_disks.missing(vm, seen.volumes, seen.claims):
        return Plan(creates, events=tuple(map(vm_disks.created, creates)))
    wish = STRATEGIES[run_strategy(vm)](vm, seen.vmi, requests)
    if wish is Wish.START:
        return start(vm, seen, requests, now)
    if wish is Wish.STOP and seen.vmi is not None:
        return stop(vm, seen.vmi, requests, now)
    if wish is Wish.SWITCH_ON:
        change = {"running": True} if vm.spec.run_strategy is None else {"runStrategy": "Always"}
        return Plan((Patch(vm, {"spec": change}, "switch on"),))
    return follow(vm, seen, requests, now)


def guard(vm: VirtualMachine) -> Patch:
    """The finalizer, where no admission policy has set it."""
    return Patch(vm, {"metadata": {"finalizers": [*vm.metadata.finalizers, launcher.VM_FINALIZER]}}, "guard")


def owns(vm: VirtualMachine, vmi: VirtualMachineInstance) -> bool:
    owner = vmi.metadata.controller
    return owner is not None and owner.uid == vm.metadata.uid


def take_over(vm: VirtualMachine, vmi: VirtualMachineInstance) -> Plan:
    """An instance of the VM's name that nobody controls becomes the VM's; another's blocks the VM."""
    name = vm.metadata.name
    if owner := vmi.metadata.controller:
        why = f"VirtualMachineInstance {name} belongs to {owner.kind} {owner.name}: rename the VirtualMachine"
        raise Terminal("FailedCreate", why)
    if dying(vmi):
        raise Terminal("FailedCreate", f"VirtualMachineInstance {name} of another owner is being deleted")
    owners = [each.model_dump(by_alias=True, exclude_unset=True) for each in vmi.metadata.owner_references]
    finalizers = list(dict.fromkeys((*vmi.metadata.finalizers, launcher.VM_FINALIZER)))
    change = {"metadata": {"ownerReferences": [*owners, owner_reference(vm)], "finalizers": finalizers}}
    return Plan((Patch(vmi, change, "adopt", alive=vm),))


# the strategies: (VM, its instance, what was asked for) -> what to do

Requests = list[Raw]


def always(_vm: VirtualMachine, vmi: VirtualMachineInstance | None, requests: Requests) -> Wish:
    """There is a guest; one that ended, however, is replaced."""
    if vmi is None:
        return Wish.START
    return Wish.STOP if final(vmi) or stop_asked(requests) else Wish.KEEP


def rerun_on_failure(vm: VirtualMachine, vmi: VirtualMachineInstance | None, requests: Requests) -> Wish:
    """A guest that failed is replaced; one that shut down rests until somebody asks for another."""
    if vmi is None:
        new = vm.status is None or vm.status.run_strategy != run_strategy(vm)
        return Wish.START if new or start_asked(requests) else Wish.KEEP
    if stop_asked(requests) or (final(vmi) and start_asked(requests)):
        return Wish.STOP
    return Wish.KEEP


def manual(_vm: VirtualMachine, vmi: VirtualMachineInstance | None, requests: Requests) -> Wish:
    """Only what somebody asks for."""
    if vmi is None:
        return Wish.START if start_asked(requests) else Wish.KEEP
    return Wish.STOP if stop_asked(requests) or (final(vmi) and start_asked(requests)) else Wish.KEEP


def halted(_vm: VirtualMachine, vmi: VirtualMachineInstance | None, requests: Requests) -> Wish:
    """There is no guest."""
    if vmi is not None:
        return Wish.STOP
    return Wish.SWITCH_ON if start_asked(requests) else Wish.KEEP


def once(_vm: VirtualMachine, vmi: VirtualMachineInstance | None, _requests: Requests) -> Wish:
    """One guest, which is never replaced."""
    return Wish.START if vmi is None else Wish.KEEP


STRATEGIES: Mapping[str, Callable[[VirtualMachine, VirtualMachineInstance | None, Requests], Wish]] = {
    "Always": always,
    "RerunOnFailure": rerun_on_failure,
    "Manual": manual,
    "Halted": halted,
    "Once": once,
}


def stop_asked(requests: Requests) -> bool:
    """Requests of the past are struck already, so this one is about the instance that is there."""
    return request_kind(requests) == "Stop"


def start_asked(requests: Requests) -> bool:
    return request_kind(requests) == "Start"


# what is done


def start(vm: VirtualMachine, seen: Seen, requests: Requests, now: datetime) -> Plan:
    """An instance; but not before its disks are whole, nor soon after one that failed to start."""
    pause = vm_status.pause_left(vm, now)
    if pause > 0 or vm_disks.filling(seen.volumes):
        return wait(vm, seen, requests, now, pause)
    paused = start_asked(requests) and requests[0].get("data", {}).get("paused") == "true"
    create = Create(VirtualMachineInstance, vm_instance.body(vm, conditions.stamp(now), paused=paused))
    prospect = Prospect(None, seen.claims, seen.volumes, starting=True)
    note = f"Started the virtual machine by creating the new virtual machine instance {vm.metadata.name}"
    left = requests[1:] if start_asked(requests) else requests
    return Plan((create,), vm_status.status(vm, prospect, left, now), (Event("SuccessfulCreate", note),))


def wait(vm: VirtualMachine, seen: Seen, requests: Requests, now: datetime, pause: float) -> Plan:
    """Who waits keeps the wish: a strategy that starts once does not forget that it has not."""
    kept = requests or [START_REQUEST] if run_strategy(vm) == "RerunOnFailure" else requests
    status = vm_status.status(vm, Prospect(seen.vmi, seen.claims, seen.volumes), kept, now)
    return Plan(status=status, events=bad_news(vm, seen), requeue_after=pause or None)


def bad_news(vm: VirtualMachine, seen: Seen) -> tuple[Event, ...]:
    """A disk that cannot be filled, told once."""
    bad = vm_disks.broken(seen.volumes)
    if bad is None or (vm.status and vm.status.printable_status == "DataVolumeError"):
        return ()
    return (Event("FailedDataVolumeImport", f"DataVolume {bad.metadata.name} failed to import disk image", "Warning"),)


def stop(vm: VirtualMachine, vmi: VirtualMachineInstance, requests: Requests, now: datetime) -> Plan:
    """Delete the instance, which shuts the guest down; make another, if that is wanted, when it is gone."""
    status = vm_status.status(vm, Prospect(vmi, stopping=True), requests, now)
    if dying(vmi):
        return Plan(release(vm, vmi), status)
    note = f"Stopped the virtual machine by deleting the virtual machine instance {vmi.metadata.uid}"
    return Plan((Delete(vmi),), status, (Event("SuccessfulDelete", note),))


def follow(vm: VirtualMachine, seen: Seen, requests: Requests, now: datetime) -> Plan:
    """Report; and note that a failed guest is to be replaced, before it is deleted."""
    vmi = seen.vmi
    if vmi is not None and run_strategy(vm) == "RerunOnFailure" and not requests:
        new = vm.status is None or vm.status.run_strategy != "RerunOnFailure"
        requests = [START_REQUEST] if failed_of_itself(vmi) or (new and dying(vmi)) else []
    actions = release(vm, vmi) if vmi is not None and dying(vmi) else update(vm, vmi)
    prospect = Prospect(vmi, seen.claims, seen.volumes)
    return Plan(actions, vm_status.status(vm, prospect, requests, now), news(vm, vmi) + bad_news(vm, seen))


def failed_of_itself(vmi: VirtualMachineInstance) -> bool:
    """Whether its guest is to be replaced: who is deleted, and does not go by itself or has not begun, was to end."""
    asked = dying(vmi) and vmi.status is not None and vmi.status.reason in ASKED_TO_END
    return phase(vmi) == "Failed" and not asked


def update(vm: VirtualMachine, vmi: VirtualMachineInstance | None) -> tuple[Action, ...]:
    """What a running guest can follow of a changed template."""
    if vmi is None or phase(vmi) != "Running":
        return ()
    change = vm_instance.live(vm, vmi)
    return (Patch(vmi, {"spec": change}, "update"),) if change else ()


def news(vm: VirtualMachine, vmi: VirtualMachineInstance | None) -> tuple[Event, ...]:
    """Told once, when it becomes so."""
    why = vm_instance.outdated(vm, vmi) if vmi is not None else ""
    known = any(each.type == "RestartRequired" for each in vm.status.conditions) if vm.status else False
    return (Event("RestartRequired", why),) if why and not known else ()


def release(vm: VirtualMachine, vmi: VirtualMachineInstance) -> tuple[Action, ...]:
    """Let a deleted instance go, once its failure is counted, if it counts at all."""
    if vm_status.counts(vm) and vm_status.failed_early(vmi) and not vm_status.counted(vm, vmi):
        return ()
    return let_go(vmi)


def ending(vm: VirtualMachine, vmi: VirtualMachineInstance | None, now: datetime) -> Plan:
    """The instance first, unless it is to be left as an orphan; then our finalizer."""
    if launcher.VM_FINALIZER not in vm.metadata.finalizers:
        return Plan()
    if vmi is not None and ORPHAN not in vm.metadata.finalizers:
        done = (Delete(vmi),) if not dying(vmi) else let_go(vmi)
        return Plan(done, vm_status.status(vm, Prospect(vmi, stopping=True), [], now))
    left = [each for each in vm.metadata.finalizers if each != launcher.VM_FINALIZER]
    return Plan((Patch(vm, {"metadata": {"finalizers": left}}, "release"),))


def let_go(vmi: VirtualMachineInstance) -> tuple[Action, ...]:
    if launcher.VM_FINALIZER not in vmi.metadata.finalizers:
        return ()
    left = [each for each in vmi.metadata.finalizers if each != launcher.VM_FINALIZER]
    return (Patch(vmi, {"metadata": {"finalizers": left}}, "release"),)


def failed(vm: VirtualMachine, _plan: Plan, failure: Failure, now: datetime) -> Plan:
    """The instance was refused, by the API server or before it was asked."""
    reason, why = refusal(failure)
    told = vm_status.trouble(vm, reason, why, now)
    known = next((each for each in vm.status.conditions if each.type == "Failure"), None) if vm.status else None
    is_news = known is None or known.message != why
    return Plan(status=told, events=(Event(reason, why, "Warning"),) if is_news else ())


def refusal(failure: Failure) -> tuple[str, str]:
    """Reason and message, in KubeVirt's words."""
    match failure:
        case Failure(error=Terminal(reason=reason, message=message)):
            return reason, message
        case Failure(action=Create(kind, body)) if kind is DataVolume:
            return "FailedDataVolumeCreate", f"Error creating DataVolume {body['metadata']['name']}: {failure.error}"
    return "FailedCreate", f"Error creating virtual machine instance: {failure.error}"


def controller(settings: ManagerSettings) -> Controller[VirtualMachine, Seen]:
    children = (VirtualMachineInstance, DataVolume) if settings.data_volumes else (VirtualMachineInstance,)
    return Controller(
        name="vm",
        parent=VirtualMachine,
        children=children,
        others=(PersistentVolumeClaim,),
        look=look,
        plan=partial(plan, disks=settings.data_volumes),
        failed=failed,
        concerns=others,
        shared_status=True,  # the gateway writes requests there
    )
