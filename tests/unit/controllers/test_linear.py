"""What a visit costs grows with the set's own members, no faster, and not with what else there is: counted, not timed.

The cost is the number of functions called, Python's own among them (caches make it differ by a few from visit to
visit). Twice the members may cost 2.2 times as much.
"""

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from controllers import daemonset, deployment, job, replicaset, statefulset, vm, vmi
from controllers.settings import ManagerSettings
from hostler.api import apps, launcher
from hostler.api.batch import TRACKING
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet
from hostler.api.meta import Resource
from hostler.api.objects import Node, PersistentVolumeClaim
from hostler.runtime.apply import changes
from hostler.runtime.plan import AnyController
from hostler.runtime.protocol import Raw
from hostler.runtime.store import Store
from tests.unit import make
from tests.unit.make import NOON, NS

SETTINGS = ManagerSettings(_cli_parse_args=False)
STATEFUL = statefulset.controller(SETTINGS)
FEW, MANY = 300, 600  # more say the same, and take their time
LINEAR = 2.2


def calls(work: Callable[[], object]) -> int:
    """Functions that were called."""
    count = 0

    def called(_frame: object, event: str, _arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def visit(controller: AnyController, store: Store, parent: Any) -> int:
    """What it costs to plan for a set, and to see what of its status is new."""

    def work() -> None:
        plan = controller.plan(parent, controller.look(store, parent), NOON + timedelta(minutes=2))
        changes(parent.status, plan.status or {})

    return calls(work)


def guest(number: int, phase: str, owner: Raw, **labels: str) -> Raw:
    name = f"web-{number}"
    ready = {"type": "Ready", "status": "True" if phase == "Running" else "False", "lastTransitionTime": make.ago(30)}
    passed = [{"phase": phase, "phaseTransitionTimestamp": make.ago(30)}]
    mine = {"labels": {"app": "web"} | labels, "ownerReferences": [owner | {"controller": True}]}
    return {
        "metadata": make.meta(name, age=300, finalizers=[launcher.VMI_FINALIZER, TRACKING], **mine),
        "spec": {"domain": {"devices": {}, "memory": {"guest": "128Mi"}}},
        "status": {"phase": phase, "conditions": [ready], "phaseTransitionTimestamps": passed},
    }


def reference(owner: Resource) -> Raw:
    meta = owner.metadata
    return {"apiVersion": owner.group_version, "kind": owner.kind(), "name": meta.name, "uid": meta.uid}


def hold(store: Store, kind: Any, raw: Raw) -> Any:
    store.observe(kind, raw)
    return store.get(kind, (raw["metadata"]["namespace"], raw["metadata"]["name"]))


def replica_set(store: Store, size: int, members: int, phase: str) -> Any:
    parent = make.replica_set(size)
    fill(store, parent, members, phase)
    return parent


def deployment_of(store: Store, size: int, members: int, phase: str) -> Any:
    """With the set of its template, whose guests they are."""
    parent = make.workload(apps.VirtualMachineDeployment, replicas=size)
    for create in deployment.plan(parent, deployment.look(store, parent), NOON).actions:
        body = create.body["metadata"]  # type: ignore[union-attr]
        rs = hold(store, VirtualMachineInstanceReplicaSet, create.body | {"metadata": body | make.meta(body["name"])})  # type: ignore[union-attr]
        fill(store, rs, members, phase)
    return parent


def stateful_set(store: Store, size: int, members: int, phase: str) -> Any:
    parent = make.workload(apps.VirtualMachineStatefulSet, replicas=size, podManagementPolicy="Parallel")
    fill(store, parent, members, phase)
    return parent


def daemon_set(store: Store, size: int, members: int, phase: str) -> Any:
    """Guests that are bound to their nodes by the status only, as if they had been bound otherwise."""
    for number in range(size):
        hold(store, Node, {"metadata": make.meta(f"n{number}", labels={launcher.SCHEDULABLE: "true"}), "spec": {}})
    parent = make.workload(apps.VirtualMachineDaemonSet)
    for number in range(members):
        body = guest(number, phase, reference(parent))
        body["status"]["nodeName"] = f"n{number}"
        hold(store, VirtualMachineInstance, body)
    return parent


def job_of(store: Store, size: int, members: int, phase: str) -> Any:
    parent = make.job("web", spec={"completions": size, "parallelism": size})
    fill(store, parent, members, phase)
    return parent


def fill(store: Store, parent: Resource, members: int, phase: str) -> None:
    for number in range(members):
        hold(store, VirtualMachineInstance, guest(number, phase, reference(parent)))


KINDS = {
    "replicaset": (replicaset.CONTROLLER, replica_set),
    "deployment": (deployment.CONTROLLER, deployment_of),
    "statefulset": (STATEFUL, stateful_set),
    "daemonset": (daemonset.CONTROLLER, daemon_set),
    "job": (job.CONTROLLER, job_of),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("wanted", "there", "phase"),
    [
        pytest.param(1, 0, "", id="none is there yet"),
        pytest.param(1, 1, "Running", id="all run"),
        pytest.param(1, 1, "Succeeded", id="all have ended"),
        pytest.param(0, 1, "Running", id="none is wanted any more"),
    ],
)
def test_twice_the_members_cost_twice_as_much(kind: str, wanted: int, there: int, phase: str) -> None:
    controller, build = KINDS[kind]
    costs = []
    for size in (FEW, MANY):
        store = Store(shared=[VirtualMachineInstance])
        costs.append(visit(controller, store, build(store, wanted * size, there * size, phase)))
    assert costs[1] <= LINEAR * costs[0]
    assert costs[0] < 300 * FEW  # and none of the members is looked at without end


@pytest.mark.parametrize("kind", KINDS)
def test_the_members_of_others_cost_nothing(kind: str) -> None:
    controller, build = KINDS[kind]
    alone, crowded = Store(), Store()
    other = make.replica_set(name="other")
    for number in range(FEW):
        body = guest(number, "Running", reference(other))
        hold(crowded, VirtualMachineInstance, body | {"metadata": body["metadata"] | {"name": f"other-{number}"}})
    costs = [visit(controller, store, build(store, 10, 5, "Running")) for store in (alone, crowded)]
    assert costs[1] < 1.1 * costs[0]


def waiting_guest(name: str, volume: Raw) -> Resource:
    found: Resource = make.vmi(name, spec={"volumes": [volume]})
    return found


def machine(name: str, volume: Raw) -> Resource:
    found: Resource = make.vm(name=name, spec={"volumes": [volume]})
    return found


@pytest.mark.parametrize(
    ("controller", "user"),
    [
        pytest.param(vmi.controller(SETTINGS), waiting_guest, id="guests"),
        pytest.param(vm.controller(SETTINGS), machine, id="VMs"),
    ],
)
def test_a_claim_finds_its_users_without_looking_at_everyone(
    controller: AnyController, user: Callable[[str, Raw], Resource]
) -> None:
    costs = []
    for size in (10, FEW):
        store = Store()
        for number in range(size):
            volume = {"name": "root", "persistentVolumeClaim": {"claimName": f"root-{number}"}}
            hold(store, controller.parent, as_read(user(f"web-{number}", volume)))
        claims = [PersistentVolumeClaim.read({"metadata": make.meta(f"root-{n}"), "spec": {}}) for n in (3, 4)]
        assert list(controller.concerns(claims[0], store)) == [(NS, "web-3")]  # makes the index
        costs.append(calls(lambda store=store, claim=claims[1]: list(controller.concerns(claim, store))))  # type: ignore[misc]
    assert costs[1] < 1.1 * costs[0]


def as_read(obj: Resource) -> Raw:
    return obj.model_dump(mode="json", by_alias=True, exclude_unset=True)
