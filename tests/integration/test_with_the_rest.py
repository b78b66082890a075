"""Beside Kubernetes' own: quotas, limits, priorities, budgets, autoscalers, and the switch that pauses."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from cluster import programs
from hostler.api.apps import VirtualMachineDeployment
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet
from hostler.api.objects import Pod
from hostler.runtime.protocol import Raw
from tests.integration.apiserver import ApiServer
from tests.integration.controller_manager import controller_manager, metrics_server
from tests.integration.manager import Place, managed

HOME = "hostler"
GUEST: Raw = {"domain": {"memory": {"guest": "64Mi"}, "devices": {}}}
PAUSED = "hostler.io/paused"


@pytest.fixture
async def place(hostler: ApiServer, namespace: str, tmp_path: Path) -> AsyncIterator[Place]:
    async with managed(hostler, namespace, tmp_path, HOME) as place:
        yield place


async def until(what: str, place: Place, true: Any) -> None:
    """Of a plain check."""

    async def check() -> bool:
        return bool(await asyncio.to_thread(true))

    await place.until(what, check)


def a_set(replicas: int, labels: Raw | None = None, **spec: Any) -> Raw:
    template = {"metadata": {"labels": {"app": "web"} | (labels or {})}, "spec": GUEST | spec}
    return {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}


def quota(server: ApiServer, namespace: str, hard: Raw) -> None:
    """A quota as its controller would have counted it: the API server does the rest."""
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    server.create(path, {"metadata": {"name": "quota"}, "spec": {"hard": hard}})
    server.merge(f"{path}/quota", {"spec": {"hard": hard}})
    used = dict.fromkeys(hard, "0")
    answer = server.merge(f"{path}/quota/status", {"status": {"hard": hard, "used": used}})
    assert answer.code == 200, answer.message


def refused(server: ApiServer, namespace: str, why: str) -> bool:
    """Whether the API server refuses pods there by now."""
    box = {"name": "x", "image": "x", "resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": "64Mi"}}}
    pod = {"metadata": {"name": "probe"}, "spec": {"containers": [box]}}
    return why in server.create(f"/api/v1/namespaces/{namespace}/pods", pod, dryRun="All").message


def attempts() -> float:
    labels = {"verb": "POST", "resource": "pods", "code": "403"}
    return REGISTRY.get_sample_value("hostler_api_requests_total", labels) or 0


async def synchronized(place: Place, name: str) -> str:
    found = await place.condition(VMI, name, "Synchronized")
    return f"{found['reason']}: {found['message']}" if found else ""


async def test_a_pod_that_a_quota_refuses(place: Place, hostler: ApiServer) -> None:
    quota(hostler, place.namespace, {"pods": "0"})
    await until("the quota holds", place, lambda: refused(hostler, place.namespace, "exceeded quota"))
    before = attempts()
    await place.create(VMI, "web", GUEST)

    async def told() -> bool:
        return "FailedCreate: failed to create virtual machine pod" in await synchronized(place, "web")

    await place.until("told", told)
    assert "exceeded quota: quota, requested: pods=1, used: pods=0, limited: pods=0" in await synchronized(place, "web")

    async def event() -> bool:
        return "FailedCreate" in {reason for reason, _ in await place.events(VMI)}

    await place.until("told in the history", event)
    await place.until("tried again", lambda: true(attempts() >= before + 3))
    assert attempts() - before <= 6, "each time later"
    quota(hostler, place.namespace, {"pods": "5"})
    await place.until("and runs when there is room", lambda: place.all_run(1))
    assert await place.condition(VMI, "web", "Synchronized") is None or "True" in str(
        await place.condition(VMI, "web", "Synchronized")
    )


async def true(value: bool) -> bool:
    return value


async def test_a_pod_that_a_limit_range_refuses(place: Place, hostler: ApiServer) -> None:
    limits = {"metadata": {"name": "large"}, "spec": {"limits": [{"type": "Container", "min": {"memory": "10Gi"}}]}}
    assert hostler.create(f"/api/v1/namespaces/{place.namespace}/limitranges", limits).code == 201
    why = "minimum memory usage per Container is 10Gi"
    await until("the limit holds", place, lambda: refused(hostler, place.namespace, why))
    await place.create(VMI, "web", GUEST)

    async def told() -> bool:
        return why in await synchronized(place, "web")

    await place.until("told", told)


async def test_instances_that_a_quota_refuses(place: Place, hostler: ApiServer) -> None:
    count = "count/virtualmachineinstances.kubevirt.io"
    quota(hostler, place.namespace, {count: "1"})
    guest = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "metadata": {"name": "x"}, "spec": GUEST}
    path = f"/apis/kubevirt.io/v1/namespaces/{place.namespace}/virtualmachineinstances"

    def holds() -> bool:
        first = hostler.create(path, guest)
        return "exceeded quota" in hostler.create(path, guest | {"metadata": {"name": "y"}}).message and first.code > 0

    await until("the quota holds", place, holds)
    await place.create(VirtualMachineInstanceReplicaSet, "web", a_set(2))

    async def told() -> bool:
        failure = await place.condition(VirtualMachineInstanceReplicaSet, "web", "ReplicaFailure")
        return failure is not None and "exceeded quota" in failure["message"]

    await place.until("told", told)


async def test_what_reaches_the_launcher_pod(place: Place, hostler: ApiServer) -> None:
    """Labels for quotas, budgets and Kueue; priority and spread for the scheduler."""
    important: Raw = {"metadata": {"name": f"important-{place.namespace}"}, "value": 1000}
    assert hostler.create("/apis/scheduling.k8s.io/v1/priorityclasses", important).code == 201
    spread = {
        "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }  # fmt: skip
    queue = {"kueue.x-k8s.io/queue-name": "team"}
    spec = a_set(1, queue, priorityClassName=important["metadata"]["name"], topologySpreadConstraints=[spread])
    await place.create(VirtualMachineDeployment, "web", spec)
    await place.until("it runs", lambda: place.all_run(1))
    (pod,) = await place.all(Pod)
    assert {"app": "web", **queue}.items() <= pod["metadata"]["labels"].items()
    assert (pod["spec"]["priority"], pod["spec"]["topologySpreadConstraints"]) == (1000, [spread])


async def test_a_priority_that_is_none(place: Place) -> None:
    await place.create(VMI, "web", GUEST | {"priorityClassName": "no-such"})

    async def told() -> bool:
        return "no PriorityClass with name no-such was found" in await synchronized(place, "web")

    await place.until("told", told)


async def test_an_autoscaler_and_a_budget(place: Place, hostler: ApiServer, tmp_path: Path) -> None:
    """Kubernetes' own controllers: the autoscaler by the scale subresource, the budget by the guests' labels."""
    await place.create(VirtualMachineDeployment, "web", a_set(1))
    await place.until("one runs", lambda: place.all_run(1))
    target = {"type": "AverageValue", "averageValue": "100Mi"}
    now = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Percent", "value": 400, "periodSeconds": 1}]}
    hpa = {
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "hostler.io/v1alpha1", "kind": "VirtualMachineDeployment", "name": "web"},
            "minReplicas": 1,
            "maxReplicas": 3,
            "metrics": [{"type": "Resource", "resource": {"name": "memory", "target": target}}],
            "behavior": {"scaleUp": now, "scaleDown": now},
        },
    }
    budget: Raw = {
        "metadata": {"name": "web"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    }
    budgets = f"/apis/policy/v1/namespaces/{place.namespace}/poddisruptionbudgets"
    assert hostler.create(budgets, budget).code == 201
    program = programs.find(["kube-controller-manager"])["kube-controller-manager"]
    names = ("horizontal-pod-autoscaler-controller", "disruption-controller")
    with metrics_server(hostler, tmp_path) as metrics, controller_manager(program, hostler, tmp_path, *names):
        metrics.memory = "300Mi"
        hpas = f"/apis/autoscaling/v2/namespaces/{place.namespace}/horizontalpodautoscalers"
        assert hostler.create(hpas, hpa).code == 201
        await place.until("up", lambda: place.all_run(3))

        def allowed() -> bool:
            status = hostler.get(f"{budgets}/web").body.get("status", {})
            return (status.get("expectedPods"), status.get("disruptionsAllowed")) == (3, 2)

        await until("the budget counts launcher pods", place, allowed)
        share = {"metadata": {"name": "share"}, "spec": {"maxUnavailable": 1, "selector": budget["spec"]["selector"]}}
        assert hostler.create(budgets, share).code == 201
        await until("a share of what has no scale is none", place, lambda: failed_to_sync(hostler, budgets))
        hostler.request("DELETE", f"{budgets}/share")
        metrics.memory = "20Mi"
        await place.until("down", lambda: place.all_run(1))
        await until("now none may go", place, lambda: disruptions(hostler, budgets) == 0)
        (pod,) = await place.names(Pod)
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        answer = hostler.create(f"/api/v1/namespaces/{place.namespace}/pods/{pod}/eviction", eviction)
        assert (answer.code, "disruption budget" in answer.message) == (429, True), answer.message


def failed_to_sync(server: ApiServer, budgets: str) -> bool:
    status = server.get(f"{budgets}/share").body.get("status", {})
    reasons = [each["reason"] for each in status.get("conditions", [])]
    return (status.get("disruptionsAllowed"), reasons) == (0, ["SyncFailed"])


def disruptions(server: ApiServer, budgets: str) -> int:
    return int(server.get(f"{budgets}/web").body.get("status", {}).get("disruptionsAllowed", -1))


@pytest.mark.parametrize("everything", [False, True])
async def test_the_switch(place: Place, hostler: ApiServer, everything: bool) -> None:
    """Flipped by a label, at once; who writes meanwhile is warned."""
    where = HOME if everything else place.namespace
    await place.create(VirtualMachineInstanceReplicaSet, "web", a_set(1))
    await place.until("one runs", lambda: place.all_run(1))
    label = f"/api/v1/namespaces/{where}"
    assert hostler.merge(label, {"metadata": {"labels": {PAUSED: "true"}}}).code == 200
    try:
        await place.until("the manager knows", lambda: true(gauge(where) == 1))
        path = f"/apis/kubevirt.io/v1/namespaces/{place.namespace}/virtualmachineinstancereplicasets/web"

        def warned() -> bool:
            answer = hostler.merge(path, {"spec": {"replicas": 2}})
            return any(f"namespace {where} is labelled {PAUSED}=true" in each for each in answer.warnings)

        await until("who writes is warned", place, warned)
        await place.delete(VMI, (await place.names(VMI))[0])
        await asyncio.sleep(1)  # that nothing happens can only be seen by waiting
        (left,) = await place.all(VMI)
        assert left["metadata"]["deletionTimestamp"], "it waits, too"
        assert [pod["status"]["phase"] for pod in await place.all(Pod)] == ["Running"], "the guest runs on"
    finally:
        hostler.merge(label, {"metadata": {"labels": {PAUSED: None}}})
    await place.until("made up for", lambda: place.all_run(2))
    assert left["metadata"]["name"] not in await place.names(VMI)


def gauge(namespace: str) -> float | None:
    return REGISTRY.get_sample_value("hostler_paused", {"namespace": namespace})
