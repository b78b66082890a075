"""The manager on a real API server, with its chart, its rights and the garbage collector; nodes are stand-ins."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import programs
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet as ReplicaSet
from hostler.api.meta import Resource
from hostler.api.objects import Lease, PersistentVolumeClaim, Pod
from hostler.runtime.errors import NotFound
from hostler.runtime.kube import Api, connect
from tests.integration.apiserver import ApiServer, running, write_kubeconfig
from tests.integration.manager import Manager, Place

EXAMPLE = Path(__file__).parents[2] / "examples" / "hello.yaml"
HOLD = "test.hostler.io/hold"
FINALIZER = "kubevirt.io/foregroundDeleteVirtualMachine"
TERMINATION = '{"reason": "PrepareFailed", "message": "no space left"}'


class ResourceQuota(Resource):
    group_version = "v1"
    plural = "resourcequotas"


@pytest.fixture(scope="module")
def collector(hostler: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What deletes the members of a deleted set, and what counts for quotas."""
    program = programs.find(["kube-controller-manager"])["kube-controller-manager"]
    arguments = {
        "kubeconfig": hostler.kubeconfig,
        "controllers": "garbage-collector-controller,resourcequota-controller",
        "leader-elect": "false",
        "secure-port": "0",
    }
    with running(program, arguments, tmp_path_factory.mktemp("controllers") / "kube-controller-manager.log"):
        yield


@pytest.fixture(scope="module")
def manager(hostler: ApiServer, collector: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    account = hostler.account("hostler", "hostler-manager")
    with Manager(account, tmp_path_factory.mktemp("manager"), "manager-0").running() as started:
        yield started


@pytest.fixture
async def apis(hostler: ApiServer, tmp_path: Path) -> AsyncIterator[tuple[Api, Api]]:
    """The administrator's, and one that may report the status of a VMI."""
    account = hostler.account("hostler", "hostler-manager")
    kubeconfig = write_kubeconfig(tmp_path / "agent", account.url, account.ca, account.token)
    user, agent = await connect(str(hostler.kubeconfig), "test"), await connect(str(kubeconfig), "test-agent")
    yield user, agent
    await user.close()
    await agent.close()


@pytest.fixture
async def place(manager: Manager, apis: tuple[Api, Api], namespace: str) -> AsyncIterator[Place]:
    place = Place(*apis, namespace)
    nodes = asyncio.create_task(place.nodes())
    yield place
    assert not nodes.done(), "the stand-in for the nodes died"
    nodes.cancel()
    for kind in (ReplicaSet, VMI):
        for name in await place.names(kind):
            with suppress(NotFound):  # the collector was faster
                await place.delete(kind, name)
    await place.until("all gone", lambda: empty(place))


async def empty(place: Place) -> bool:
    return not await place.all(VMI) and not await place.all(Pod)


def hello(replicas: int) -> dict[str, Any]:
    spec = yaml.safe_load(EXAMPLE.read_text())["spec"]
    return spec | {"replicas": replicas}


async def run_set(place: Place, replicas: int) -> None:
    await place.create(ReplicaSet, "hello", hello(replicas))
    await place.until("all run", lambda: place.all_run(replicas))
    await status_is(place, replicas=replicas, readyReplicas=replicas)


async def status_is(place: Place, **wanted: int) -> None:
    async def so() -> bool:
        status = (await place.get(ReplicaSet, "hello")).get("status", {})
        return all(status.get(key) == value for key, value in wanted.items())

    await place.until(f"status {wanted}", so)


async def test_a_set_grows_shrinks_and_goes(place: Place, manager: Manager) -> None:
    await run_set(place, 5)
    made = manager.decided(place.namespace)
    for kind in ("VirtualMachineInstance", "Pod"):
        assert sum(f"create {kind} " in line for line in made) == 5, made
    # one each; a machine that is busy sees the phases, too, that last only a moment elsewhere
    assert sum("status kind=VirtualMachineInstance " in line for line in made) <= 15, made
    assert (await place.get(ReplicaSet, "hello"))["status"]["labelSelector"] == "app=hello"

    await place.scale("hello", 7)
    await place.until("seven run", lambda: place.all_run(7))
    first = await place.names(VMI)
    await place.scale("hello", 2)
    await status_is(place, replicas=2, readyReplicas=2)
    await place.until("two are left", lambda: place.all_run(2))
    assert set(await place.names(VMI)) < set(first)
    assert len(await place.names(Pod)) == 2

    await place.delete(ReplicaSet, "hello")
    await place.until("nothing is left", lambda: empty(place))


async def at_rest(manager: Manager) -> dict[str, int]:
    """What was written, once nothing more is: the manager also looks after VMIs that other tests left."""
    before: dict[str, int] | None = None
    async with asyncio.timeout(60):
        while before != (now := manager.writes()):
            before = now
            await asyncio.sleep(2)
    return before


async def test_a_set_at_rest_costs_nothing(place: Place, manager: Manager) -> None:
    await run_set(place, 3)
    await at_rest(manager)
    before = manager.decided(place.namespace)
    await asyncio.sleep(3)
    assert manager.decided(place.namespace) == before


async def test_members_are_kubevirts(place: Place) -> None:
    await run_set(place, 1)
    (vmi,), (pod,) = await place.all(VMI), await place.all(Pod)
    meta = vmi["metadata"]
    assert meta["finalizers"] == [FINALIZER]
    assert meta["labels"]["app"] == "hello"
    assert len(meta["name"]) == len("hello") + 5
    assert pod["metadata"]["labels"]["kubevirt.io/created-by"] == meta["uid"]
    assert pod["metadata"]["ownerReferences"][0]["uid"] == meta["uid"]
    await told(place, VMI, f"Created virtual machine pod {pod['metadata']['name']}")
    note = f"Started the virtual machine by creating the new virtual machine instance {meta['name']}"
    await told(place, ReplicaSet, note)


async def told(place: Place, kind: type[Resource], note: str) -> None:
    async def so() -> bool:
        return ("SuccessfulCreate", note) in await place.events(kind)

    await place.until(f"an event: {note}", so)


async def test_orphans_live_on_and_are_adopted(place: Place) -> None:
    await run_set(place, 2)
    before = await place.names(VMI)
    await place.delete(ReplicaSet, "hello", "Orphan")

    async def orphaned() -> bool:
        return not any(vmi["metadata"].get("ownerReferences") for vmi in await place.all(VMI))

    await place.until("nobody owns them", orphaned)
    await asyncio.sleep(1)
    assert await place.names(VMI) == before
    await place.create(ReplicaSet, "hello", hello(2))
    await status_is(place, replicas=2, readyReplicas=2)
    assert await place.names(VMI) == before

    async def owned() -> bool:
        return all(vmi["metadata"].get("ownerReferences") for vmi in await place.all(VMI))

    await place.until("they have an owner again", owned)


async def test_a_member_that_loses_its_label_is_let_go_and_replaced(place: Place) -> None:
    await run_set(place, 2)
    lost = (await place.names(VMI))[0]
    await place.user.patch(VMI, place.namespace, lost, {"metadata": {"labels": {"app": "other"}}})
    await place.until("another takes its place", lambda: place.all_run(3))

    async def alone() -> bool:
        return not (await place.get(VMI, lost))["metadata"].get("ownerReferences")

    await place.until("it is let go", alone)


async def test_a_guest_that_crashed_is_replaced(place: Place) -> None:
    await run_set(place, 2)
    (pod, _) = await place.all(Pod)
    name = pod["metadata"]["annotations"]["kubevirt.io/domain"]
    await hold(place, name, True)  # what has failed is deleted soon: too soon to be looked at
    await place.end(pod, 1, TERMINATION)

    async def failed() -> bool:
        status = (await place.get(VMI, name))["status"]
        return (status["phase"], status.get("reason")) == ("Failed", "PrepareFailed")

    await place.until("the VMI is Failed", failed)
    ready = await place.condition(VMI, name, "Ready")
    assert ready is not None
    assert (ready["status"], ready["message"]) == ("False", "no space left")
    await hold(place, name, False)
    await place.until("another takes its place", lambda: replaced(place, name))


async def hold(place: Place, name: str, held: bool) -> None:
    """By a finalizer of ours, beside those that it has."""
    others = [each for each in (await place.get(VMI, name))["metadata"]["finalizers"] if each != HOLD]
    finalizers = [*others, HOLD] if held else others
    await place.user.patch(VMI, place.namespace, name, {"metadata": {"finalizers": finalizers}})


async def replaced(place: Place, name: str) -> bool:
    return name not in await place.names(VMI) and await place.all_run(2)


async def test_a_paused_set_does_nothing(place: Place) -> None:
    await run_set(place, 1)
    await place.user.patch(ReplicaSet, place.namespace, "hello", {"spec": {"paused": True, "replicas": 3}})
    await place.until("it says so", lambda: place.condition(ReplicaSet, "hello", "ReplicaPaused"))
    await asyncio.sleep(1)
    assert len(await place.names(VMI)) == 1
    await place.user.patch(ReplicaSet, place.namespace, "hello", {"spec": {"paused": False}})
    await place.until("three run", lambda: place.all_run(3))

    async def awake() -> bool:
        return await place.condition(ReplicaSet, "hello", "ReplicaPaused") is None

    await place.until("it is not paused any more", awake)


async def test_a_vmi_by_hand(place: Place) -> None:
    await place.create(VMI, "alone", hello(1)["template"]["spec"])
    await place.until("it runs", lambda: place.all_run(1))
    vmi = await place.get(VMI, "alone")
    assert vmi["metadata"]["finalizers"] == [FINALIZER]
    await place.delete(VMI, "alone")
    await place.until("all gone", lambda: empty(place))


async def test_the_shutdown_of_a_guest_is_its_success(place: Place) -> None:
    await place.create(VMI, "alone", hello(1)["template"]["spec"])
    await place.until("it runs", lambda: place.all_run(1))
    (pod,) = await place.all(Pod)
    await place.end(pod, 0)

    async def succeeded() -> bool:
        return await place.phases() == ["Succeeded"]

    await place.until("Succeeded", succeeded)
    assert len(await place.all(Pod)) == 1, "the pod keeps the logs"
    await place.delete(VMI, "alone")
    await place.until("all gone", lambda: empty(place))


async def test_a_pod_that_somebody_deletes_takes_its_vmi_with_it(place: Place) -> None:
    await place.create(VMI, "alone", hello(1)["template"]["spec"])
    await place.until("it runs", lambda: place.all_run(1))
    await place.delete(Pod, (await place.names(Pod))[0])

    async def failed() -> bool:
        return await place.phases() == ["Failed"]

    await place.until("Failed", failed)


async def test_a_missing_claim_is_told_and_waited_for(place: Place) -> None:
    spec = hello(1)["template"]["spec"]
    spec["domain"]["devices"]["disks"].append({"name": "data", "disk": {"bus": "virtio"}})
    spec["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": "data"}})
    await place.create(VMI, "alone", spec)
    await place.until("it says so", lambda: place.condition(VMI, "alone", "Synchronized"))
    trouble = await place.condition(VMI, "alone", "Synchronized")
    assert trouble is not None
    assert trouble["reason"] == "FailedPvcNotFound"
    assert f"PVC {place.namespace}/data does not exist" in trouble["message"]
    assert await place.names(Pod) == []
    storage = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    await place.create(PersistentVolumeClaim, "data", storage)
    await place.until("it runs", lambda: place.all_run(1))


async def test_a_quota_is_told_and_waited_for(place: Place) -> None:
    await place.create(ResourceQuota, "few", {"hard": {"count/pods": "1"}})

    async def counted() -> bool:
        return bool((await place.get(ResourceQuota, "few")).get("status", {}).get("hard"))

    await place.until("the quota is in force", counted)
    await place.create(ReplicaSet, "hello", hello(2))
    await place.until("one runs", lambda: one_of_two(place))
    (waiting,) = [vmi for vmi in await place.all(VMI) if vmi["status"]["phase"] == "Pending"]
    name = waiting["metadata"]["name"]
    await place.until("it says so", lambda: place.condition(VMI, name, "Synchronized"))
    trouble = await place.condition(VMI, name, "Synchronized")
    assert trouble is not None
    assert trouble["reason"] == "FailedCreate"
    assert "exceeded quota: few" in trouble["message"]
    await place.delete(ResourceQuota, "few")
    await place.until("both run", lambda: place.all_run(2))


async def one_of_two(place: Place) -> bool:
    return sorted(await place.phases()) == ["Pending", "Running"]


async def test_a_slow_pod_is_said_to_be_scheduling(place: Place) -> None:
    place.nodes_run = False
    await place.create(VMI, "alone", hello(1)["template"]["spec"])

    async def scheduling() -> bool:
        return await place.phases() == ["Scheduling"]

    await place.until("Scheduling", scheduling)
    status = (await place.get(VMI, "alone"))["status"]
    assert [each["phase"] for each in status["phaseTransitionTimestamps"]] == ["Pending", "Scheduling"]
    ready = await place.condition(VMI, "alone", "Ready")
    assert ready is not None
    assert ready["reason"] == "GuestNotRunning"


async def test_an_image_that_cannot_be_had_is_told(place: Place) -> None:
    place.nodes_run = False
    await place.create(VMI, "alone", hello(1)["template"]["spec"])
    await place.until("its pod", lambda: place.names(Pod))
    (pod,) = await place.all(Pod)
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "not found"}}
    await place.set_pod(pod, "Pending", waiting, ready=False)
    await place.until("it says so", lambda: place.condition(VMI, "alone", "Synchronized"))
    trouble = await place.condition(VMI, "alone", "Synchronized")
    assert trouble is not None
    assert (trouble["status"], trouble["reason"], trouble["message"]) == ("False", "ErrImagePull", "not found")


async def test_a_killed_manager_leaves_nothing_undone_and_does_nothing_twice(place: Place, manager: Manager) -> None:
    await place.create(ReplicaSet, "hello", hello(30))

    async def some() -> bool:
        return len(await place.names(VMI)) >= 5

    await place.until("some are made", some)
    assert manager.stop(signal.SIGKILL) == -signal.SIGKILL
    manager.start()
    await place.until("all run", lambda: place.all_run(30))
    assert len(await place.names(Pod)) == 30
    owners = [pod["metadata"]["labels"]["kubevirt.io/created-by"] for pod in await place.all(Pod)]
    assert len(set(owners)) == 30


async def test_a_second_manager_takes_over(place: Place, manager: Manager, hostler: ApiServer, tmp_path: Path) -> None:
    await run_set(place, 1)
    with Manager(hostler.account("hostler", "hostler-manager"), tmp_path, "manager-1").running() as second:
        await place.until("it is up", lambda: asyncio.to_thread(second.healthy))
        await asyncio.sleep(1)
        assert await leader(place) == "manager-0"
        assert manager.stop() == 0
        await place.until("it leads", lambda: leads(place, "manager-1"))
        await place.scale("hello", 3)
        await place.until("three run", lambda: place.all_run(3))
        manager.start()
        await place.user.patch(Lease, "hostler", "hostler-manager", {"spec": {"holderIdentity": "manager-0"}})
        assert second.process is not None
        assert await asyncio.to_thread(second.process.wait, 60) != 0, "who lost the lease must end"
    await place.until("the first leads again", lambda: leads(place, "manager-0"))


async def leader(place: Place) -> str:
    try:
        lease = await place.user.get(Lease, "hostler", "hostler-manager")
    except NotFound:
        return ""
    return str(lease["spec"]["holderIdentity"])


async def leads(place: Place, who: str) -> bool:
    return await leader(place) == who
