"""Pools on a real API server: what it refuses, an update, disks that are kept, and a manager that is killed."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hostler.api.cdi import DataVolume
from hostler.api.kubevirt.pool import FINALIZER, KEPT, REVISION
from hostler.api.kubevirt.pool import VirtualMachinePool as Pool
from hostler.api.kubevirt.vm import VirtualMachine as VM
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.objects import ControllerRevision, PersistentVolumeClaim
from hostler.runtime.errors import ApiError, NotFound
from hostler.runtime.kube import Api, connect
from hostler.runtime.plan import owner_reference
from hostler.runtime.protocol import Raw
from tests.integration.apiserver import ApiServer, write_kubeconfig
from tests.integration.manager import SOON, Manager, Place
from tests.integration.test_controllers import collector

__all__ = ["collector"]

TEMPLATE, MACHINE = "spec.virtualMachineTemplate", "spec.virtualMachineTemplate.spec"
GUEST = f"{MACHINE}.template.spec"
BLANK = {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Mi"}}}}
ROOT = {"name": "root", "dataVolume": {"name": "root"}}
DISKS: Raw = {"dataVolumeTemplates": [{"metadata": {"name": "root"}, "spec": BLANK}]}
WITH_DISK = {"volumes": [ROOT]}


def machine(memory: str = "64Mi", guest: Raw | None = None, **vm: Any) -> Raw:
    """A VM's template; `guest` beside memory."""
    instance = {"domain": {"memory": {"guest": memory}, "devices": {}}} | (guest or {})
    spec = {"runStrategy": "Always", "template": {"metadata": {}, "spec": instance}} | vm
    return {"metadata": {"labels": {"app": "web"}}, "spec": spec}


def body(version: str = "v1beta1", **spec: Any) -> Raw:
    return {
        "apiVersion": f"pool.kubevirt.io/{version}",
        "kind": "VirtualMachinePool",
        "metadata": {"name": "web", **spec.pop("metadata", {})},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "virtualMachineTemplate": machine()} | spec,
    }


def path(namespace: str, version: str = "v1beta1") -> str:
    return f"/apis/pool.kubevirt.io/{version}/namespaces/{namespace}/{Pool.plural}"


@pytest.fixture(scope="module", autouse=True)
def served(hostler: ApiServer) -> None:
    """A kind is served a moment after its definition is there; whoever lists kinds when he starts is to find it."""
    deadline = time.monotonic() + SOON
    while (answer := hostler.create(path("default"), body(), dryRun="All")).code != 201:
        assert time.monotonic() < deadline, answer.message
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("spec", "field", "says"),
    [
        ({"replicas": -1}, "spec.replicas", "must be greater than or equal to 0"),
        ({"selector": {"matchLabels": {"app": "x"}}}, "spec.selector", "selector does not match labels."),
        ({"selector": {}}, "spec.selector", "empty selector is invalid"),
        ({"maxUnavailable": 0}, "spec.maxUnavailable", "maxUnavailable must be greater than 0"),
        ({"maxUnavailable": "50"}, "spec.maxUnavailable", "maxUnavailable percentage must end with %"),
        ({"maxUnavailable": "0%"}, "spec.maxUnavailable", "must be between 1 and 100"),
        ({"maxUnavailable": "101%"}, "spec.maxUnavailable", "must be between 1 and 100"),
        (
            {"updateStrategy": {"unmanaged": {}, "proactive": {}}},
            "spec.updateStrategy",
            "only one strategy can be configured at a time: but found 2 strategies",
        ),
        (
            {"scaleInStrategy": {"unmanaged": {}, "opportunistic": {}, "proactive": {}}},
            "spec.scaleInStrategy",
            "only one strategy can be configured at a time: but found 3 strategies",
        ),
        (
            {"scaleInStrategy": {"proactive": {"selectionPolicy": {"sortPolicy": "Largest"}}}},
            "spec.scaleInStrategy.proactive.selectionPolicy.sortPolicy",
            "Unsupported value: Largest",
        ),
        (
            {"updateStrategy": {"proactive": {"selectionPolicy": {"sortPolicy": "Largest"}}}},
            "spec.updateStrategy.proactive.selectionPolicy.sortPolicy",
            "Unsupported value: Largest",
        ),
        (
            {"scaleInStrategy": {"opportunistic": {"statePreservation": "Asleep"}}},
            "spec.scaleInStrategy.opportunistic.statePreservation",
            "Unsupported value: Asleep",
        ),
        ({"autohealing": {"startUpFailureThreshold": 0}}, "startUpFailureThreshold", "greater than or equal to 1"),
        ({"autohealing": {"minFailingToStartDuration": "soon"}}, "minFailingToStartDuration", "such as 5m"),
        ({"virtualMachineTemplate": {}}, f"{MACHINE}", "missing virtual machine template."),
        ({"virtualMachineTemplate": machine(runStrategy=None)}, f"{MACHINE}.runStrategy", "RunStrategy must be"),
        (
            {"virtualMachineTemplate": machine(running=True)},
            f"{MACHINE}.running",
            "Running and RunStrategy are mutually exclusive.",
        ),
        ({"virtualMachineTemplate": machine(runStrategy="X")}, f"{MACHINE}.runStrategy", "Invalid RunStrategy (X)"),
        (
            {"virtualMachineTemplate": machine(**DISKS)},
            f"{MACHINE}.dataVolumeTemplates",
            f"DataVolumeTemplate entry {MACHINE}.dataVolumeTemplate[0] must be referenced",
        ),
        (
            {"virtualMachineTemplate": machine(instancetype={"name": "small"})},
            f"{MACHINE}.instancetype",
            f"{MACHINE}.instancetype: not supported by hostler",
        ),
        (
            {"virtualMachineTemplate": machine(guest={"resourceClaims": [{"name": "gpu"}]})},
            f"{GUEST}.resourceClaims",
            f"{GUEST}.resourceClaims: not supported by hostler",
        ),
        (
            {"virtualMachineTemplate": machine(memory="0")},
            f"{GUEST}.domain.memory.guest",
            "must be greater than or equal to 1M.",
        ),
        ({"metadata": {"name": "x" * 53}}, "metadata.name", "must be no more than 52 characters"),
        (
            {"metadata": {"annotations": {"hostler.io/progress-deadline-seconds": "soon"}}},
            "metadata.annotations",
            "are whole numbers of seconds",
        ),
    ],
)
def test_bad_pools(hostler: ApiServer, namespace: str, spec: Raw, field: str, says: str) -> None:
    answer = hostler.create(path(namespace), body(**spec))
    assert answer.code == 422, answer.body
    assert field in answer.message
    assert says in answer.message


async def test_what_a_pool_need_not_say(user: Api, hostler: ApiServer, namespace: str) -> None:
    """It is one of v1alpha1, too; its selector is for ever."""
    made = hostler.create(path(namespace, "v1alpha1"), body("v1alpha1", maxUnavailable="50%"))
    assert made.code == 201, made.message
    assert made.body["spec"]["replicas"] == 1
    assert made.body["metadata"]["finalizers"] == [FINALIZER]
    assert (await user.get(Pool, namespace, "web"))["apiVersion"] == "pool.kubevirt.io/v1beta1"
    both = {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "app", "operator": "Exists"}]}
    with pytest.raises(ApiError, match="selector is immutable after creation"):
        await user.patch(Pool, namespace, "web", {"spec": {"selector": both}})
    await user.patch(Pool, namespace, "web", {"metadata": {"finalizers": None}})
    await user.delete(Pool, namespace, "web")


@pytest.fixture
async def user(hostler: ApiServer) -> AsyncIterator[Api]:
    api = await connect(str(hostler.kubeconfig), "test")
    yield api
    await api.close()


@pytest.fixture
def manager(hostler: ApiServer, collector: None, tmp_path: Path) -> Manager:
    return Manager(hostler.account("hostler", "hostler-manager"), tmp_path, "manager-0")


@pytest.fixture
async def place(
    hostler: ApiServer, manager: Manager, user: Api, namespace: str, tmp_path: Path
) -> AsyncIterator[Place]:
    """A place with a manager, and with stand-ins for what runs guests and for what fills disks."""
    account = hostler.account("hostler", "hostler-manager")
    kubeconfig = write_kubeconfig(tmp_path / "agent", account.url, account.ca, account.token)
    agent = await connect(str(kubeconfig), "test-agent")
    place = Place(user, agent, namespace)
    stand_ins = [asyncio.create_task(place.nodes()), asyncio.create_task(fill(place))]
    with manager.running():
        yield place
        assert not any(each.done() for each in stand_ins), "a stand-in died"
        for name in await place.names(Pool):
            await place.delete(Pool, name)
        await place.until("no VM is left", lambda: none_left(place))
    for each in stand_ins:
        each.cancel()
    await agent.close()


async def none_left(place: Place) -> bool:
    return not await place.all(Pool) and not await place.all(VM) and not await place.all(VMI)


async def fill(place: Place) -> None:
    """Who imports disks: each gets its claim, and is whole at once."""
    while True:
        for raw in await place.all(DataVolume):
            if raw.get("status", {}).get("phase") != "Succeeded":
                volume = DataVolume.read(raw)
                metadata = {"name": volume.metadata.name, "ownerReferences": [owner_reference(volume)]}
                claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
                with suppress(ApiError):  # it has it, or has gone meanwhile
                    await place.user.create(
                        PersistentVolumeClaim, place.namespace, {"metadata": metadata, "spec": claim}
                    )
                with suppress(ApiError):
                    done = {"status": {"phase": "Succeeded"}}
                    await place.user.patch(DataVolume, place.namespace, volume.metadata.name, done, "status")
        await asyncio.sleep(0.1)


async def start(place: Place, **spec: Any) -> None:
    await place.create(Pool, "web", body(**spec)["spec"])


async def change(place: Place, **spec: Any) -> None:
    await place.user.patch(Pool, place.namespace, "web", {"spec": spec})


async def runs(place: Place, memory: str, *names: str) -> bool:
    """These VMs and no others, each with a guest of the template, and the pool says so."""
    vms, vmis = await place.all(VM), await place.all(VMI)
    found = [each["metadata"]["name"] for each in vms]
    guests = [each["metadata"]["name"] for each in vmis if each["status"].get("phase") == "Running"]
    of_template = all(each["spec"]["domain"]["memory"]["guest"] == memory for each in vmis)
    marks = {each["metadata"]["labels"].get(REVISION) for each in (*vms, *vmis)}
    status = (await place.get(Pool, "web")).get("status", {})
    counts = {status.get("replicas", 0), status.get("readyReplicas", 0)}
    return found == guests == list(names) and of_template and len(marks) <= 1 and counts == {len(names)}


async def progress(place: Place) -> Raw:
    return await place.condition(Pool, "web", "Progressing") or {}


async def test_a_pool_rolls_while_its_manager_is_killed(place: Place, manager: Manager) -> None:
    least: list[int] = []

    async def watch() -> None:
        while True:
            vmis = await place.all(VMI)
            up = [each for each in vmis if each["status"].get("phase") == "Running"]
            least.append(sum("deletionTimestamp" not in each["metadata"] for each in up))
            await asyncio.sleep(0.02)

    names = ("web-0", "web-1", "web-2")
    await start(place, replicas=3, maxUnavailable=1)
    await place.until("three run", lambda: runs(place, "64Mi", *names))
    await place.until("it is complete", lambda: says(place, "UpdateComplete"))
    watching = asyncio.create_task(watch())
    await change(place, virtualMachineTemplate=machine("65Mi"))

    async def one_is() -> bool:
        return any(each["spec"]["domain"]["memory"]["guest"] == "65Mi" for each in await place.all(VMI))

    await place.until("one is renewed", one_is)
    await asyncio.to_thread(manager.stop, signal.SIGKILL)
    await asyncio.to_thread(manager.start)
    await place.until("all are", lambda: runs(place, "65Mi", *names))
    watching.cancel()
    assert min(least) >= 2
    assert await place.names(ControllerRevision) == ["web-1", "web-2"]
    told = await place.events(Pool)
    assert ("SuccessfulCreate", f"Created VM {place.namespace}/web-0") in told
    await place.user.patch(Pool, place.namespace, "web", {"spec": {"replicas": 1}}, "scale")
    await place.until("one is left", lambda: one_left(place))


async def says(place: Place, reason: str) -> bool:
    return (await progress(place)).get("reason") == reason


async def one_left(place: Place) -> bool:
    return len(await place.all(VM)) == len(await place.all(VMI)) == 1


async def test_an_update_stops_at_a_template_that_does_not_run(place: Place) -> None:
    deadline = {"hostler.io/progress-deadline-seconds": "2"}
    spec = body(replicas=3, maxUnavailable=2, updateStrategy={"proactive": {"selectionPolicy": ASCENDING}})["spec"]
    await place.create(Pool, "web", spec, annotations=deadline)
    names = ("web-0", "web-1", "web-2")
    await place.until("three run", lambda: runs(place, "64Mi", *names))
    place.nodes_run = False  # nothing that is made now gets Ready
    await change(place, virtualMachineTemplate=machine("65Mi"))
    await place.until("it has stopped", lambda: says(place, "ProgressDeadlineExceeded"))
    memories = [each["spec"]["domain"]["memory"]["guest"] for each in await place.all(VMI)]
    assert memories[2] == "64Mi", "the last one is left alone"

    async def told() -> bool:
        return any(reason == "UpdateStopped" for reason, _ in await place.events(Pool))

    await place.until("it is told", told)
    place.nodes_run = True
    await change(place, virtualMachineTemplate=machine("64Mi"))
    await place.until("it is as it was", lambda: runs(place, "64Mi", *names))
    await place.until("and says so", lambda: says(place, "UpdateComplete"))


ASCENDING = {"sortPolicy": "AscendingOrder"}


async def test_disks_come_back_with_their_index(place: Place) -> None:
    async def disks() -> dict[str, str]:
        return {each["metadata"]["name"]: each["metadata"]["uid"] for each in await place.all(PersistentVolumeClaim)}

    keeping = {"proactive": {"statePreservation": "Offline", "selectionPolicy": {"sortPolicy": "DescendingOrder"}}}
    template = machine(guest=WITH_DISK, **DISKS)
    await start(place, replicas=2, scaleInStrategy=keeping, virtualMachineTemplate=template)
    await place.until("two run", lambda: runs(place, "64Mi", "web-0", "web-1"))
    before = await disks()
    assert sorted(before) == ["root-0", "root-1"]
    await change(place, replicas=1)
    await place.until("one is left", lambda: runs(place, "64Mi", "web-0"))
    kept = (await place.get(DataVolume, "root-1"))["metadata"]
    assert (kept.get("ownerReferences", []), kept["annotations"][KEPT]) == ([], "web")
    await change(place, replicas=2)
    await place.until("both run", lambda: runs(place, "64Mi", "web-0", "web-1"))
    assert await disks() == before

    async def taken() -> bool:
        meta = (await place.get(DataVolume, "root-1"))["metadata"]
        owners = [each["name"] for each in meta.get("ownerReferences", [])]
        return owners == ["web-1"] and KEPT not in meta.get("annotations", {})

    await place.until("it is the VM's again", taken)
    await change(place, scaleInStrategy={"proactive": {"statePreservation": "Disabled"}}, replicas=0)

    async def gone() -> bool:
        return not await place.all(DataVolume)

    await place.until("the disks go with their VMs", gone)


async def test_a_pool_that_is_orphaned_leaves_its_vms(place: Place) -> None:
    odd = {"volumes": [{"name": "seed", "cloudInitNoCloud": {"userData": "#!/bin/sh\n[ 1 -lt 2 ] && echo <\u2028>é"}}]}
    await start(place, replicas=1, virtualMachineTemplate=machine(guest=odd))
    await place.until("one runs", lambda: runs(place, "64Mi", "web-0"))
    (before,) = await place.all(VMI)
    await place.delete(Pool, "web", "Orphan")

    async def gone() -> bool:
        with suppress(NotFound):
            await place.get(Pool, "web")
            return False
        return True

    await place.until("the pool is gone", gone)
    (vm,) = await place.all(VM)
    assert FINALIZER not in vm["metadata"]["finalizers"]
    assert "ownerReferences" not in vm["metadata"]
    assert ["ownerReferences" in each["metadata"] for each in await place.all(ControllerRevision)] == [False]
    await start(place, replicas=1, virtualMachineTemplate=machine(guest=odd))
    await place.until("it is taken in again", lambda: runs(place, "64Mi", "web-0"))
    (after,) = await place.all(VMI)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert await place.names(ControllerRevision) == ["web-1"]
