"""DataVolume: a claim, and the pod that makes the disk on it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from hostler.api import cdi, launcher
from hostler.api.cdi import DataVolume
from hostler.api.meta import OwnerReference, Resource
from hostler.api.objects import PersistentVolumeClaim, Pod, RoleBinding, ServiceAccount
from hostler.runtime import disk_report as report
from hostler.runtime.conditions import Condition, stamp
from hostler.runtime.disk_report import Report
from hostler.runtime.errors import Terminal
from hostler.runtime.plan import Action, Controller, Create, Delete, Event, Failure, Plan, Send
from hostler.runtime.store import Key, Store
from v2v import account, claim, following, turns, worker_pod
from v2v.settings import DiskSettings
from v2v.sources import WORDS, source_kind
from v2v.telling import told
from v2v.turns import Turns

FINAL = (cdi.SUCCEEDED, cdi.FAILED)
TURN = 5.0  # seconds until a DataVolume that waits for its turn, or for its source, looks again
PART_OF = "app.kubernetes.io/part-of=hostler"


@dataclass(frozen=True)
class Seen:
    """What there is of a DataVolume in the cluster."""

    claim: PersistentVolumeClaim | None = None
    pod: Pod | None = None
    source: PersistentVolumeClaim | None = None  # of a clone
    maker: DataVolume | None = None  # of the source, if it is a DataVolume's claim
    users: tuple[str, ...] = ()  # pods that have the source in use
    turns: Turns = turns.NONE  # of other worker pods in the cluster, if it wants one, too
    missing: tuple[str, ...] = ()  # of the worker's account and rights in this namespace


def controller(settings: DiskSettings) -> Controller[DataVolume, Seen]:
    return Controller(
        name="datavolume",
        parent=DataVolume,
        children=(PersistentVolumeClaim, Pod),
        others=(ServiceAccount, RoleBinding),
        look=look,
        plan=partial(plan, settings=settings),
        failed=failed,
        concerns=waiting_for_source,
        selectors={
            Pod: f"{launcher.APP_LABEL} in ({launcher.APP_VALUE},{worker_pod.VALUE},{worker_pod.IMPORT_VALUE})",
            ServiceAccount: PART_OF,
            RoleBinding: PART_OF,
        },
        pace=0.5,
    )


def look(store: Store, volume: DataVolume) -> Seen:
    namespace, name = volume.metadata.namespace, volume.metadata.name
    pods = store.owned(Pod, volume.metadata.uid)
    source = cloned(volume)
    original = store.get(PersistentVolumeClaim, (namespace, source)) if source else None
    return Seen(
        claim=store.get(PersistentVolumeClaim, (namespace, name)),
        pod=next(iter(pods), None),
        source=original,
        maker=store.get(DataVolume, (namespace, owner.name)) if original and (owner := maker_of(original)) else None,
        users=tuple(users(store, namespace, source)) if source else (),
        turns=turns.NONE if pods or volume.phase in FINAL else turns.look(store),
        missing=account.missing(store, namespace),
    )


def cloned(volume: DataVolume) -> str:
    """The claim that it is a clone of, if it is one."""
    source = volume.spec.source
    return source.pvc.name if source and source.pvc else ""


def maker_of(claim: PersistentVolumeClaim) -> OwnerReference | None:
    """The DataVolume that makes the disk on a claim; None for a claim that was there without one."""
    owner = claim.metadata.controller
    return owner if owner is not None and owner.kind == DataVolume.kind() else None


def users(store: Store, namespace: str, name: str) -> Iterable[str]:
    """Pods that may write to a claim; clones only read."""
    for pod in store.using(Pod, claims_of, namespace, name):
        if not pod.finished and pod.metadata.labels.get("cdi.kubevirt.io") != WORDS["clone"].pod:
            yield pod.metadata.name


def claims_of(pod: Pod) -> Iterable[str]:
    return (volume.persistent_volume_claim.claim_name for volume in pod.spec.volumes if volume.persistent_volume_claim)


def sources_of(volume: DataVolume) -> Iterable[str]:
    return filter(None, (cloned(volume),))


def waiting_for_source(changed: Resource, store: Store) -> Iterable[Key]:
    """A claim concerns its clones that wait for it, and so does the DataVolume that has made it: they share a name."""
    if isinstance(changed, DataVolume) and changed.phase not in FINAL:
        return  # it changes every few seconds
    if not isinstance(changed, PersistentVolumeClaim | DataVolume):
        return
    namespace, name = changed.metadata.namespace, changed.metadata.name
    for volume in store.using(DataVolume, sources_of, namespace, name):
        if volume.phase not in FINAL:
            yield namespace, volume.metadata.name


def plan(volume: DataVolume, seen: Seen, now: datetime, settings: DiskSettings) -> Plan:
    """Claim, worker's account, worker pod, and then what the worker says; its pod goes when all is said."""
    if volume.metadata.deletion_timestamp:
        return Plan()  # the garbage collector takes the claim and the pod
    if volume.phase in FINAL:
        return Plan(discard(seen.pod))
    said = report.read(volume.metadata.annotations, volume.metadata.uid)
    if seen.claim is None:
        return claiming(volume, seen, now, settings)
    if not ours(volume, seen.claim):
        name = seen.claim.metadata.name
        raise Terminal("ErrClaimExists", f"there is a PVC {name} already, and it is not this DataVolume's")
    if said is not None and said.final and said.claim == seen.claim.metadata.uid:
        return ending(volume, seen, said, now)
    if seen.pod is None:
        return starting(volume, seen, seen.claim, now, settings)
    return following.follow(volume, seen.claim, seen.pod, said, now)


def ours(volume: DataVolume, found: PersistentVolumeClaim) -> bool:
    owner = found.metadata.controller
    return owner is not None and owner.uid == volume.metadata.uid


def claiming(volume: DataVolume, seen: Seen, now: datetime, settings: DiskSettings) -> Plan:
    """The claim, and the first phase."""
    source = source_of(volume, seen)
    # not before the source is whole: only then its size is known
    trouble = unmade(cloned(volume), source, seen.maker) if cloned(volume) else None
    if trouble is not None:
        return told(volume, "Pending", {"Running": trouble}, now, warn=trouble)
    body = claim.manifest(volume, settings.filesystem_overhead, source)
    note = f"PVC {volume.metadata.name} Pending"
    bound = Condition(False, "Pending", note)
    first = told(volume, "Pending", {"Bound": bound, "Running": Condition(False), "Ready": Condition(False)}, now)
    event = Event("Pending", note)
    return Plan((Create(PersistentVolumeClaim, body),), first.status, (*first.events, event))


def source_of(volume: DataVolume, seen: Seen) -> PersistentVolumeClaim | None:
    """The claim that is cloned; in the same namespace, since a pod cannot mount another one's."""
    source = volume.spec.source
    if source is None or source.pvc is None:
        return None
    if source.pvc.namespace not in ("", volume.metadata.namespace):
        raise Terminal(
            "CloneNotSupported",
            "spec.source.pvc.namespace: cloning from another namespace is not supported by hostler; "
            f"use {volume.metadata.namespace}",
        )
    return seen.source


def starting(
    volume: DataVolume, seen: Seen, found: PersistentVolumeClaim, now: datetime, settings: DiskSettings
) -> Plan:
    """The worker pod, as soon as it may be; its task waits for it."""
    source = source_of(volume, seen)
    words = WORDS[source_kind(volume)]
    waits = hindrance(volume, seen, source, now, settings)
    if waits is not None:
        plan = told(volume, words.scheduled, {"Running": waits}, now, warn=waits if cloned(volume) else None)
        return Plan(plan.actions, plan.status, plan.events, TURN)
    rights: list[Action] = [account.create(kind, volume.metadata.namespace) for kind in seen.missing]
    size = claim.disk_size(volume, found, settings.filesystem_overhead)
    task = worker_pod.job(volume, size, found, source, settings.upload_key)
    pod = Create(Pod, worker_pod.manifest(volume, task, settings, stamp(now)))
    send = Send(volume.metadata.uid, worker_pod.TASK, volume)
    event = Event(f"{words.event}Scheduled", f"{words.event} into {found.metadata.name} scheduled")
    first = told(volume, words.scheduled, {}, now)
    # the message first: when the pod starts, the worker's login and its task are there
    return Plan((*rights, send, pod), first.status, (event,))


def hindrance(
    volume: DataVolume, seen: Seen, source: PersistentVolumeClaim | None, now: datetime, settings: DiskSettings
) -> Condition | None:
    """Why the worker may not start yet."""
    if cloned(volume):
        if trouble := unmade(cloned(volume), source, seen.maker):
            return trouble
        if seen.users:
            return Condition(False, "CloneSourceInUse", f"PVC {cloned(volume)} is in use by pod {seen.users[0]}")
    if turns.taken(seen.turns, now) >= settings.parallel:
        return Condition(
            False, "Queued", f"{settings.parallel} other disks are being made; this one waits for its turn"
        )
    return None


def unmade(name: str, source: PersistentVolumeClaim | None, maker: DataVolume | None) -> Condition | None:
    """Why there is nothing whole to clone yet: a source that a DataVolume makes is whole when that has Succeeded."""
    if source is None:
        return Condition(False, "CloneSourceNotFound", f"PVC {name} does not exist, waiting for it to appear")
    owner = maker_of(source)
    if owner is None:
        return None
    if maker is None or maker.metadata.uid != owner.uid:
        why = f"DataVolume {owner.name}, which was to make PVC {name}, is gone"
    elif maker.phase == cdi.FAILED:
        why = f"DataVolume {owner.name} has Failed to make PVC {name}"
    elif maker.phase != cdi.SUCCEEDED:
        why = f"DataVolume {owner.name} has not made PVC {name} yet"
    else:
        return None
    return Condition(False, "CloneSourceNotReady", why)


def ending(volume: DataVolume, seen: Seen, said: Report, now: datetime) -> Plan:
    """The last phase; the claim tells it, too."""
    name, words = volume.metadata.name, WORDS[source_kind(volume)]
    if said.state == "done":
        conditions = {
            "Bound": Condition(True, "Bound", f"PVC {name} Bound"),
            "Running": Condition(False, "Completed", f"{words.event} Complete"),
            "Ready": Condition(True),
        }
        event = Event(f"{words.event}Succeeded", f"{words.event} into PVC {name} succeeded")
        result = told(volume, cdi.SUCCEEDED, conditions, now, progress="100.0%")
    else:
        why = said.message or "the worker gave no reason"
        trouble = Condition(False, following.reason(said.reason), why)
        event = Event(f"{words.event}Failed", f"Failed to {words.event.lower()} into PVC {name}: {why}", "Warning")
        result = told(volume, cdi.FAILED, {"Running": trouble, "Ready": trouble}, now)
    marks = following.mark(seen.claim, phase=cdi.SUCCEEDED if said.state == "done" else cdi.FAILED, ready=False)
    return Plan((*marks, *discard(seen.pod)), result.status, (event,))


def discard(pod: Pod | None) -> tuple[Delete, ...]:
    return (Delete(pod),) if pod is not None and pod.metadata.deletion_timestamp is None else ()


def failed(volume: DataVolume, _plan: Plan, failure: Failure, now: datetime) -> Plan:
    """The claim or the pod was refused, by the API server or before it was asked."""
    error = failure.error
    if isinstance(error, Terminal):
        trouble = Condition(False, error.reason, error.message)
    else:
        trouble = Condition(False, "FailedCreate", f"{failure.action}: {error}")
    wanted = {"Bound": trouble} if "Claim" in trouble.reason or "Create" in trouble.reason else {"Running": trouble}
    return told(volume, volume.phase or "Pending", {**wanted, "Ready": trouble}, now, warn=trouble)
