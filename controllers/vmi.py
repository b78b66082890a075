"""VirtualMachineInstance: one guest, run by one launcher pod."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from controllers import hotplug, launcher_pod, vmi_end
from controllers.disruption import disruption
from controllers.launcher_volumes import claim_name
from controllers.settings import ManagerSettings
from controllers.vmi_status import NOT_RUNNING, condition, phase, readiness, set_conditions, transition
from hostler.api import cdi, launcher
from hostler.api.cdi import DataVolume
from hostler.api.kubevirt.storage import Volume
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import Resource
from hostler.api.objects import PersistentVolumeClaim, Pod
from hostler.runtime import conditions, ownership
from hostler.runtime.conditions import Condition
from hostler.runtime.errors import Terminal
from hostler.runtime.plan import Controller, Create, Delete, Event, Failure, Patch, Plan
from hostler.runtime.protocol import Raw
from hostler.runtime.store import Key, Store

BEFORE_POD = ("", "Pending")
BEFORE_GUEST = (*BEFORE_POD, "Scheduling")
FINAL = ("Succeeded", "Failed")
TERMINATING = Condition(False, "PodTerminating", "virt-launcher pod is terminating")

# waiting reasons that do not pass of themselves, or not soon
STUCK = (
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "RegistryUnavailable",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
)


@dataclass(frozen=True)
class Seen:
    """What there is of a VMI in the cluster."""

    pods: tuple[Pod, ...] = ()
    claims: Mapping[str, PersistentVolumeClaim] | None = None
    filling: tuple[DataVolume, ...] = ()  # of its claims, those whose disk is not there yet
    attachments: tuple[Pod, ...] = ()  # pods that bring disks to the running guest


def controller(settings: ManagerSettings) -> Controller[VirtualMachineInstance, Seen]:
    return Controller(
        name="vmi",
        parent=VirtualMachineInstance,
        children=(Pod,),
        others=(PersistentVolumeClaim, DataVolume) if settings.data_volumes else (PersistentVolumeClaim,),
        look=look,
        plan=partial(plan, settings=settings),
        failed=failed,
        concerns=concerned,
        subresource=None,  # as in KubeVirt, a VMI has none
        selectors={Pod: launcher.PODS},
    )


def look(store: Store, vmi: VirtualMachineInstance) -> Seen:
    namespace = vmi.metadata.namespace
    names = dict.fromkeys(claim_names(vmi))
    claims = {name: claim for name in names if (claim := store.get(PersistentVolumeClaim, (namespace, name)))}
    volumes = (store.get(DataVolume, (namespace, name)) for name in names)
    filling = tuple(each for each in volumes if each and each.phase != cdi.SUCCEEDED)
    pods = tuple(store.owned(Pod, vmi.metadata.uid))
    return Seen(pods, claims, filling, tuple(each for pod in pods for each in store.owned(Pod, pod.metadata.uid)))


def concerned(changed: Resource, store: Store) -> Iterable[Key]:
    """A claim, and what fills it, concerns the VMIs that wait for it; a pod that brings a disk its VMI."""
    namespace, name = changed.metadata.namespace, changed.metadata.name
    if isinstance(changed, Pod) and changed.metadata.labels.get(launcher.APP_LABEL) == launcher.ATTACHMENT:
        yield namespace, changed.metadata.annotations.get(launcher.DOMAIN, "")
    if isinstance(changed, PersistentVolumeClaim | DataVolume):
        for vmi in store.using(VirtualMachineInstance, claim_names, namespace, name):
            if name in map(claim_name, waits_for(vmi)):
                yield namespace, vmi.metadata.name


def claim_names(vmi: VirtualMachineInstance) -> Iterable[str]:
    return filter(None, map(claim_name, vmi.spec.volumes))


def waits_for(vmi: VirtualMachineInstance) -> Iterable[Volume]:
    """Before there is a guest all of its volumes; then those that come while it runs."""
    return (each for each in vmi.spec.volumes if phase(vmi) in BEFORE_POD or each.hotpluggable)


def cold(vmi: VirtualMachineInstance) -> Iterable[Volume]:
    """The volumes that are there from the start."""
    return (each for each in vmi.spec.volumes if not each.hotpluggable)


def plan(vmi: VirtualMachineInstance, seen: Seen, now: datetime, settings: ManagerSettings) -> Plan:
    """A pod for a new VMI; the phase of an old one from its pod; no pod, then no finalizer, for one that is deleted."""
    if vmi.metadata.deletion_timestamp:
        return last_will(vmi, seen, now) or ending(vmi, seen, now)
    if launcher.VMI_FINALIZER not in vmi.metadata.finalizers:
        return Plan((guard(vmi, now),))
    if phase(vmi) in FINAL:
        return Plan(delete(pod for pod in seen.pods if not pod.finished))
    if pod := owner(vmi, seen):
        return follow(vmi, pod, seen, now, settings)
    if phase(vmi) in BEFORE_POD:
        return starting(vmi, seen, now, settings)
    return vmi_end.without_pod(vmi, now)


def follow(vmi: VirtualMachineInstance, pod: Pod, seen: Seen, now: datetime, settings: ManagerSettings) -> Plan:
    """The phase by the pod that owns the guest; what is in others is of no interest before it moves there."""
    if pod.finished:
        return vmi_end.ended(vmi, pod, elsewhere(seen), now)
    if phase(vmi) in BEFORE_GUEST:
        return scheduling(vmi, pod, now, settings)
    return running(vmi, pod, seen, now, settings)


def owner(vmi: VirtualMachineInstance, seen: Seen) -> Pod | None:
    """The pod in which the guest is, or was."""
    owners = (pod for pod in seen.pods if ownership.owns(pod, vmi))
    return min(owners, key=lambda pod: (pod.finished, pod.metadata.deletion_timestamp is not None), default=None)


def elsewhere(seen: Seen) -> bool:
    """Whether there is a pod that the guest may have moved to."""
    return any(not each.finished for each in seen.pods)


def last_will(vmi: VirtualMachineInstance, seen: Seen, now: datetime) -> Plan | None:
    """How the guest of a job ended, before its pod goes: the job counts it."""
    if launcher.PORTS not in vmi.metadata.annotations or phase(vmi) in FINAL:
        return None
    pod = owner(vmi, seen)
    told = vmi_end.ended(vmi, pod, elsewhere(seen), now) if pod and pod.finished else Plan()
    return told if told.status else None


def guard(vmi: VirtualMachineInstance, now: datetime) -> Patch:
    """The finalizer, where no admission policy has set it; and the first phase, in the same write."""
    patch: Raw = {"metadata": {"finalizers": [*vmi.metadata.finalizers, launcher.VMI_FINALIZER]}}
    if not phase(vmi):
        patch["status"] = transition(vmi, "Pending", now)
    return Patch(vmi, patch, "guard")


def starting(vmi: VirtualMachineInstance, seen: Seen, now: datetime, settings: ManagerSettings) -> Plan:
    """Create the pod, as soon as the claims that it mounts exist and the disks on them are whole."""
    needed = set(map(claim_name, cold(vmi)))
    if filling := tuple(each for each in seen.filling if each.metadata.name in needed):
        return waiting(vmi, filling, now)
    claims = seen.claims or {}
    missing = [name for volume in cold(vmi) if (name := claim_name(volume)) and name not in claims]
    if missing:
        claim = f"{vmi.metadata.namespace}/{missing[0]}"
        trouble = Condition(False, "FailedPvcNotFound", f"PVC {claim} does not exist, waiting for it to appear")
        return report(vmi, trouble, now)
    pod = Create(Pod, launcher_pod.manifest(vmi, claims, settings))
    event = Event("SuccessfulCreate", f"Created virtual machine pod {pod.body['metadata']['name']}")
    waited = condition(vmi, "DataVolumesReady")
    ready = {"DataVolumesReady": Condition(True, "AllDVsReady", "All of the VMI's DVs are bound and ready")}
    status = set_conditions(vmi, ready, now) if waited and waited.status == "False" else None
    return Plan((pod,), status, (event,), requeue_after=settings.scheduling_grace)


def waiting(vmi: VirtualMachineInstance, filling: tuple[DataVolume, ...], now: datetime) -> Plan:
    """Tell which disks are not there yet; how far each is, its DataVolume tells."""
    broken = next((each for each in filling if each.phase == cdi.FAILED), None)
    one = broken or filling[0]
    name, phase = one.metadata.name, one.phase or "Pending"
    trouble = Condition(False, "NotAllDVsReady", f"Not all of the VMI's DVs are ready: {name} is {phase}")
    wanted: dict[str, Condition | None] = {"DataVolumesReady": trouble, "Ready": NOT_RUNNING}
    known = condition(vmi, "DataVolumesReady")
    news = broken and (known is None or known.message != trouble.message)
    events = (Event("FailedDataVolumeImport", f"DataVolume {name} failed to import", "Warning"),) if news else ()
    return Plan(status=set_conditions(vmi, wanted, now), events=events)


def scheduling(vmi: VirtualMachineInstance, pod: Pod, now: datetime, settings: ManagerSettings) -> Plan:
    """Tell why the guest does not run yet; but a phase that lasts only a moment is not worth a write."""
    scheduled = pod.condition("PodScheduled")
    trouble = stuck(pod)
    unscheduled = scheduled is not None and scheduled.status == "False"
    patience = (
        settings.scheduling_grace - (now - conditions.parse(pod.metadata.creation_timestamp or "")).total_seconds()
    )
    if phase(vmi) in BEFORE_POD and not trouble and not unscheduled and patience > 0:
        return Plan(requeue_after=patience)
    wanted: dict[str, Condition | None] = {
        "Synchronized": trouble,
        "Ready": TERMINATING if pod.metadata.deletion_timestamp else NOT_RUNNING,
    }
    if scheduled is not None:
        wanted["PodScheduled"] = Condition(not unscheduled, scheduled.reason or "", scheduled.message or "")
    status = transition(vmi, "Scheduling", now) | set_conditions(vmi, wanted, now)
    return Plan(status=status, courtesy=not trouble and not unscheduled)


def running(vmi: VirtualMachineInstance, pod: Pod, seen: Seen, now: datetime, settings: ManagerSettings) -> Plan:
    """The node agent says how the guest is; what the guest lacks by now, its pod must have room for first."""
    if pod.metadata.deletion_timestamp:  # told now: the pod may be gone before we see its end
        why = {launcher.DISRUPTION: told} if (told := disruption(pod)) else {}
        return Plan(status=set_conditions(vmi, {"Ready": TERMINATING, **why}, now))
    if phase(vmi) != "Running" or ownership.moving(vmi):
        return Plan(status=set_conditions(vmi, readiness(vmi, pod), now))
    change = hotplug.change(vmi, pod, seen.attachments, whole(seen), settings)
    spared = {launcher.DISRUPTION: None} if condition(vmi, launcher.DISRUPTION) else {}  # it has moved elsewhere
    wanted = readiness(vmi, pod) | change.conditions | spared
    status = change.status | (set_conditions(vmi, wanted, now) if wanted else {})
    return Plan(tuple(change.actions), status or None, tuple(change.events))


def whole(seen: Seen) -> dict[str, PersistentVolumeClaim]:
    """The claims whose disks are there."""
    filling = {each.metadata.name for each in seen.filling}
    return {name: claim for name, claim in (seen.claims or {}).items() if name not in filling}


def ending(vmi: VirtualMachineInstance, seen: Seen, now: datetime) -> Plan:
    """Delete the pod, which shuts the guest down; when it is gone, let the VMI go."""
    if seen.pods:
        deletes = delete(seen.pods, launcher_pod.grace(vmi))
        notes = (f"Deleted virtual machine pod {each.target.metadata.name}" for each in deletes)
        status = set_conditions(vmi, {"Ready": TERMINATING}, now) if phase(vmi) not in FINAL else None
        return Plan(deletes, status, tuple(Event("SuccessfulDelete", note) for note in notes), courtesy=True)
    if launcher.VMI_FINALIZER not in vmi.metadata.finalizers:
        return Plan()
    left = [each for each in vmi.metadata.finalizers if each not in ours(vmi)]
    return Plan((Patch(vmi, {"metadata": {"finalizers": left}}, "release"),))


def ours(vmi: VirtualMachineInstance) -> tuple[str, ...]:
    """The finalizers that are ours to take off: that of the VM's controller, too, when there is no VM to do it."""
    owner = vmi.metadata.controller
    if owner is not None and owner.kind == VirtualMachine.kind():
        return (launcher.VMI_FINALIZER,)
    return launcher.VMI_FINALIZER, launcher.VM_FINALIZER


def failed(vmi: VirtualMachineInstance, _plan: Plan, failure: Failure, now: datetime) -> Plan:
    """The pod was refused, by the API server or before it was asked."""
    if phase(vmi) == "Running":
        return denied(vmi, failure, now)
    if isinstance(failure.error, Terminal):
        return report(vmi, Condition(False, failure.error.reason, failure.error.message), now)
    trouble = Condition(False, "FailedCreate", f"failed to create virtual machine pod: {failure.error}")
    return report(vmi, trouble, now)


def denied(vmi: VirtualMachineInstance, failure: Failure, now: datetime) -> Plan:
    """A running guest does not get what it is to have more; it runs on as it is."""
    why = f"refused: {failure.action}: {failure.error}"[: vmi_end.LONGEST_MESSAGE]
    wanted = hotplug.denied(vmi, why) if isinstance(failure.action, Patch) else {}
    status = set_conditions(vmi, wanted, now) if wanted else None
    return Plan(status=status, events=(Event("FailedHotplug", why, "Warning"),))


def report(vmi: VirtualMachineInstance, trouble: Condition, now: datetime) -> Plan:
    """What keeps the VMI from having a pod, as a condition, and as an event when it is news."""
    trouble = trouble._replace(message=trouble.message[: vmi_end.LONGEST_MESSAGE])
    known = condition(vmi, "Synchronized")
    news = known is None or (known.reason, known.message) != (trouble.reason, trouble.message)
    events = (Event(trouble.reason, trouble.message, "Warning"),) if news else ()
    return Plan(status=set_conditions(vmi, {"Synchronized": trouble, "Ready": NOT_RUNNING}, now), events=events)


def stuck(pod: Pod) -> Condition | None:
    """Why the kubelet cannot start the container, if so."""
    for container in pod.status.container_statuses:
        waiting = container.state.waiting
        if waiting and waiting.reason in STUCK:
            return Condition(False, waiting.reason, waiting.message[: vmi_end.LONGEST_MESSAGE])
    return None


def delete(pods: Iterable[Pod], grace: int | None = None) -> tuple[Delete, ...]:
    """Pods that are to end; sooner than they were made for, if their VMI says so by now."""
    deletes = (Delete(pod, sooner(pod, grace)) for pod in pods)
    return tuple(each for each in deletes if each.grace or each.target.metadata.deletion_timestamp is None)


def sooner(pod: Pod, grace: int | None) -> int | None:
    """Seconds that a pod has to end, when that is less than it has now; never 0: that would not wait for its end."""
    given, own = pod.metadata.deletion_grace_period_seconds, pod.spec.termination_grace_period_seconds
    if own is not None and given in (None, own):  # nobody has hurried it yet
        given = own - launcher_pod.KUBELET_GRACE
    wanted = max(grace, 1) if grace is not None else None
    return wanted if wanted is not None and given is not None and wanted < given else None
