"""ImportSource: a pod looks at what is there, and writes the inventory into the status."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from hostler.api.imports import ImportSource
from hostler.api.objects import Pod, RoleBinding, ServiceAccount
from hostler.runtime import conditions
from hostler.runtime.conditions import Condition
from hostler.runtime.errors import Terminal
from hostler.runtime.plan import Action, Controller, Create, Delete, Event, Failure, Plan
from hostler.runtime.store import Store
from v2v import importaccount, importpod, verdict
from v2v.settings import DiskSettings

REFRESH = "import.hostler.io/refresh"  # annotation: any new value asks for another look
LOOKED = "import.hostler.io/for"  # annotation of the pod: which generation and request it looks for


@dataclass(frozen=True)
class Seen:
    """What there is of a source in the cluster."""

    pod: Pod | None = None
    missing: tuple[Action, ...] = ()  # of the workers' account in this namespace


def controller(settings: DiskSettings) -> Controller[ImportSource, Seen]:
    return Controller(
        name="importsource",
        parent=ImportSource,
        children=(Pod,),
        others=(ServiceAccount, RoleBinding),
        look=look,
        plan=partial(plan, settings=settings),
        failed=failed,
        selectors=importpod.SELECTORS,
        pace=0.5,
        workers=2,
    )


def look(store: Store, source: ImportSource) -> Seen:
    pods = store.owned(Pod, source.metadata.uid)
    return Seen(next(iter(pods), None), importaccount.missing(store, source.metadata.namespace))


def plan(source: ImportSource, seen: Seen, now: datetime, settings: DiskSettings) -> Plan:
    """A pod when there is something to look at; it writes what it finds, only its end is told here."""
    pod, wanted = seen.pod, request(source)
    if source.metadata.deletion_timestamp or (pod and pod.metadata.deletion_timestamp):
        return Plan()
    if pod is None:
        known = source.status is not None and source.status.seen == wanted
        return again(source, now) if known else looking(source, seen, wanted, settings)
    said, looked = verdict.of(pod), pod.metadata.annotations.get(LOOKED, "")
    if said is not None:
        return ended(source, pod, said, looked, now)
    if looked != wanted:
        return Plan((Delete(pod),))  # it looks at what the source was
    return trouble(source, verdict.trouble(pod), now)


def looking(source: ImportSource, seen: Seen, wanted: str, settings: DiskSettings) -> Plan:
    body = importpod.look(source, settings)
    body["metadata"]["annotations"] = {LOOKED: wanted}
    return Plan((*seen.missing, Create(Pod, body)), events=(Event("Looking", "looking at what the source has"),))


def ended(source: ImportSource, pod: Pod, said: verdict.Verdict, looked: str, now: datetime) -> Plan:
    """Its last word; the pod goes, and its place is free for the next look."""
    ready = Condition(True, "Connected", said.message) if said.ok else Condition(False, said.reason, said.message)
    event = Event(ready.reason, said.message, "Normal" if said.ok else "Warning")
    status = {
        "seen": looked,
        "looked": conditions.stamp(now),
        "conditions": conditions.update(source.status.conditions if source.status else (), {"Ready": ready}, now),
    }
    return Plan((Delete(pod),), status, (event,))


def again(source: ImportSource, now: datetime) -> Plan:
    """A look from time to time, if that is wanted, and after one that failed no sooner: accounts get locked."""
    every, status = source.spec.refresh_seconds, source.status
    last = status and (status.looked or status.refreshed)
    if not every or not last:
        return Plan()
    left = every - (now - conditions.parse(last)).total_seconds()
    if left > 0:
        return Plan(requeue_after=left)
    return Plan(status={"seen": ""})


def request(source: ImportSource) -> str:
    """What is to be looked at, in one word."""
    return f"{source.metadata.uid}/{source.metadata.generation}/{source.metadata.annotations.get(REFRESH, '')}"[:250]


def trouble(source: ImportSource, why: str, now: datetime) -> Plan:
    if not why:
        return Plan()
    waiting = Condition(False, "Waiting", why)
    old = source.status.conditions if source.status else ()
    return Plan(status={"conditions": conditions.update(old, {"Ready": waiting}, now)})


def failed(source: ImportSource, _plan: Plan, failure: Failure, now: datetime) -> Plan:
    """The pod was refused, by the API server or before it was asked."""
    error = failure.error
    reason = error.reason if isinstance(error, Terminal) else "FailedCreate"
    problem = Condition(False, reason, str(error)[:1024])
    old = source.status.conditions if source.status else ()
    return Plan(
        status={"conditions": conditions.update(old, {"Ready": problem}, now)},
        events=(Event(reason, problem.message, "Warning"),),
    )
