"""What the controllers do differently on an installed KubeVirt."""

from typing import Any

import pytest

from controllers import daemonset, deployment, job, on_kubevirt, replicaset, statefulset
from controllers.deployment_sets import Fleet
from controllers.deployment_status import Conditions, failing
from controllers.on_kubevirt import LEFT, REPLICA_SETS, TAKEN, adapted
from controllers.replicaset import Seen
from controllers.settings import ManagerSettings
from hostler.api import launcher
from hostler.api.apps import VirtualMachineDaemonSet, VirtualMachineDeployment
from hostler.api.apps import VirtualMachineStatefulSet as StatefulSet
from hostler.api.batch import TRACKING
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.kubevirt.vmirs import HOSTLER_FAILURE, RUN_BY
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet as ReplicaSet
from hostler.api.objects import Node
from hostler.runtime.errors import Forbidden
from hostler.runtime.plan import Create, Failure, Patch
from hostler.runtime.store import Store
from tests.unit import make
from tests.unit.make import NOON, replica_set, verbs, vmi

OWNER = {"apiVersion": "hostler.io/v1alpha1", "kind": "VirtualMachineDeployment", "name": "web", "uid": "uid-deploy"}
OF_DEPLOYMENT = [OWNER | {"controller": True}]
OF_ANOTHER = [OWNER | {"controller": True, "apiVersion": "apps.example.com/v1"}]
MARK = {RUN_BY: "hostler"}


def ours(replicas: int = 2, **more: Any) -> Any:
    """A deployment's set that was taken over."""
    return replica_set(replicas, **({"ownerReferences": OF_DEPLOYMENT, "annotations": MARK, "paused": True} | more))


def member(name: str, ready: bool = True, **more: Any) -> Any:
    return vmi(name, "Running", ready, of="web", **more)


@pytest.mark.parametrize(
    ("rs", "seen", "expected"),
    [
        pytest.param(replica_set(2), [], [], id="a plain set is KubeVirt's"),
        pytest.param(replica_set(2, paused=True), [], [], id="and so is one that its user paused"),
        pytest.param(replica_set(2, ownerReferences=OF_ANOTHER), [], [], id="and another's"),
        pytest.param(ours(annotations={}, paused=False), [], ["~web take over"], id="a deployment's is taken over"),
        pytest.param(ours(paused=False), [], ["~web take over"], id="and again, when somebody resumes it"),
        pytest.param(ours(), [], ["+webp8xvs", "+webvvnhb"], id="then it is run"),
        pytest.param(ours(1), [member("a"), member("b", ready=False)], ["-b"], id="who is not ready goes first"),
        pytest.param(ours(ownerReferences=[]), [member("a")], ["~web leave to KubeVirt"], id="until nobody owns it"),
        pytest.param(ours(dying=True), [], [], id="the garbage collector has one that goes"),
    ],
)  # fmt: skip
def test_whose_sets(rs: Any, seen: list[Any], expected: list[str]) -> None:
    plan = REPLICA_SETS.plan(rs, Seen(tuple(seen), (), {each.metadata.name for each in seen}), NOON)
    assert verbs(plan) == expected
    assert plan.status is None, "the counts are KubeVirt's to tell"


def test_how_a_set_changes_hands() -> None:
    take = REPLICA_SETS.plan(ours(annotations={}, paused=False), Seen(), NOON).actions[0]
    leave = REPLICA_SETS.plan(ours(ownerReferences=[]), Seen(), NOON).actions[0]
    assert isinstance(take, Patch)
    assert isinstance(leave, Patch)
    assert (take.patch, leave.patch) == (TAKEN, LEFT)
    assert (TAKEN["spec"], LEFT["metadata"]["annotations"]) == ({"paused": True}, {RUN_BY: None})


def test_a_pause_that_is_ours_is_not_told() -> None:
    assert REPLICA_SETS.plan(saying("ReplicaPaused"), Seen((member("a"), member("b"))), NOON).events == ()


def saying(*types: str) -> Any:
    """A deployment's set with these conditions."""
    return ours(status={"replicas": 0, "conditions": make.conditions(**dict.fromkeys(types, True))})


def test_a_refused_guest_is_told_until_it_is_taken() -> None:
    rs = saying("ReplicaPaused")
    plan = REPLICA_SETS.plan(rs, Seen(), NOON)
    failure = Failure(plan.actions[0], Forbidden(403, "Forbidden", "exceeded quota"))
    told = REPLICA_SETS.failed(rs, plan, failure, NOON)
    found = {each["type"]: each for each in (told.status or {})["conditions"]}
    assert set(found) == {"ReplicaPaused", HOSTLER_FAILURE}
    assert found[HOSTLER_FAILURE]["reason"] == "FailedCreate"
    assert "exceeded quota" in found[HOSTLER_FAILURE]["message"]
    assert [each.reason for each in told.events] == ["FailedCreate"]
    later = REPLICA_SETS.plan(saying("ReplicaPaused", HOSTLER_FAILURE), Seen(), NOON)
    assert [each["type"] for each in (later.status or {})["conditions"]] == ["ReplicaPaused"]


def test_the_deployment_tells_of_it() -> None:
    parent = make.workload(VirtualMachineDeployment)
    told = Conditions(parent, NOON)
    failing(told, Fleet(saying(HOSTLER_FAILURE), (), NOON, 0), ())
    assert (told.get("ReplicaFailure") or {})["status"] == "True"


NODE = {"metadata": {"name": "n1", "uid": "u", "resourceVersion": "1", "labels": {launcher.SCHEDULABLE: "true"}}}


@pytest.mark.parametrize(
    ("controller", "parent"),
    [
        pytest.param(REPLICA_SETS, ours(), id="a deployment's set"),
        pytest.param(statefulset.controller(ManagerSettings()), make.workload(StatefulSet), id="row"),
        pytest.param(daemonset.CONTROLLER, make.workload(VirtualMachineDaemonSet), id="daemon"),
        pytest.param(job.CONTROLLER, make.job(), id="job"),
    ],
)  # fmt: skip
def test_guests_come_bare(controller: Any, parent: Any) -> None:
    """KubeVirt's webhook appends its finalizer and the first phase: both would be there twice."""
    store = Store()
    store.observe(Node, NODE)
    fitted = adapted(controller)
    plan = fitted.plan(parent, fitted.look(store, parent), NOON)
    guests = [each.body for each in plan.actions if isinstance(each, Create) and each.kind is VMI]
    assert guests
    for body in guests:
        assert "status" not in body
        assert set(body["metadata"]["finalizers"]) <= {TRACKING}
        assert launcher.PORTS not in body["metadata"]["annotations"]


def test_a_job_still_counts_its_guests() -> None:
    plan = adapted(job.CONTROLLER).plan(make.job(), job.Seen(), NOON)
    (guest,) = plan.actions
    assert guest.body["metadata"]["finalizers"] == [TRACKING]  # type: ignore[union-attr]


def test_a_deployments_set_is_born_paused() -> None:
    """Else KubeVirt could make guests of it before we are there."""
    parent = make.workload(VirtualMachineDeployment, annotations={"note": "x"})
    (create,) = adapted(deployment.CONTROLLER).plan(parent, deployment.Seen(), NOON).actions
    body = create.body  # type: ignore[union-attr]
    assert body["spec"]["paused"] is True
    assert body["metadata"]["annotations"].items() >= {RUN_BY: "hostler", "note": "x"}.items()


def test_our_own_launcher_has_it_otherwise() -> None:
    (create,) = deployment.plan(make.workload(VirtualMachineDeployment), deployment.Seen(), NOON).actions
    assert "paused" not in create.body["spec"]  # type: ignore[union-attr]
    assert replicaset.CONTROLLER.plan is not on_kubevirt.plan


@pytest.mark.parametrize(
    "change", [{"evictionStrategy": None}, {"architecture": "amd64"}], ids=["dropped", "filled in"]
)
def test_a_set_whose_template_kubevirt_changed_is_still_that_set(change: Any) -> None:
    """Else the deployment would make one set after another."""
    parent = make.workload(VirtualMachineDeployment, guest={"evictionStrategy": "None"})
    controller = adapted(deployment.CONTROLLER)
    (create,) = controller.plan(parent, deployment.Seen(), NOON).actions
    body = create.body  # type: ignore[union-attr]
    spec = {key: value for key, value in (body["spec"]["template"]["spec"] | change).items() if value is not None}
    body["spec"]["template"]["spec"] = spec
    body["metadata"] |= {"uid": "uid-set", "resourceVersion": "1", "creationTimestamp": make.ago(9)}
    rs = ReplicaSet.read(body)
    plan = controller.plan(parent, deployment.Seen((rs,), taken={rs.metadata.name}), NOON)  # type: ignore[arg-type]
    assert not [each for each in plan.actions if isinstance(each, Create)]
    other = make.workload(VirtualMachineDeployment, guest={"evictionStrategy": "LiveMigrate"})
    plan = controller.plan(other, deployment.Seen((rs,), taken={rs.metadata.name}), NOON)  # type: ignore[arg-type]
    assert [each for each in plan.actions if isinstance(each, Create)], "a new template is a new set"
