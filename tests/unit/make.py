"""Objects for tests, as terse as a sentence: make.vmi("web-0", phase="Running", ready=True)."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from hostler.api import launcher
from hostler.api.batch import FAILURES, INDEX, SCHEDULED, TRACKING, VirtualMachineCronJob, VirtualMachineJob
from hostler.api.cdi import DataVolume
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet
from hostler.api.objects import PersistentVolumeClaim, Pod
from hostler.runtime.plan import Create, Delete, Patch, Plan
from hostler.runtime.protocol import Raw

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
NS = "shop"
GIB = {"resources": {"requests": {"storage": "1Gi"}}}
_versions = count(1)


def ago(seconds: float) -> str:
    """A time before noon."""
    return (NOON - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def meta(name: str, **more: Any) -> Raw:
    """Metadata as the API server would have filled it in."""
    dying, age = more.pop("dying", False), more.pop("age", 60)
    result = {
        "name": name,
        "namespace": NS,
        "uid": f"uid-{name}",
        "resourceVersion": str(next(_versions)),
        "creationTimestamp": ago(age),
    }
    return result | ({"deletionTimestamp": ago(0)} if dying else {}) | more


def owner(parent: str | None, kind: str) -> list[Raw]:
    ref = {"apiVersion": "kubevirt.io/v1", "kind": kind, "name": parent, "uid": f"uid-{parent}", "controller": True}
    return [ref] if parent else []


def conditions(**statuses: bool | tuple[bool, str] | None) -> list[Raw]:
    """Ready=True, or Ready=(False, "Reason")."""
    result = []
    for kind, said in statuses.items():
        status, reason = said if isinstance(said, tuple) else (said, "")
        if status is not None:
            text = {"type": kind, "status": str(status), "lastTransitionTime": ago(30)}
            result.append(text | ({"reason": reason} if reason else {}))
    return result


def vmi(name: str = "web", phase: str = "Pending", ready: bool | tuple[bool, str] | None = None, **more: Any) -> Any:
    """A VMI; `of` its replica set, `spec` beside memory, `ended` seconds ago."""
    of, spec, ended = more.pop("of", None), more.pop("spec", {}), more.pop("ended", None)
    known = more.pop("status_conditions", [])
    kind, node = more.pop("kind", "VirtualMachineInstanceReplicaSet"), more.pop("node", None)
    guarded = {"finalizers": [launcher.VMI_FINALIZER], "labels": {"app": "web"}}
    body = {
        "metadata": meta(name, **{**guarded, "ownerReferences": owner(of, kind), **more}),
        "spec": {"domain": {"devices": {}, "memory": {"guest": "128Mi"}}} | spec,
    }
    if phase:
        since = [{"phase": phase, "phaseTransitionTimestamp": ago(ended or 0)}]
        body["status"] = {
            "phase": phase,
            "phaseTransitionTimestamps": since,
            "conditions": [*conditions(Ready=ready), *known],
        } | ({"nodeName": node} if node else {})
    return VirtualMachineInstance.read(body)


def vm(strategy: str | None = "Always", name: str = "web", **more: Any) -> Any:
    """A VM; `running` instead of a strategy, `template` metadata, `spec` beside memory, `status`, `more_spec`."""
    running, template, status = more.pop("running", None), more.pop("template", {}), more.pop("status", None)
    instance = {"domain": {"devices": {}, "memory": {"guest": "128Mi"}}} | more.pop("spec", {})
    spec: Raw = {"template": {"metadata": {"labels": {"app": "web"}} | template, "spec": instance}}
    spec |= {"runStrategy": strategy} if running is None else {"running": running}
    spec |= more.pop("more_spec", {})
    metadata = {"finalizers": [launcher.VM_FINALIZER], "generation": 1, **more}
    kept = {key: value for key, value in (status or {}).items() if value is not None}  # as a merge patch leaves it
    body = {"metadata": meta(name, **metadata), "spec": spec} | ({"status": kept} if kept else {})
    return VirtualMachine.read(body)


def vm_vmi(phase: str = "Running", **more: Any) -> Any:
    """The instance of that VM; `ran`: it was Running once."""
    ran, marks = more.pop("ran", False), [launcher.VMI_FINALIZER, launcher.VM_FINALIZER]
    found = vmi("web", phase, **{"of": "web", "kind": "VirtualMachine", "finalizers": marks, **more})
    if not ran:
        return found
    body = found.model_dump(mode="json", by_alias=True, exclude_unset=True)
    passed = body["status"]["phaseTransitionTimestamps"]
    passed.insert(0, {"phase": "Running", "phaseTransitionTimestamp": ago(60)})
    return VirtualMachineInstance.read(body)


def replica_set(replicas: int | None = 3, name: str = "web", **more: Any) -> Any:
    """A replica set of app=web; `paused`, `template` metadata, `status`."""
    paused, template, status = more.pop("paused", False), more.pop("template", {}), more.pop("status", None)
    spec = {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}} | template,
            "spec": {"domain": {"devices": {}, "memory": {"guest": "128Mi"}}},
        },
    }
    spec |= {} if replicas is None else {"replicas": replicas}
    spec |= {"paused": True} if paused else {}
    body = {"metadata": meta(name, **more), "spec": spec} | ({"status": status} if status else {})
    return VirtualMachineInstanceReplicaSet.read(body)


def pod(of: str = "web", phase: str = "Running", **more: Any) -> Any:
    """The launcher pod of a VMI; `waiting`/`said` of its container, `scheduled`, `ready`, `age`, `dying`."""
    waiting, said, code = more.pop("waiting", None), more.pop("said", None), more.pop("code", 0)
    scheduled, ready = more.pop("scheduled", True), more.pop("ready", phase == "Running")
    started = more.pop("started", ready)
    state: Raw = {}
    if waiting:
        state = {"waiting": {"reason": waiting, "message": f"{waiting} happened"}}
    if phase in ("Succeeded", "Failed"):
        message = said if isinstance(said, str) else json.dumps(said) if said else ""
        state = {"terminated": {"exitCode": code, "reason": "Completed", "message": message}}
    compute = {"name": launcher.COMPUTE, "ready": bool(started), "state": state}
    unscheduled = (False, "Unschedulable")
    status = {
        "phase": phase,
        "conditions": conditions(PodScheduled=True if scheduled else unscheduled, Ready=ready),
        "containerStatuses": [compute],
    }
    metadata = meta(f"virt-launcher-{of}", **{"ownerReferences": owner(of, "VirtualMachineInstance"), **more})
    return Pod.read({"metadata": metadata, "spec": {"nodeName": "node-1"}, "status": status})


def job(name: str = "sum", **more: Any) -> Any:
    """A job of one guest; `spec` beside its template, `status`."""
    spec, status = more.pop("spec", {}), more.pop("status", None)
    template = {"spec": {"domain": {"devices": {}, "memory": {"guest": "128Mi"}}}}
    body = {"metadata": meta(name, **more), "spec": {"template": template} | spec} | (
        {"status": status} if status else {}
    )
    return VirtualMachineJob.read(body)


def cron_job(schedule: str = "*/5 * * * *", name: str = "tick", **more: Any) -> Any:
    """A cron job; `spec` beside its schedule and template, `status`."""
    spec, status = more.pop("spec", {}), more.pop("status", None)
    template = {"spec": {"template": {"spec": {"domain": {"devices": {}, "memory": {"guest": "128Mi"}}}}}}
    body = {"metadata": meta(name, **more), "spec": {"schedule": schedule, "jobTemplate": template} | spec}
    return VirtualMachineCronJob.read(body | ({"status": status} if status else {}))


def cron_run(minutes: int, end: str | None = None, **more: Any) -> Any:
    """The job that `tick` made so many minutes before noon; `end` is Complete or Failed."""
    name = f"tick-{int(NOON.timestamp()) // 60 - minutes}"
    ref = {"apiVersion": "hostler.io/v1alpha1", "kind": "VirtualMachineCronJob", "name": "tick", "uid": "uid-tick"}
    more = {"annotations": {SCHEDULED: ago(minutes * 60)}} | more
    more = {"age": minutes * 60, "ownerReferences": [ref | {"controller": True}]} | more
    status: Raw = {"startTime": ago(minutes * 60)}
    if end:
        status |= {"conditions": conditions(**{end: True}), "completionTime": ago(minutes * 60 - 30)}
    return job(name, status=status, **more)


def guest(name: str, phase: str = "Running", **more: Any) -> Any:
    """A VMI of the job `sum`; `tracked` if not counted yet, `ended` seconds ago; `index` after `failures` of it;
    `code` that it wrote, `reason` of its failure, `gone` if only our finalizer holds it."""
    tracking = [TRACKING] if more.pop("tracked", True) else []
    index, failures, told = more.pop("index", None), more.pop("failures", None), {}
    for field, key in (("exitCode", "code"), ("reason", "reason"), ("result", "result")):
        if (value := more.pop(key, None)) is not None:
            told[field] = value
    marks = {INDEX: index, FAILURES: failures}
    more["annotations"] = {key: str(value) for key, value in marks.items() if value is not None}
    ref = {"apiVersion": "hostler.io/v1alpha1", "kind": "VirtualMachineJob", "name": "sum", "uid": "uid-sum"}
    gone = more.pop("gone", False)
    more |= {"dying": True} if gone else {}
    more |= {"finalizers": [*([] if gone else [launcher.VMI_FINALIZER]), *tracking]}
    made = vmi(name, phase, **more, ownerReferences=[ref | {"controller": True}])
    if not told:
        return made
    body = made.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return VirtualMachineInstance.read(body | {"status": body["status"] | told})


def claim(name: str = "data", mode: str = "Filesystem", size: str = "1Gi") -> Any:
    spec = {"volumeMode": mode, "resources": {"requests": {"storage": size}}}
    return PersistentVolumeClaim.read({"metadata": meta(name), "spec": spec})


def data_volume(name: str = "data", phase: str = "", **more: Any) -> Any:
    """A DataVolume of 1 GiB; `source`, `storage` or `pvc`, and `status` beside the phase."""
    source, status = more.pop("source", {"http": {"url": "http://images/disk"}}), more.pop("status", {})
    form = {"pvc": pvc} if (pvc := more.pop("pvc", None)) else {"storage": more.pop("storage", GIB)}
    body = {"metadata": meta(name, **more), "spec": {"source": source, **form}}
    return DataVolume.read(body | {"status": {"phase": phase} | status} if phase or status else body)


def verbs(plan: Plan) -> list[str]:
    """A plan's actions in a word each: +name, -name, ~name why."""
    words = []
    for action in plan.actions:
        match action:
            case Create(_, body):
                words.append(f"+{body['metadata']['name']}")
            case Delete(target):
                words.append(f"-{target.metadata.name}")
            case Patch(target, _, why):
                words.append(f"~{target.metadata.name} {why}")
    return words


def said(plan: Plan, kind: str) -> tuple[str, str] | None:
    """(status, reason) of a condition in the plan's status."""
    found = [each for each in (plan.status or {}).get("conditions", ()) if each["type"] == kind]
    return (found[0]["status"], found[0].get("reason", "")) if found else None


def workload(kind: Any, name: str = "web", **more: Any) -> Any:
    """A set of app=web of any kind; `template` metadata, `guest` beside memory, `status`, all else is its spec."""
    template, guest_spec, status = more.pop("template", {}), more.pop("guest", {}), more.pop("status", None)
    metadata = {key: more.pop(key) for key in ("annotations", "dying", "age", "uid", "generation") if key in more}
    spec = {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}} | template,
            "spec": {"domain": {"devices": {}, "memory": {"guest": "128Mi"}}} | guest_spec,
        },
    }
    body = {"metadata": meta(name, **({"generation": 1} | metadata)), "spec": spec | more}
    return kind.read(body | ({"status": status} if status else {}))
