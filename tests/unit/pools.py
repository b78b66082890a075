"""Pools for tests: a pool, its VMs by index, and what of them is seen."""

from collections.abc import Iterable
from typing import Any

from controllers import pool_index
from controllers.pool import Seen
from controllers.pool_disks import Disks
from hostler.api import apps, launcher
from hostler.api.cdi import DataVolume
from hostler.api.kubevirt.pool import FINALIZER, REVISION, VirtualMachinePool
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.objects import ControllerRevision
from hostler.runtime.protocol import Raw
from tests.unit import make

NEW, OLD = "web-2", "web-1"  # revisions: memory of 128Mi and of 64Mi
DISK = {"metadata": {"name": "root"}, "spec": {"source": {"blank": {}}, "storage": make.GIB}}
ROOT = {"name": "root", "dataVolume": {"name": "root"}}


def pool(replicas: int | None = 3, **more: Any) -> Any:
    """A pool of app=web; `guest` beside memory, `vm` beside the template, `status`; all else is its spec."""
    guest, vm, status = more.pop("guest", {}), more.pop("vm", {}), more.pop("status", None)
    memory = more.pop("memory", "128Mi")
    metadata = {key: more.pop(key) for key in ("annotations", "dying", "finalizers", "generation") if key in more}
    instance = {"domain": {"devices": {}, "memory": {"guest": memory}}} | guest
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"runStrategy": "Always", "template": {"metadata": {}, "spec": instance}} | vm,
    }
    spec = {"selector": {"matchLabels": {"app": "web"}}, "virtualMachineTemplate": template}
    spec |= {} if replicas is None else {"replicas": replicas}
    marks = {"finalizers": [FINALIZER], "generation": 2} | metadata
    body = {"metadata": make.meta("web", **marks), "spec": spec | more}
    return VirtualMachinePool.read(body | ({"status": status} if status else {}))


def proactive(**policy: Any) -> Raw:
    return {"proactive": {"selectionPolicy": policy} if policy else {}}


def page(of: Any, name: str = NEW, number: int = 2) -> Any:
    """The revision of a pool's template."""
    body = {"metadata": make.meta(name, labels={apps.REVISION_OF: "VirtualMachinePool"}), "revision": number}
    return ControllerRevision.read(body | {"data": pool_index.content(of)})


def member(number: int, revision: str = NEW, **more: Any) -> Any:
    """A VM of the pool; `of` another pool than the plain one, `labels`, `printable`, `failures`."""
    parent = more.pop("of", None) or pool(memory="128Mi" if revision == NEW else "64Mi")
    said, failures = more.pop("printable", "Running"), more.pop("failures", 0)
    labels = {"app": "web", REVISION: revision} | more.pop("labels", {})
    owner = make.owner("web", "VirtualMachinePool") if more.pop("owned", True) else []
    guards = {"finalizers": [launcher.VM_FINALIZER, FINALIZER], "labels": labels, "ownerReferences": owner}
    status: Raw = {"printableStatus": said} if said else {}
    if failures:
        status["startFailure"] = {"consecutiveFailCount": failures}
    if since := more.pop("unready", None):
        status["conditions"] = [{"type": "Ready", "status": "False", "lastTransitionTime": make.ago(since)}]
    spec = pool_index.spec(pool_index.content(parent), number, revision)
    body = {"metadata": make.meta(f"web-{number}", **(guards | more)), "spec": spec}
    return VirtualMachine.read(body | ({"status": status} if status else {}))


def guest(number: int, revision: str = NEW, ready: bool | None = True, phase: str = "Running", **more: Any) -> Any:
    """The instance of a member."""
    more = {"of": f"web-{number}", "kind": "VirtualMachine", "labels": {REVISION: revision}} | more
    return make.vmi(f"web-{number}", phase, ready, **more)


def disk(number: int, owner: str | None = "", **more: Any) -> Any:
    """The DataVolume of an index; its owner is the VM of the index unless said otherwise."""
    refs = make.owner(f"web-{number}" if owner == "" else owner, "VirtualMachine")
    found = make.data_volume(f"root-{number}", "Succeeded", ownerReferences=refs, **more)
    assert isinstance(found, DataVolume)
    return found


def seen(
    vms: Iterable[Any], guests: Iterable[Any] = (), disks: Iterable[Any] = (), pages: Iterable[Any] = (), **more: Any
) -> Seen:
    """The plain pool's revisions are known; each VM has a Ready guest of its revision unless `guests` are given."""
    found = tuple(vms)
    alive = tuple(guests) or tuple(ready_guest(vm) for vm in found)
    known = tuple(pages) or (page(pool(memory="64Mi"), OLD, 1), page(pool()))
    taken = {vm.metadata.name for vm in found} | set(more.pop("taken", ()))
    volumes = {each.metadata.name: each for each in disks}
    return Seen(
        found,
        guests={vmi.metadata.name: vmi for vmi in alive},
        pages=known,
        disks=Disks({}, volumes, frozenset(more.pop("held", ()))),
        taken=taken,
        taken_pages={each.metadata.name for each in known},
        **more,
    )


def ready_guest(vm: Any) -> Any:
    return guest(int(vm.metadata.name.rpartition("-")[2]), vm.metadata.labels.get(REVISION, ""))
