"""Our kinds on top of an installed KubeVirt: the chart, and the real manager beside a stand-in for KubeVirt."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from cluster import programs
from hostler.api import crd, launcher
from hostler.api.apps import VirtualMachineDaemonSet as DaemonSet
from hostler.api.apps import VirtualMachineDeployment as Deployment
from hostler.api.apps import VirtualMachineStatefulSet as StatefulSet
from hostler.api.batch import VirtualMachineCronJob as CronJob
from hostler.api.batch import VirtualMachineJob as Job
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.kubevirt.vmirs import RUN_BY
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet as ReplicaSet
from hostler.api.objects import Node, PersistentVolumeClaim
from hostler.api.support import UNSUPPORTED
from hostler.runtime.kube import Api, connect
from hostler.runtime.protocol import Kind, Raw
from tests.integration import apiserver as servers
from tests.integration import kubevirt
from tests.integration.apiserver import ApiServer
from tests.integration.conftest import CHART, INSTALLED_IN
from tests.integration.kubevirt import KubeVirt, is_ready
from tests.integration.manager import Manager, Place
from tests.integration.test_workloads import CLAIM, DISK, rolling, template

KINDS = (Deployment, DaemonSet, StatefulSet, Job, CronJob)
CDI = "cdi.kubevirt.io/v1beta1/DataVolume"
SELECTOR = {"matchLabels": {"app": "web"}}
OPTIONS = ("--set", "launcher.enabled=false")


def helm(*words: object) -> str:
    command = [programs.find(["helm"])["helm"], *words, *OPTIONS, "--namespace", INSTALLED_IN]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def rendered(*words: str) -> list[Raw]:
    text = helm("template", "hostler", CHART, "--kube-version=1.37.0", *words)
    return [each for each in yaml.load_all(text, yaml.CSafeLoader) if each]


def test_the_chart_leaves_kubevirt_alone() -> None:
    objects = rendered()
    kinds = {each["kind"] for each in objects}
    assert not kinds & {"APIService", "DaemonSet", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}
    changing = [each["spec"]["matchConstraints"] for each in objects if each["kind"] == "MutatingAdmissionPolicy"]
    assert {group for each in changing for rule in each["resourceRules"] for group in rule["apiGroups"]} == {
        "hostler.io"
    }
    crds = {each["metadata"]["name"] for each in objects if each["kind"] == "CustomResourceDefinition"}
    assert crds >= {f"{kind.plural}.hostler.io" for kind in KINDS}
    assert all(name.startswith("virtualmachine") and name.endswith(".hostler.io") for name in crds), crds
    policies = [each for each in objects if each["kind"] == "ValidatingAdmissionPolicy"]
    rules = [rule for each in policies for rule in each["spec"]["matchConstraints"]["resourceRules"]]
    assert {group for rule in rules for group in rule["apiGroups"]} == {"hostler.io"}
    assert {each["metadata"]["name"] for each in objects if each["kind"] == "Deployment"} == {"hostler-manager"}


def test_the_manager_may_do_only_what_it_needs_there() -> None:
    names = {"hostler-manager", "hostler-workloads", "hostler-jobs"}
    roles = [each for each in rendered() if each["kind"] == "ClusterRole" and each["metadata"]["name"] in names]
    may = {
        (resource, verb)
        for role in roles
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    resources = {resource.partition("/")[0] for resource, _ in may}
    assert not resources & {"pods", "virtualmachines", "apiservices", "mutatingwebhookconfigurations"}
    assert ("virtualmachineinstances/status", "patch") not in may
    assert ("virtualmachineinstances", "create") in may


def test_the_manager_is_told() -> None:
    """That KubeVirt runs the guests, and that there is no CDI."""
    (manager,) = [each for each in rendered() if each["kind"] == "Deployment"]
    (container,) = manager["spec"]["template"]["spec"]["containers"]
    told = {each["name"]: each.get("value") for each in container["env"]}
    assert (told["HOSTLER_LAUNCHER_ENABLED"], told["HOSTLER_DATA_VOLUMES"]) == ("false", "false")
    (manager,) = [each for each in rendered("--api-versions", CDI) if each["kind"] == "Deployment"]
    (container,) = manager["spec"]["template"]["spec"]["containers"]
    assert {"name": "HOSTLER_DATA_VOLUMES", "value": "true"} in container["env"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_our_launcher_cannot_do_a_kubevirt_may(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """The templates' refusals are gone, and nothing else is."""
    name = f"{kind.plural}.hostler.io"
    (found,) = [each for each in rendered() if each["metadata"]["name"] == name]
    monkeypatch.setattr(crd, "VMI_SPEC", tuple(rule for rule in crd.VMI_SPEC if rule not in UNSUPPORTED))
    (definition,) = [each for each in crd.DEFINITIONS if each.model is kind]
    assert without_nothing(found) == crd.crd(definition)


def without_nothing(node: Any) -> Any:
    """As the API server reads it: a key without a value is not there."""
    if isinstance(node, dict):
        return {key: without_nothing(value) for key, value in node.items() if value is not None}
    return [without_nothing(each) for each in node] if isinstance(node, list) else node


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """KubeVirt is there; then comes our chart."""
    found = programs.find(["etcd", "kube-apiserver"])
    with (
        servers.etcd(found["etcd"], tmp_path_factory.mktemp("etcd")) as etcd,
        servers.kube_apiserver(found["kube-apiserver"], etcd, tmp_path_factory.mktemp("apiserver")) as server,
    ):
        kubevirt.install(server)
        notes = helm("install", "hostler", CHART, "--create-namespace", "--kubeconfig", server.kubeconfig)
        assert "on top of KubeVirt (launcher.enabled=false)" in notes
        assert "not to be seen" not in notes, "it is there"
        assert "There is no CDI" in notes
        yield server


@pytest.fixture(scope="module")
def standin(server: ApiServer) -> Iterator[KubeVirt]:
    with KubeVirt(server).running() as running:
        yield running


@pytest.fixture(scope="module")
def manager(server: ApiServer, standin: KubeVirt, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    account = server.account(INSTALLED_IN, "hostler-manager")
    manager = Manager(
        account, tmp_path_factory.mktemp("manager"), "manager-0", "--no-launcher-enabled", "--no-data-volumes"
    )
    with manager.running():
        yield manager
        log = manager.log.read_text()
        assert "the status is KubeVirt's" not in log
        assert not re.search(r"cannot \w+ resource", log), "its rights suffice"
        assert "Traceback" not in log


@pytest.fixture
async def place(server: ApiServer, manager: Manager) -> AsyncIterator[Place]:
    """A namespace of its own for one test, and its user."""
    answer = server.create("/api/v1/namespaces", {"metadata": {"generateName": "test-"}})
    user: Api = await connect(str(server.kubeconfig), "test")
    yield Place(user, user, answer.body["metadata"]["name"])
    await user.close()


async def start(place: Place, kind: Kind, **spec: Any) -> None:
    await place.create(kind, "web", {"selector": SELECTOR, "template": template()} | spec)


async def change(place: Place, kind: Kind, **spec: Any) -> None:
    await place.user.patch(kind, place.namespace, "web", {"spec": spec})


async def stands(place: Place, kind: Kind, name: str = "web", **wanted: Any) -> bool:
    """The status says so, of this generation."""
    found = await place.get(kind, name)
    status = found.get("status", {})
    return status.get("observedGeneration", found["metadata"]["generation"]) == found["metadata"]["generation"] and all(
        status.get(key) == value for key, value in wanted.items()
    )


async def memories(place: Place) -> list[str]:
    return [vmi["spec"]["domain"]["memory"]["guest"] for vmi in await place.all(VMI)]


def alive(vmis: list[Raw]) -> list[Raw]:
    return [each for each in vmis if is_ready(each) and "deletionTimestamp" not in each["metadata"]]


def test_the_example_is_taken(server: ApiServer) -> None:
    example = yaml.safe_load((CHART.parents[1] / "examples" / "on-kubevirt" / "web.yaml").read_text())
    path = f"/apis/hostler.io/v1alpha1/namespaces/default/{Deployment.plural}"
    answer = server.create(path, example, dryRun="All")
    assert answer.code == 201, answer.message


async def test_a_gpu_is_for_kubevirt_to_judge(place: Place) -> None:
    gpu = {"domain": {"memory": {"guest": "64Mi"}, "devices": {"gpus": [{"name": "a", "deviceName": "b.com/c"}]}}}
    made = await place.create(Job, "sum", {"template": template(**gpu), "suspend": True})
    assert made["spec"]["template"]["spec"]["domain"]["devices"]["gpus"] == gpu["domain"]["devices"]["gpus"]


async def test_a_plain_set_is_kubevirts(place: Place, standin: KubeVirt) -> None:
    await start(place, ReplicaSet, replicas=2)
    await place.until("two run", lambda: stands(place, ReplicaSet, replicas=2, readyReplicas=2))
    await place.scale("web", 1)
    await place.until("one is left", lambda: stands(place, ReplicaSet, replicas=1, readyReplicas=1))
    assert set(await place.names(VMI)) <= standin.made
    assert await place.events(ReplicaSet) == [], "we say nothing of it"
    assert "paused" not in (await place.get(ReplicaSet, "web"))["spec"]


async def test_a_deployment_rolls_and_rolls_back(place: Place, standin: KubeVirt) -> None:
    floor: list[int] = []

    async def watch() -> None:
        while True:
            floor.append(len(alive(await place.all(VMI))))
            await asyncio.sleep(0.05)

    def all_of(memory: str) -> Any:
        async def check() -> bool:
            counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), 3)
            return await memories(place) == [memory] * 3 and await stands(place, Deployment, **counts)

        return check

    await start(place, Deployment, replicas=3, strategy=rolling(maxSurge=1, maxUnavailable=0))
    await place.until("three run", all_of("64Mi"))
    (first,) = await place.all(ReplicaSet)
    assert (first["spec"]["paused"], first["metadata"]["annotations"][RUN_BY]) == (True, "hostler")
    for vmi in await place.all(VMI):
        assert vmi["metadata"]["name"].startswith(f"{first['metadata']['name']}-")
        assert vmi["metadata"]["finalizers"] == [launcher.VMI_FINALIZER], "once"
        phases = [each["phase"] for each in vmi["status"]["phaseTransitionTimestamps"]]
        assert phases == ["Pending", "Scheduling", "Scheduled", "Running"]
        assert vmi["spec"]["domain"]["machine"] == {"type": "q35"}, "what KubeVirt fills in is no change of ours"
    watching = asyncio.create_task(watch())
    await change(place, Deployment, template=template("65Mi"))
    await place.until("rolled", all_of("65Mi"))
    await change(place, Deployment, template=template("64Mi"))
    await place.until("rolled back", all_of("64Mi"))
    watching.cancel()
    assert len(floor) > 20
    assert min(floor) >= 3
    assert len(await place.all(ReplicaSet)) == 2, "the first set came back"
    assert not set(await place.names(VMI)) & standin.made
    await who_goes_first(place, standin)
    await change_hands(place, standin, first["metadata"]["name"])


async def who_goes_first(place: Place, standin: KubeVirt) -> None:
    """Who is not ready: KubeVirt would take anybody."""
    sick = (await place.names(VMI))[1]
    standin.unready.add(sick)
    await place.until("one is not ready", lambda: stands(place, Deployment, readyReplicas=2))
    await change(place, Deployment, replicas=2)
    await place.until("two are left", lambda: stands(place, Deployment, replicas=2, readyReplicas=2))
    await place.until("it is gone", lambda: gone(place, sick))


async def gone(place: Place, name: str) -> bool:
    return name not in await place.names(VMI)


async def change_hands(place: Place, standin: KubeVirt, name: str) -> None:
    """A set that is orphaned goes on under KubeVirt."""
    await place.delete(Deployment, "web")
    await place.user.patch(ReplicaSet, place.namespace, name, {"metadata": {"ownerReferences": None}})
    await place.scale(name, 3)
    await place.until("KubeVirt made the third", lambda: stands(place, ReplicaSet, name, replicas=3, readyReplicas=3))
    assert len(set(await place.names(VMI)) & standin.made) == 1
    handed = await place.get(ReplicaSet, name)
    assert (handed["spec"]["paused"], RUN_BY in handed["metadata"]["annotations"]) == (False, False)


async def test_a_refused_guest_is_told(place: Place, server: ApiServer) -> None:
    full = template()
    full["metadata"]["labels"][kubevirt.FULL] = ""
    await start(place, Deployment, replicas=1, template=full)

    async def told() -> bool:
        found = await place.condition(Deployment, "web", "ReplicaFailure")
        return bool(found and found["status"] == "True" and "exceeded quota: guests" in found["message"])

    await place.until("the deployment says why", told)
    server.request("DELETE", f"{kubevirt.POLICIES}/validatingadmissionpolicybindings/quota")
    await place.until("it runs", lambda: stands(place, Deployment, replicas=1, availableReplicas=1))

    async def forgotten() -> bool:
        return await place.condition(Deployment, "web", "ReplicaFailure") is None

    await place.until("and the trouble is forgotten", forgotten)


async def test_a_stateful_set_up_and_down(place: Place) -> None:
    async def row(*names: str) -> bool:
        counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas"), len(names))
        return await place.names(VMI) == list(names) and await stands(place, StatefulSet, **counts)

    spec = {"replicas": 2, "volumeClaimTemplates": [CLAIM], "template": template(**DISK), "serviceName": "db"}
    await start(place, StatefulSet, **spec)
    await place.until("two in a row", lambda: row("web-0", "web-1"))
    first, second = await place.all(VMI)
    began = [each["status"]["phaseTransitionTimestamps"][-1]["phaseTransitionTimestamp"] for each in (first, second)]
    assert began[0] <= began[1]
    assert (first["spec"]["hostname"], first["spec"]["subdomain"]) == ("web-0", "db")
    await change(place, StatefulSet, replicas=0)
    await place.until("none is left", row)
    await change(place, StatefulSet, replicas=1)
    await place.until("the first is back", lambda: row("web-0"))
    (again,) = await place.all(VMI)
    assert again["spec"]["domain"]["firmware"]["uuid"] == first["spec"]["domain"]["firmware"]["uuid"]
    assert await place.names(PersistentVolumeClaim) == ["data-web-0", "data-web-1"], "disks are kept"


async def test_a_daemon_set_follows_its_nodes(place: Place) -> None:
    def everywhere(count: int) -> Any:
        return lambda: stands(place, DaemonSet, desiredNumberScheduled=count, numberAvailable=count)

    nodes = ["kv-1", "kv-2"]
    for name in nodes:
        await place.user.create(Node, None, {"metadata": {"name": name, "labels": {launcher.SCHEDULABLE: "true"}}})
        await place.user.patch(Node, None, name, {"spec": {"taints": None}})  # the API server's own, of a new node
    await start(place, DaemonSet)
    await place.until("one on each node", everywhere(2))
    assert sorted(vmi["status"]["nodeName"] for vmi in await place.all(VMI)) == nodes
    await place.user.delete(Node, None, nodes[1])
    await place.until("one is left", everywhere(1))
    await place.until("the other is gone", lambda: on(place, nodes[:1]))
    await place.user.delete(Node, None, nodes[0])


async def on(place: Place, nodes: list[str]) -> bool:
    return [vmi["status"].get("nodeName") for vmi in await place.all(VMI)] == nodes


def job(**spec: Any) -> Raw:
    return {"template": {"spec": template()["spec"]}} | spec


async def end(place: Place, standin: KubeVirt, phase: str) -> None:
    """All guests that run now."""
    for vmi in await place.all(VMI):
        if vmi.get("status", {}).get("phase") == "Running":
            standin.endings[vmi["metadata"]["name"]] = phase


async def is_condition(place: Place, kind: Kind, name: str, wanted: str) -> bool:
    found = await place.condition(kind, name, wanted)
    return found is not None and found["status"] == "True"


async def test_a_job_succeeds_by_power_off(place: Place, standin: KubeVirt) -> None:
    await place.create(Job, "sum", job(completions=2, parallelism=2, script="exit 3"))
    await place.until("both run", lambda: stands(place, Job, "sum", active=2, ready=2))
    await end(place, standin, "Succeeded")
    await place.until("complete", lambda: is_condition(place, Job, "sum", "Complete"))
    status = (await place.get(Job, "sum"))["status"]
    assert (status["succeeded"], status["failed"], status.get("results", [])) == (2, 0, [])
    for vmi in await place.all(VMI):
        assert vmi["metadata"]["finalizers"] == [launcher.VMI_FINALIZER], "counted, and let go"
        assert launcher.PORTS not in vmi["metadata"]["annotations"]
        await place.delete(VMI, vmi["metadata"]["name"])
    await place.until("they go", lambda: on(place, []))


async def test_a_job_fails_with_its_guest(place: Place, standin: KubeVirt, manager: Manager) -> None:
    await place.create(Job, "sum", job(backoffLimit=0))
    await place.until("it runs", lambda: stands(place, Job, "sum", active=1, ready=1))
    await end(place, standin, "Failed")
    await place.until("failed", lambda: is_condition(place, Job, "sum", "Failed"))
    found = await place.get(Job, "sum")
    assert (found["status"]["failed"], found["status"]["succeeded"]) == (1, 0)
    assert (await place.condition(Job, "sum", "Failed") or {})["reason"] == "BackoffLimitExceeded"
    scraped = manager.read("/metrics", manager.metrics_port)
    assert 'hostler_vmjob_finished_total{reason="BackoffLimitExceeded",result="Failed"} 1.0' in scraped
    assert f'hostler_vmjobs{{namespace="{place.namespace}",phase="Failed"}} 1.0' in scraped
    assert "\nkubevirt_" not in scraped, "KubeVirt tells of its own"


async def test_a_cron_job_runs(place: Place, standin: KubeVirt) -> None:
    """Its last run is said to be long ago, so that one is due at once."""
    await place.create(CronJob, "tick", {"schedule": "* * * * *", "suspend": True, "jobTemplate": {"spec": job()}})
    long_ago = {"status": {"lastScheduleTime": "2026-01-01T00:00:00Z"}}
    await place.user.patch(CronJob, place.namespace, "tick", long_ago, "status")
    await place.user.patch(
        CronJob, place.namespace, "tick", {"spec": {"suspend": False, "startingDeadlineSeconds": 90}}
    )

    async def runs() -> bool:
        return any(vmi.get("status", {}).get("phase") == "Running" for vmi in await place.all(VMI))

    await place.until("its guest runs", runs)
    await place.user.patch(CronJob, place.namespace, "tick", {"spec": {"suspend": True}})
    await end(place, standin, "Succeeded")

    async def done() -> bool:
        status = (await place.get(CronJob, "tick")).get("status", {})
        return "lastSuccessfulTime" in status and status.get("activeJobs") == 0

    await place.until("and is done", done)
