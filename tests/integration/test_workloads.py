"""Workloads on a real API server: what it refuses, and managers that are killed in the middle of a rollout."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hostler.api import apps, launcher
from hostler.api.apps import VirtualMachineDaemonSet as DaemonSet
from hostler.api.apps import VirtualMachineDeployment as Deployment
from hostler.api.apps import VirtualMachineStatefulSet as StatefulSet
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet as ReplicaSet
from hostler.api.objects import ControllerRevision, Node, PersistentVolumeClaim
from hostler.runtime.errors import ApiError
from hostler.runtime.kube import Api, connect
from hostler.runtime.protocol import Kind, Raw
from tests.integration.apiserver import ApiServer, write_kubeconfig
from tests.integration.manager import Manager, Place

NEGATIVE = "must be greater than or equal to 0"
PERCENT = "a valid percent string must be a numeric string followed by an ending '%'"


def template(memory: str = "64Mi", **spec: Any) -> Raw:
    whole = {"domain": {"memory": {"guest": memory}, "devices": {}}} | spec
    return {"metadata": {"labels": {"app": "web"}}, "spec": whole}


def body(kind: str, **spec: Any) -> Raw:
    return {
        "apiVersion": "hostler.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template()} | spec,
    }


def path(namespace: str, kind: Kind) -> str:
    return f"/apis/hostler.io/v1alpha1/namespaces/{namespace}/{kind.plural}"


def rolling(**numbers: Any) -> Raw:
    return {"type": "RollingUpdate", "rollingUpdate": numbers}


def test_what_a_deployment_need_not_say(hostler: ApiServer, namespace: str) -> None:
    made = hostler.create(path(namespace, Deployment), body("VirtualMachineDeployment"))
    assert made.code == 201, made.message
    said = {key: value for key, value in made.body["spec"].items() if key not in ("selector", "template")}
    assert said == {
        "minReadySeconds": 0,
        "progressDeadlineSeconds": 600,
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "strategy": {"type": "RollingUpdate"},
    }


@pytest.mark.parametrize(
    ("spec", "field", "says"),
    [
        ({"replicas": -1}, "spec.replicas", NEGATIVE),
        ({"minReadySeconds": -1}, "spec.minReadySeconds", NEGATIVE),
        ({"revisionHistoryLimit": -1}, "spec.revisionHistoryLimit", NEGATIVE),
        ({"progressDeadlineSeconds": -1}, "spec.progressDeadlineSeconds", NEGATIVE),
        ({"minReadySeconds": 600}, "spec.progressDeadlineSeconds", "must be greater than minReadySeconds"),
        ({"selector": {}}, "spec.selector", "empty selector is invalid for deployment"),
        ({"selector": {"matchLabels": {"app": "x"}}}, "spec.template", "does not match template `labels`"),
        ({"strategy": {"type": "Other"}}, "spec.strategy.type", "Unsupported value"),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {}}},
            "spec.strategy.rollingUpdate",
            "may not be specified when strategy `type` is 'Recreate'",
        ),
        ({"strategy": rolling(maxSurge=-1)}, "spec.strategy.rollingUpdate.maxSurge", NEGATIVE),
        ({"strategy": rolling(maxSurge="x")}, "spec.strategy.rollingUpdate.maxSurge", PERCENT),
        ({"strategy": rolling(maxUnavailable="101%")}, "maxUnavailable", "must not be greater than 100%"),
        ({"strategy": rolling(maxSurge=0, maxUnavailable="0%")}, "maxUnavailable", "may not be 0 when `maxSurge` is 0"),
        ({"template": {"metadata": {"labels": {"app": "web"}}}}, "spec.template.spec", "missing virtual machine"),
        (
            {"template": template(resourceClaims=[{"name": "gpu"}])},
            "spec.template.spec.resourceClaims",
            "not supported by hostler",
        ),
    ],
)
def test_bad_deployments(hostler: ApiServer, namespace: str, spec: Raw, field: str, says: str) -> None:
    refused(hostler.create(path(namespace, Deployment), body("VirtualMachineDeployment", **spec)), field, says)


def test_more_than_all_at_once(hostler: ApiServer, namespace: str) -> None:
    made = hostler.create(
        path(namespace, Deployment), body("VirtualMachineDeployment", strategy=rolling(maxSurge="200%"))
    )
    assert made.code == 201, made.message


def refused(answer: Any, field: str, says: str) -> None:
    assert answer.code == 422, answer.body
    assert field in answer.message
    assert says in answer.message


async def test_a_selector_is_for_ever(user: Api, hostler: ApiServer, namespace: str) -> None:
    hostler.create(path(namespace, Deployment), body("VirtualMachineDeployment"))
    with pytest.raises(ApiError, match="field is immutable"):
        await user.patch(Deployment, namespace, "web", {"spec": {"selector": {"matchLabels": {"x": "y"}}}})


@pytest.fixture
async def user(hostler: ApiServer) -> AsyncIterator[Api]:
    api = await connect(str(hostler.kubeconfig), "test")
    yield api
    await api.close()


@pytest.fixture
async def place(hostler: ApiServer, user: Api, namespace: str, tmp_path: Path) -> AsyncIterator[Place]:
    account = hostler.account("hostler", "hostler-manager")
    kubeconfig = write_kubeconfig(tmp_path / "agent", account.url, account.ca, account.token)
    agent = await connect(str(kubeconfig), "test-agent")
    place = Place(user, agent, namespace)
    nodes = asyncio.create_task(place.nodes())
    yield place
    assert not nodes.done(), "the stand-in for the nodes died"
    nodes.cancel()
    for kind in (Deployment, DaemonSet, StatefulSet, ReplicaSet, VMI):
        for each in await place.all(kind):
            await place.delete(kind, each["metadata"]["name"])
    await agent.close()


@pytest.fixture
def manager(hostler: ApiServer, tmp_path: Path) -> Manager:
    return Manager(hostler.account("hostler", "hostler-manager"), tmp_path, "manager-0")


async def start(place: Place, kind: Kind, **spec: Any) -> None:
    await place.create(kind, "web", body(kind.kind(), **spec)["spec"])


async def change(place: Place, kind: Kind, **spec: Any) -> None:
    await place.user.patch(kind, place.namespace, "web", {"spec": spec})


async def status(place: Place, kind: Kind) -> Raw:
    return dict((await place.get(kind, "web")).get("status", {}))


async def is_so(place: Place, kind: Kind, **wanted: Any) -> bool:
    found = await status(place, kind)
    return all(found.get(key) == value for key, value in wanted.items())


async def complete(place: Place, memory: str, replicas: int) -> bool:
    """All guests are of the template, and the deployment has said so of this generation."""
    found = await place.get(Deployment, "web")
    counts = {found.get("status", {}).get(key) for key in ("replicas", "updatedReplicas", "availableReplicas")}
    vmis = await place.all(VMI)
    of_template = all(vmi["spec"]["domain"]["memory"]["guest"] == memory for vmi in vmis)
    seen = found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"]
    return seen and of_template and counts == {replicas} and len(vmis) == replicas


async def available(place: Place) -> int:
    count = 0
    for vmi in await place.all(VMI):
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in vmi["status"].get("conditions", []))
        count += ready and "deletionTimestamp" not in vmi["metadata"]
    return count


async def test_a_deployment_rolls_and_rolls_back(place: Place, manager: Manager) -> None:
    with manager.running():
        await start(place, Deployment, replicas=3, strategy=rolling(maxSurge=1, maxUnavailable=0))
        await place.until("three run", lambda: complete(place, "64Mi", 3))
        await change(place, Deployment, template=template("65Mi"))
        await place.until("rolled", lambda: complete(place, "65Mi", 3))
        sets = await place.all(ReplicaSet)
        assert sorted(each["metadata"]["annotations"][apps.REVISION] for each in sets) == ["1", "2"]
        await change(place, Deployment, template=template("64Mi"))
        await place.until("rolled back", lambda: complete(place, "64Mi", 3))
        sets = await place.all(ReplicaSet)
        assert sorted(each["metadata"]["annotations"][apps.REVISION] for each in sets) == ["2", "3"]
        assert (await place.get(Deployment, "web"))["metadata"]["annotations"][apps.REVISION] == "3"

        async def done() -> bool:
            progressing = await place.condition(Deployment, "web", "Progressing")
            return progressing is not None and progressing["reason"] == "NewReplicaSetAvailable"

        await place.until("it says that it is done", done)
        await place.user.patch(Deployment, place.namespace, "web", {"spec": {"replicas": 1}}, "scale")
        await place.until("scaled", lambda: complete(place, "64Mi", 1))

        async def told() -> bool:
            notes = [note for reason, note in await place.events(Deployment) if reason == "ScalingReplicaSet"]
            return all(any(f"Scaled {way} replica set" in note for note in notes) for way in ("up", "down"))

        await place.until("events tell it", told)


def vmctl(server: ApiServer, namespace: str, *words: str) -> str:
    command = [sys.executable, "-m", "hostler.cli.main", "rollout", *words, "-n", namespace]
    done = subprocess.run(
        command, env=os.environ | {"KUBECONFIG": str(server.kubeconfig)}, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


async def test_vmctl_rollout(place: Place, manager: Manager, hostler: ApiServer) -> None:
    async def say(*words: str) -> str:
        return await asyncio.to_thread(vmctl, hostler, place.namespace, *words)

    with manager.running():
        await start(place, Deployment, replicas=1)
        assert 'deployment "web" successfully rolled out' in await say("status", "vmdeploy/web")
        assert "no rollout history found" in await say("undo", "vmdeploy/web")
        assert "vmdeploy/web paused" in await say("pause", "vmdeploy/web")
        await change(place, Deployment, template=template("65Mi"))
        assert "is paused: vmctl rollout resume" in await say("undo", "vmdeploy/web")
        assert "vmdeploy/web resumed" in await say("resume", "vmdeploy/web")
        assert "successfully rolled out" in await say("status", "vmdeploy/web", "--timeout", "90")
        await place.until("the old one is gone", lambda: complete(place, "65Mi", 1))
        assert [line.split()[0] for line in (await say("history", "vmdeploy/web")).splitlines()] == [
            "REVISION",
            "1",
            "2",
        ]
        assert "guest: 64Mi" in await say("history", "vmdeploy/web", "--revision", "1")
        assert "there are: 1, 2" in await say("undo", "vmdeploy/web", "--to-revision", "9")
        assert "vmdeploy/web rolled back" in await say("undo", "vmdeploy/web")
        assert "successfully rolled out" in await say("status", "vmdeploy/web", "--timeout", "90")
        await place.until("the old one is gone", lambda: complete(place, "64Mi", 1))
        (before,) = await place.names(VMI)
        assert "vmdeploy/web restarted" in await say("restart", "vmdeploy/web")
        assert "successfully rolled out" in await say("status", "vmdeploy/web", "--timeout", "90")
        assert await place.names(VMI) != [before]

        missing = [{"name": "data", "persistentVolumeClaim": {"claimName": "gone"}}]
        await change(place, Deployment, template=template(volumes=missing))
        said = await say("status", "vmdeploy/web", "--timeout", "10")
        assert f"FailedPvcNotFound: PVC {place.namespace}/gone does not exist" in said, said
        assert "not done within 10 seconds" in said
        assert "not found" in await say("status", "vmsts/nobody")


async def test_managers_that_are_killed_during_a_rollout(place: Place, manager: Manager) -> None:
    """Whenever it is killed, there are never fewer available guests than the floor, and in the end it is rolled."""
    floor: list[int] = []

    async def watch() -> None:
        while True:
            floor.append(await available(place))
            await asyncio.sleep(0.02)

    with manager.running():
        await start(place, Deployment, replicas=4, strategy=rolling(maxSurge=1, maxUnavailable=0))
        await place.until("four run", lambda: complete(place, "64Mi", 4))
        await change(place, Deployment, template=template("65Mi"))
        watching = asyncio.create_task(watch())
        for _ in range(4):
            await asyncio.sleep(random.uniform(0.05, 0.8))
            await asyncio.to_thread(manager.stop, signal.SIGKILL)
            await asyncio.to_thread(manager.start)
            await place.until("leads", lambda: asyncio.to_thread(manager.healthy))
        await place.until("rolled", lambda: complete(place, "65Mi", 4))
        assert not watching.done(), "nobody looked any more"
        watching.cancel()
    assert len(floor) > 50
    assert min(floor) >= 4
    assert len(await place.all(ReplicaSet)) == 2


@pytest.mark.parametrize(
    ("spec", "field", "says"),
    [
        ({"selector": {}}, "spec.selector", "empty selector is invalid for daemonset"),
        ({"revisionHistoryLimit": -1}, "spec.revisionHistoryLimit", NEGATIVE),
        ({"updateStrategy": {"type": "Recreate"}}, "spec.updateStrategy.type", "Unsupported value"),
        ({"updateStrategy": rolling(maxSurge=1, maxUnavailable=1)}, "maxSurge", "may not be set when maxUnavailable"),
        ({"updateStrategy": rolling(maxSurge=0, maxUnavailable=0)}, "maxUnavailable", "cannot be 0 when maxSurge is 0"),
    ],
)
def test_bad_daemon_sets(hostler: ApiServer, namespace: str, spec: Raw, field: str, says: str) -> None:
    refused(hostler.create(path(namespace, DaemonSet), body("VirtualMachineDaemonSet", **spec)), field, says)


@pytest.fixture
async def nodes(user: Api) -> AsyncIterator[list[str]]:
    """Three nodes that take guests; nothing runs there."""
    names = ["wl-1", "wl-2", "wl-3"]
    for name in names:
        await user.create(Node, None, {"metadata": {"name": name, "labels": {launcher.SCHEDULABLE: "true"}}})
        await user.patch(Node, None, name, {"spec": {"taints": None}})  # the API server's own, of a new node
    yield names
    for name in names:
        await user.delete(Node, None, name)


async def test_a_daemon_set_follows_its_nodes(place: Place, manager: Manager, nodes: list[str]) -> None:
    async def everywhere(memory: str, count: int) -> bool:
        vmis = await place.all(VMI)
        of_template = all(vmi["spec"]["domain"]["memory"]["guest"] == memory for vmi in vmis)
        counts = {"desiredNumberScheduled": count, "numberAvailable": count, "updatedNumberScheduled": count}
        return of_template and len(vmis) == count and await is_so(place, DaemonSet, **counts)

    with manager.running():
        await start(place, DaemonSet)
        await place.until("one on each node", lambda: everywhere("64Mi", 3))
        place.nodes_run = False  # so that it stays in the middle
        await change(place, DaemonSet, template=template("65Mi"))
        await place.until("the first is replaced", lambda: is_so(place, DaemonSet, updatedNumberScheduled=1))
        await asyncio.to_thread(manager.stop, signal.SIGKILL)
        await asyncio.to_thread(manager.start)
        place.nodes_run = True
        await place.until("all are", lambda: everywhere("65Mi", 3))
        await place.user.patch(Node, None, nodes[0], {"spec": {"taints": [{"key": "x", "effect": "NoExecute"}]}})
        await place.until("it leaves a node", lambda: everywhere("65Mi", 2))
        await place.user.patch(Node, None, nodes[0], {"spec": {"taints": None, "unschedulable": True}})
        await place.until("it comes back, cordon or not", lambda: everywhere("65Mi", 3))
    assert [each["revision"] for each in await place.all(ControllerRevision)] in ([1, 2], [2, 1])


CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
}
DISK = {"domain": {"memory": {"guest": "64Mi"}, "devices": {"disks": [{"name": "data", "disk": {"bus": "virtio"}}]}}}


@pytest.mark.parametrize(
    ("spec", "field", "says"),
    [
        ({"selector": {}}, "spec.selector", "empty selector is invalid for statefulset"),
        ({"ordinals": {"start": -1}}, "spec.ordinals.start", NEGATIVE),
        ({"podManagementPolicy": "Random"}, "spec.podManagementPolicy", "Unsupported value"),
        ({"updateStrategy": rolling(partition=-1)}, "partition", NEGATIVE),
        ({"updateStrategy": rolling(maxUnavailable="0%")}, "maxUnavailable", "cannot be 0"),
        (
            {"updateStrategy": {"type": "OnDelete", "rollingUpdate": {}}},
            "spec.updateStrategy.rollingUpdate",
            "only allowed for updateStrategy 'RollingUpdate'",
        ),
        ({"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Keep"}}, "whenScaled", "Unsupported value"),
        ({"serviceName": "A_B"}, "spec.serviceName", "RFC 1123"),
        ({"volumeClaimTemplates": [{"spec": CLAIM["spec"]}]}, "spec.volumeClaimTemplates", "must be the name of one"),
        ({"template": template(**DISK)}, "spec.template", "disks[0].name 'data' not found."),
        ({"template": {"metadata": {"labels": {"app": "web"}}}}, "spec.template.spec", "missing virtual machine"),
        (
            {"volumeClaimTemplates": [CLAIM], "dataVolumeTemplates": [CLAIM | {"spec": {"source": {"blank": {}}}}]},
            "spec.dataVolumeTemplates",
            "not by both",
        ),
    ],
)
def test_bad_stateful_sets(hostler: ApiServer, namespace: str, spec: Raw, field: str, says: str) -> None:
    refused(hostler.create(path(namespace, StatefulSet), body("VirtualMachineStatefulSet", **spec)), field, says)


async def test_what_of_a_stateful_set_may_change(user: Api, hostler: ApiServer, namespace: str) -> None:
    spec = {"volumeClaimTemplates": [CLAIM], "template": template(**DISK), "serviceName": "db"}
    made = hostler.create(path(namespace, StatefulSet), body("VirtualMachineStatefulSet", **spec))
    assert made.code == 201, made.message
    larger = CLAIM | {"spec": {"resources": {"requests": {"storage": "2Mi"}}}}
    for change in ({"serviceName": "x"}, {"volumeClaimTemplates": [larger]}, {"podManagementPolicy": "Parallel"}):
        with pytest.raises(ApiError, match="field is immutable"):
            await user.patch(StatefulSet, namespace, "web", {"spec": change})
    may = {
        "replicas": 3,
        "template": template(terminationGracePeriodSeconds=5),
        "minReadySeconds": 1,
        "ordinals": {"start": 2},
    }
    await user.patch(StatefulSet, namespace, "web", {"spec": may})


async def test_a_stateful_set_in_order(place: Place, manager: Manager) -> None:
    async def row(memory: str, *names: str) -> bool:
        vmis = await place.all(VMI)
        of_template = all(vmi["spec"]["domain"]["memory"]["guest"] == memory for vmi in vmis)
        found = [vmi["metadata"]["name"] for vmi in vmis]
        counts = {"replicas": len(names), "readyReplicas": len(names), "updatedReplicas": len(names)}
        return of_template and found == list(names) and await is_so(place, StatefulSet, **counts)

    async def disks() -> dict[str, str]:
        claims = await place.all(PersistentVolumeClaim)
        return {each["metadata"]["name"]: each["metadata"]["uid"] for each in claims}

    def disk(memory: str) -> Raw:
        return {"domain": DISK["domain"] | {"memory": {"guest": memory}}}

    with manager.running():
        spec = {"replicas": 2, "volumeClaimTemplates": [CLAIM], "template": template(**DISK), "serviceName": "db"}
        await start(place, StatefulSet, **spec)
        await place.until("two in a row", lambda: row("64Mi", "web-0", "web-1"))
        first, second = await place.all(VMI)
        assert first["metadata"]["creationTimestamp"] <= second["metadata"]["creationTimestamp"]
        kept, uuid = await disks(), first["spec"]["domain"]["firmware"]["uuid"]
        assert sorted(kept) == ["data-web-0", "data-web-1"]
        place.nodes_run = False  # so that it stays in the middle
        await change(place, StatefulSet, template=template(**disk("65Mi")))
        await place.until("one is renewed", lambda: is_so(place, StatefulSet, updatedReplicas=1))
        await asyncio.to_thread(manager.stop, signal.SIGKILL)
        await asyncio.to_thread(manager.start)
        place.nodes_run = True
        await place.until("both are", lambda: row("65Mi", "web-0", "web-1"))
        await place.user.patch(StatefulSet, place.namespace, "web", {"spec": {"replicas": 0}}, "scale")
        await place.until("none is left", lambda: row("65Mi"))
        await change(place, StatefulSet, replicas=2)
        await place.until("they are back", lambda: row("65Mi", "web-0", "web-1"))
        assert await disks() == kept
        assert (await place.get(VMI, "web-0"))["spec"]["domain"]["firmware"]["uuid"] == uuid
        retain = {"whenDeleted": "Retain", "whenScaled": "Delete"}
        await change(place, StatefulSet, replicas=1, persistentVolumeClaimRetentionPolicy=retain)
        await place.until("one is left", lambda: row("65Mi", "web-0"))
        owner = (await place.get(PersistentVolumeClaim, "data-web-1"))["metadata"]["ownerReferences"]
        assert [each["name"] for each in owner] == ["web-1"], "the garbage collector takes it"
