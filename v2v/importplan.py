"""ImportPlan: machines of a source become VirtualMachines here: off, copied, converted, created; each on its own."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from hostler.api.cdi import DataVolume
from hostler.api.imports import ImportPlan, ImportPlanStatus, ImportSource, MachineImport
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.meta import Resource
from hostler.api.objects import PersistentVolumeClaim, Pod, RoleBinding, ServiceAccount
from hostler.runtime import conditions, names
from hostler.runtime.conditions import Condition
from hostler.runtime.errors import Terminal
from hostler.runtime.plan import Controller, Create, Delete, Event, Failure, Plan
from hostler.runtime.protocol import Raw
from hostler.runtime.store import Key, Store
from v2v import importaccount, importdisks, importpod, importsource, machineimport
from v2v.choice import Choice, Refusal, Taken, choose
from v2v.choice import label as called
from v2v.machineimport import Place, Seen
from v2v.settings import DiskSettings

FINAL = ("Succeeded", "Failed")
AT_ONCE = 4  # machines of a plan under way at a time
LOOK = 10.0  # seconds between two visits while something is under way


def controller(settings: DiskSettings) -> Controller[ImportPlan, Seen]:
    return Controller(
        name="importplan",
        parent=ImportPlan,
        children=(DataVolume, Pod, VirtualMachine),
        others=(ImportSource, PersistentVolumeClaim, ServiceAccount, RoleBinding),
        look=look,
        plan=partial(plan, settings=settings),
        failed=failed,
        concerns=concerns,
        selectors=importpod.SELECTORS,
        pace=0.5,
        workers=2,
    )


def look(store: Store, parent: ImportPlan) -> Seen:
    namespace = parent.metadata.namespace
    volumes = importdisks.own(store, parent)
    return Seen(
        source=store.get(ImportSource, (namespace, parent.spec.source.name)),
        volumes=volumes,
        strangers=importdisks.strangers(store, parent, volumes),
        pods={pod.metadata.name: pod for pod in store.owned(Pod, parent.metadata.uid)},
        machines={each.metadata.name: each for each in store.within(VirtualMachine, namespace)},
        missing=importaccount.missing(store, namespace),
    )


def concerns(changed: Resource, store: Store) -> Iterable[Key]:
    """A source concerns its plans; a volume or machine those who imported it, whoever owns it by now."""
    namespace = changed.metadata.namespace
    if isinstance(changed, ImportSource):
        for each in store.within(ImportPlan, namespace):
            if each.spec.source.name == changed.metadata.name:
                yield namespace, each.metadata.name
    elif label := changed.metadata.labels.get(machineimport.PLAN_LABEL):
        yield from ((namespace, name) for name in store.names(ImportPlan, namespace) if names.label(name) == label)


def plan(parent: ImportPlan, seen: Seen, now: datetime, settings: DiskSettings) -> Plan:
    """One step for each machine that is not at its end."""
    if parent.metadata.deletion_timestamp:
        return Plan()
    over = discarded(parent, seen)
    if finished(parent):
        return Plan(over)
    if problem := unready(parent, seen):
        return replace(waiting(parent, problem, now), actions=over)
    known = {each.name: each for each in parent.status.vms} if parent.status else {}
    place = Place(parent, seen, now, settings)
    before = begin(parent, seen, known, now)
    steps = [machineimport.step(each, place) for each in before]
    return Plan(
        (*seen.missing, *(action for each in steps for action in each.actions), *over),
        report(parent, [each.machine for each in steps], now),
        (*refusals(before, known), *(event for each in steps for event in each.events)),
        requeue_after=LOOK if any(each.machine.phase not in FINAL for each in steps) else None,
    )


def discarded(parent: ImportPlan, seen: Seen) -> tuple[Delete, ...]:
    """Pods whose word is in the status, or that nobody waits for: one might switch off a machine, or hold a claim."""
    known = parent.status.vms if parent.status else ()
    over = {name for each in known for name in machineimport.pods_left(each, parent)}
    return tuple(Delete(pod) for name, pod in seen.pods.items() if name in over and not pod.metadata.deletion_timestamp)


def unready(parent: ImportPlan, seen: Seen) -> Condition | None:
    """Why nothing can begin; a plan that has begun goes on whatever becomes of its source's inventory."""
    target = parent.spec.target_namespace
    if target and target != parent.metadata.namespace:
        text = f"spec.targetNamespace: {target!r} is not the plan's own namespace; create the plan in {target!r}"
        return Condition(False, "TargetNamespaceNotAllowed", text)
    name = parent.spec.source.name
    if seen.source is None:
        return Condition(False, "SourceNotFound", f"there is no ImportSource {name!r} in this namespace")
    if parent.status and parent.status.vms:
        return None
    said = seen.source.status
    ready = next((each for each in said.conditions if each.type == "Ready"), None) if said else None
    if ready is None or ready.status != "True" or said is None or said.refreshed is None:
        why = f": {ready.reason}: {ready.message}" if ready and ready.status != "True" else " yet"
        return Condition(False, "SourceNotReady", f"ImportSource {name!r} is not ready{why}")
    if said.seen != importsource.request(seen.source):
        text = f"ImportSource {name!r} was changed since its machines were listed: they are looked at again"
        return Condition(False, "SourceNotReady", text)
    return None


def begin(parent: ImportPlan, seen: Seen, known: Mapping[str, MachineImport], now: datetime) -> list[MachineImport]:
    """What is known of each machine; those that were never looked at are looked up, a few at a time."""
    if len(known) == len({called(entry) for entry in parent.spec.vms}):
        return start(known, now)
    assert seen.source is not None and seen.source.status is not None  # noqa: PT018 - unready() has seen to it
    taken = Taken(seen.machines, importdisks.in_the_way(seen.strangers.values()))
    chosen = choose(parent, seen.source.status.machines, taken)
    fresh = {name: known.get(name) or first(name, each, now) for name, each in chosen.items()}
    return start(fresh, now)


def first(name: str, chosen: Choice | Refusal, now: datetime) -> MachineImport:
    if isinstance(chosen, Refusal):
        return MachineImport(
            name=name, phase="Failed", reason=chosen.reason, message=chosen.message, completed=conditions.stamp(now)
        )
    return machineimport.pending(name, chosen)


def start(machines: Mapping[str, MachineImport], now: datetime) -> list[MachineImport]:
    """Let the next machines begin, as many as may be under way."""
    room = AT_ONCE - sum(each.phase not in (*FINAL, "Pending") for each in machines.values())
    result = []
    for each in machines.values():
        machine = each
        if machine.phase == "Pending" and room > 0:
            room -= 1
            machine = each.model_copy(update={"phase": "PoweringOff", "started": conditions.stamp(now)})
        result.append(machine)
    return result


def refusals(machines: Iterable[MachineImport], known: Mapping[str, MachineImport]) -> Iterable[Event]:
    """Those that cannot even begin: told once."""
    for each in machines:
        if each.phase == "Failed" and each.name not in known:
            yield Event(str(each.reason), f"{each.name}: {each.message}", "Warning")


def finished(parent: ImportPlan) -> bool:
    return bool(parent.status and parent.status.phase in FINAL)


def waiting(parent: ImportPlan, problem: Condition, now: datetime) -> Plan:
    old = parent.status.conditions if parent.status else ()
    known = next((each for each in old if each.type == "Valid"), None)
    news = known is None or (known.reason, known.message) != (problem.reason, problem.message)
    status: Raw = {"phase": "Pending", "conditions": conditions.update(old, {"Valid": problem}, now)}
    events = (Event(problem.reason, problem.message, "Warning"),) if news else ()
    return Plan(status=status, events=events)


def report(parent: ImportPlan, machines: list[MachineImport], now: datetime) -> Raw:
    """The whole status."""
    refused = [each for each in machines if each.phase == "Failed"]
    done = [each for each in machines if each.phase == "Succeeded"]
    over = len(refused) + len(done) == len(machines)
    phase = "Running" if not over else "Failed" if refused else "Succeeded"
    summary = "; ".join(f"{each.name}: {each.message}" for each in refused)[:1024]
    count = f"{len(done)} of {len(machines)} machines are imported"
    wanted: dict[str, Condition | None] = {
        "Valid": Condition(True),
        "Succeeded": Condition(phase == "Succeeded", f"Import{phase}", f"{count}{'; ' if summary else ''}{summary}"),
    }
    return {
        "phase": phase,
        "observedGeneration": parent.metadata.generation,
        "conditions": conditions.update(parent.status.conditions if parent.status else (), wanted, now),
        "succeeded": len(done),
        "failed": len(refused),
        "vms": told(machines),
    }


def told(machines: Iterable[MachineImport]) -> list[Raw]:
    return [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in machines]


def failed(parent: ImportPlan, plan: Plan, failure: Failure, now: datetime) -> Plan:
    """A child was refused by the API server: told, and tried again; the other machines' progress is written."""
    error = failure.error
    name = failure.action.body["metadata"]["name"] if isinstance(failure.action, Create) else ""
    reason = error.reason if isinstance(error, Terminal) else "CreateRefused"
    problem = Condition(False, reason, f"{name}: {error}"[:1024] if name else str(error)[:1024])
    status = {"phase": "Running", **(plan.status or {})}
    known = ImportPlanStatus.model_validate(status)
    before = parent.status.conditions if parent.status else ()
    # since when it is refused, not since when this visit thought that it would not be
    valid = [each for each in before if each.type == "Valid"]
    others = [each for each in known.conditions or before if each.type != "Valid"]
    status["conditions"] = conditions.update([*others, *valid], {"Valid": problem}, now)
    if known.vms:
        status["vms"] = told(machineimport.refused(each, parent, name, problem.message) for each in known.vms)
    # nobody knows which pods were made
    events = (each for each in plan.events if each.reason != machineimport.POWERING_OFF)
    return Plan(
        status=status,
        events=(*events, Event(reason, problem.message, "Warning")),
        requeue_after=plan.requeue_after,
    )
