"""Our kinds on top of an installed KubeVirt, which runs their guests: what the controllers do differently there. Pure.

A guest comes without what KubeVirt's webhook adds to it. Plain replica sets are KubeVirt's. A deployment's sets are
ours, since KubeVirt deletes just anybody when a set shrinks: they are paused, so KubeVirt adopts their guests and
counts them, but makes and deletes none. docs/decisions/0025.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from controllers import replicaset
from controllers.replicaset import Seen
from hostler.api import launcher
from hostler.api.apps import VirtualMachineDeployment as Deployment
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.kubevirt.vmirs import HOSTLER_FAILURE, RUN_BY
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet as ReplicaSet
from hostler.runtime import conditions
from hostler.runtime.conditions import Condition
from hostler.runtime.plan import Action, AnyController, Create, Event, Failure, Patch, Plan
from hostler.runtime.protocol import Raw

HOSTLER = "hostler"
TAKEN: Raw = {"metadata": {"annotations": {RUN_BY: HOSTLER}}, "spec": {"paused": True}}
LEFT: Raw = {"metadata": {"annotations": {RUN_BY: None}}, "spec": {"paused": False}}


def adapted(controller: AnyController) -> AnyController:
    """The same controller, whose new objects are as KubeVirt wants them."""
    return replace(controller, plan=fitting(controller.plan))


def fitting(plan: Callable[[Any, Any, datetime], Plan]) -> Callable[[Any, Any, datetime], Plan]:
    def planned(parent: Any, seen: Any, now: datetime) -> Plan:
        found: Plan = plan(parent, seen, now)
        return replace(found, actions=tuple(map(fit, found.actions)))

    return planned


def fit(action: Action) -> Action:
    if isinstance(action, Create) and action.kind is VMI:
        return replace(action, body=bare(action.body))
    if isinstance(action, Create) and action.kind is ReplicaSet:
        return replace(action, body=taken(action.body))
    return action


def bare(guest: Raw) -> Raw:
    """KubeVirt's webhook adds its finalizer and the first phase without looking whether they are there."""
    metadata = dict(guest["metadata"])
    metadata["finalizers"] = [each for each in metadata.get("finalizers", ()) if each != launcher.VMI_FINALIZER]
    annotations = metadata.get("annotations") or {}
    metadata["annotations"] = {key: value for key, value in annotations.items() if key != launcher.PORTS}
    return {key: value for key, value in guest.items() if key != "status"} | {"metadata": metadata}


def taken(rs: Raw) -> Raw:
    """Born paused: KubeVirt never makes a guest of it."""
    annotations = rs["metadata"].get("annotations", {}) | TAKEN["metadata"]["annotations"]
    return rs | {"metadata": rs["metadata"] | {"annotations": annotations}, "spec": rs["spec"] | TAKEN["spec"]}


def plan(rs: ReplicaSet, seen: Seen, now: datetime) -> Plan:
    """Run a deployment's set as if it were not paused; hand back one that no deployment has any more."""
    if rs.metadata.deletion_timestamp:
        return Plan()
    mine = RUN_BY in rs.metadata.annotations
    if not of_deployment(rs):
        return Plan((Patch(rs, LEFT, "leave to KubeVirt"),)) if mine else Plan()
    if not (mine and rs.spec.paused):
        return Plan((Patch(rs, TAKEN, "take over"),))
    found = replicaset.plan(running(rs), seen, now)
    return replace(found, status=trouble(rs, None, now))


def of_deployment(rs: ReplicaSet) -> bool:
    owner = rs.metadata.controller
    return owner is not None and owner.kind == Deployment.kind() and owner.api_version == Deployment.group_version


def running(rs: ReplicaSet) -> ReplicaSet:
    return rs.model_copy(update={"spec": rs.spec.model_copy(update={"paused": False}), "status": None})


def trouble(rs: ReplicaSet, what: Condition | None, now: datetime) -> Raw | None:
    """The counts are KubeVirt's to tell, and so is ReplicaFailure, which it would remove: ours has its own name."""
    known = rs.status.conditions if rs.status else ()
    if what is None and all(each.type != HOSTLER_FAILURE for each in known):
        return None
    return {"conditions": conditions.update(known, {HOSTLER_FAILURE: what}, now)}


def failed(rs: ReplicaSet, _plan: Plan, failure: Failure, now: datetime) -> Plan:
    """A guest was refused."""
    told = trouble(rs, Condition(True, "FailedCreate", str(failure.error)), now)
    note = f"Error creating virtual machine instance: {failure.error}"
    return Plan(status=told, events=(Event("FailedCreate", note, "Warning"),))


REPLICA_SETS = replace(replicaset.CONTROLLER, plan=plan, failed=failed, shared_status=True)
