"""What `vmctl rollout` knows of a set: how far it is, and the revisions that it can go back to. Pure but for `find`."""

from typing import Any, NamedTuple

import yaml

from hostler.api import apps
from hostler.api.apps import VirtualMachineDaemonSet, VirtualMachineDeployment, VirtualMachineStatefulSet
from hostler.api.kubevirt.pool import VirtualMachinePool
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet
from hostler.api.objects import ControllerRevision
from hostler.runtime.errors import Terminal
from hostler.runtime.protocol import Kind, Kube, Raw

KINDS: dict[str, Kind] = {
    word: kind
    for kind, short in (
        (VirtualMachineDeployment, "vmdeploy"),
        (VirtualMachineDaemonSet, "vmds"),
        (VirtualMachineStatefulSet, "vmsts"),
        (VirtualMachinePool, "vmpool"),
    )
    for word in (short, f"{short}s", kind.plural, kind.kind().lower())
}


class Found(NamedTuple):
    """The object that was asked about."""

    kind: Kind
    name: str
    body: Raw


class Revision(NamedTuple):
    """A state of the template."""

    number: int
    cause: str
    template: Raw
    created: str = ""

    def told(self) -> Raw:
        """As `vmctl rollout history -o json` has it."""
        return {"revision": self.number, "changeCause": self.cause, "created": self.created}


async def find(kube: Kube, namespace: str, what: str) -> Found:
    """KIND/NAME, as in vmdeploy/web."""
    word, _, name = what.partition("/")
    kind = KINDS.get(word.lower())
    if kind is None or not name:
        raise Terminal("NoSuchKind", f"{what}: want KIND/NAME, the kind one of {', '.join(shorts())}")
    return Found(kind, name, await kube.get(kind, namespace, name))


def shorts() -> list[str]:
    return list(dict.fromkeys(next(word for word in KINDS if KINDS[word] is kind) for kind in KINDS.values()))


def cause(found: Found, goal: Revision) -> list[Raw]:
    """A deployment's set takes its cause from it: it has to say again why the template was so."""
    known = found.body["metadata"].get("annotations") or {}
    if found.kind is not VirtualMachineDeployment or known.get(apps.CHANGE_CAUSE, "") == goal.cause:
        return []
    if not known:
        return [{"op": "add", "path": "/metadata/annotations", "value": {apps.CHANGE_CAUSE: goal.cause}}]
    path = f"/metadata/annotations/{apps.CHANGE_CAUSE.replace('/', '~1')}"
    return [{"op": "add", "path": path, "value": goal.cause} if goal.cause else {"op": "remove", "path": path}]


def progress(found: Found) -> tuple[str, bool]:
    """kubectl's words, and whether the rollout is done; Terminal when it has failed."""
    status = found.body.get("status") or {}
    if status.get("observedGeneration", 0) < found.body["metadata"]["generation"]:
        return "Waiting for the spec update to be observed...", False
    if found.kind is VirtualMachineDeployment:
        return deployment(found, status)
    if found.kind is VirtualMachinePool:
        return pool(found, status)
    if (found.body["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") != "RollingUpdate":
        raise Terminal("OnDelete", "rollout status is only available for RollingUpdate strategy type")
    return daemon_set(found, status) if found.kind is VirtualMachineDaemonSet else stateful_set(found, status)


def deployment(found: Found, status: Raw) -> tuple[str, bool]:
    wait = f'Waiting for deployment "{found.name}" rollout to finish:'
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    if conditions.get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded":
        raise Terminal("ProgressDeadlineExceeded", f'deployment "{found.name}" exceeded its progress deadline')
    wanted = found.body["spec"].get("replicas", 1)
    updated, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
    available = status.get("availableReplicas", 0)
    if updated < wanted:
        return f"{wait} {updated} out of {wanted} new replicas have been updated...", False
    if total > updated:
        return f"{wait} {total - updated} old replicas are pending termination...", False
    if available < updated:
        return f"{wait} {available} of {updated} updated replicas are available...", False
    return f'deployment "{found.name}" successfully rolled out', True


def daemon_set(found: Found, status: Raw) -> tuple[str, bool]:
    wait = f'Waiting for daemon set "{found.name}" rollout to finish:'
    wanted, updated = status.get("desiredNumberScheduled", 0), status.get("updatedNumberScheduled", 0)
    available = status.get("numberAvailable", 0)
    if updated < wanted:
        return f"{wait} {updated} out of {wanted} new virtual machine instances have been updated...", False
    if available < wanted:
        return f"{wait} {available} of {wanted} updated virtual machine instances are available...", False
    return f'daemon set "{found.name}" successfully rolled out', True


def stateful_set(found: Found, status: Raw) -> tuple[str, bool]:
    spec = found.body["spec"]
    wanted, ready, updated = spec.get("replicas", 1), status.get("readyReplicas", 0), status.get("updatedReplicas", 0)
    partition = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition", 0)
    if ready < wanted:
        return f"Waiting for {wanted - ready} virtual machine instances to be ready...", False
    if partition:
        goal = max(wanted - partition, 0)
        if updated < goal:
            wait = "Waiting for partitioned roll out to finish:"
            return f"{wait} {updated} out of {goal} new virtual machine instances have been updated...", False
        return f"partitioned roll out complete: {updated} new virtual machine instances have been updated...", True
    if status.get("updateRevision") != status.get("currentRevision"):
        wait = "waiting for statefulset rolling update to complete"
        return f"{wait} {updated} virtual machine instances at revision {status.get('updateRevision')}...", False
    return f"statefulset rolling update complete {ready} virtual machine instances at revision " + str(
        status.get("currentRevision")
    ), True


def pool(found: Found, status: Raw) -> tuple[str, bool]:
    strategy = found.body["spec"].get("updateStrategy") or {}
    if "unmanaged" in strategy or "opportunistic" in strategy:
        raise Terminal("NotProactive", "rollout status is only available for the proactive update strategy")
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    said = conditions.get("Progressing", {})
    if said.get("reason") == "ProgressDeadlineExceeded":
        raise Terminal("ProgressDeadlineExceeded", f'pool "{found.name}" has stopped its update: {said["message"]}')
    if said.get("reason") == "UpdateComplete":
        return f'pool "{found.name}" successfully rolled out', True
    return f'Waiting for pool "{found.name}" rollout to finish: {said.get("message", "")}...', False


def counts(found: Found) -> tuple[int, int | None, int, int | None]:
    """Desired, updated, ready, available; None is what a pool does not count."""
    status = found.body.get("status") or {}
    ready = status.get("readyReplicas", 0)
    if found.kind is VirtualMachineDaemonSet:
        names = ("desiredNumberScheduled", "updatedNumberScheduled", "numberReady", "numberAvailable")
        desired, updated, ready, available = (status.get(each, 0) for each in names)
        return desired, updated, ready, available
    desired = found.body["spec"].get("replicas", 1)
    if found.kind is VirtualMachinePool:
        return desired, None, ready, None
    return desired, status.get("updatedReplicas", 0), ready, status.get("availableReplicas", 0)


async def known(kube: Kube, found: Found) -> list[Revision]:
    """The oldest first."""
    namespace, uid = found.body["metadata"]["namespace"], found.body["metadata"]["uid"]
    sets = found.kind is VirtualMachineDeployment
    items, _ = await kube.list(VirtualMachineInstanceReplicaSet if sets else ControllerRevision, namespace)
    read = of_set if sets else of_page
    return sorted((read(each) for each in items if owned(each, uid)), key=lambda each: each.number)


def owned(body: Raw, uid: str) -> bool:
    return any(ref["uid"] == uid and ref.get("controller") for ref in body["metadata"].get("ownerReferences", []))


def of_set(body: Raw) -> Revision:
    marks = body["metadata"].get("annotations", {})
    number, created = int(marks.get(apps.REVISION, 0)), body["metadata"].get("creationTimestamp", "")
    return Revision(number, marks.get(apps.CHANGE_CAUSE, ""), plain(body["spec"]["template"]), created)


def of_page(body: Raw) -> Revision:
    marks = body["metadata"].get("annotations", {})
    data = body["data"]
    template = data["virtualMachineTemplate"] if "virtualMachineTemplate" in data else data["spec"]["template"]
    created = body["metadata"].get("creationTimestamp", "")
    return Revision(body["revision"], marks.get(apps.CHANGE_CAUSE, ""), plain(template), created)


def template_of(kind: Kind) -> str:
    """The field of the spec that has the template."""
    return "virtualMachineTemplate" if kind is VirtualMachinePool else "template"


def plain(template: Raw) -> Raw:
    """The template as its user wrote it: without what a set of a deployment has added."""
    meta = dict(template.get("metadata") or {})
    labels = {key: value for key, value in (meta.pop("labels", None) or {}).items() if key != apps.TEMPLATE_HASH}
    notes: dict[str, Any] = meta.pop("annotations", None) or {}
    left = ({"labels": labels} if labels else {}) | ({"annotations": notes} if notes else {})
    return {"metadata": left, "spec": template.get("spec") or {}}


def template_text(revision: Revision) -> str:
    return f"revision {revision.number}\n" + yaml.safe_dump(revision.template, sort_keys=False).rstrip()
