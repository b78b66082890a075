"""VirtualMachines on a real API server, with the chart's policies and rights; nodes are stand-ins."""

import asyncio
from typing import Any

import pytest

from hostler.api.cdi import DataVolume
from hostler.api.kubevirt.vm import VirtualMachine as VM
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.objects import Event, PersistentVolumeClaim, Pod
from tests.integration.manager import Manager, Place
from tests.integration.test_controllers import apis, at_rest, collector, empty, hello, manager, place

__all__ = ["apis", "collector", "manager", "place"]

ENDS = '{"reason": "GuestCrashed", "message": "panic"}'


def machine(strategy: str = "Always") -> dict[str, Any]:
    return {"runStrategy": strategy, "template": hello(1)["template"]}


@pytest.fixture
async def shop(place: Place) -> Any:
    """A place that is left without VMs."""
    yield place
    for name in await place.names(VM):
        await place.delete(VM, name)
    await place.until("no VM is left", lambda: none_left(place))


async def none_left(place: Place) -> bool:
    return not await place.all(VM) and await empty(place)


async def says(place: Place, word: str) -> None:
    async def so() -> bool:
        return (await place.get(VM, "db")).get("status", {}).get("printableStatus") == word

    await place.until(f"it says {word}", so)


async def ask(place: Place, *requests: dict[str, str]) -> None:
    await place.user.patch(VM, place.namespace, "db", {"status": {"stateChangeRequests": list(requests)}}, "status")


async def turn(place: Place, strategy: str) -> None:
    await place.user.patch(VM, place.namespace, "db", {"spec": {"runStrategy": strategy}})


async def guest(place: Place) -> str:
    """UID of the one instance."""
    (vmi,) = await place.all(VMI)
    return str(vmi["metadata"]["uid"])


async def another(place: Place, than: str) -> bool:
    """Whether the one instance that there is runs, and is not this one."""
    seen = [(vmi["metadata"]["uid"], vmi.get("status", {}).get("phase")) for vmi in await place.all(VMI)]
    return [phase for _, phase in seen] == ["Running"] and seen[0][0] != than


async def test_from_create_to_running_in_few_writes(shop: Place, manager: Manager) -> None:
    await shop.create(VM, "db", machine())
    await says(shop, "Running")
    await at_rest(manager)  # events come late
    made = manager.decided(shop.namespace)
    told, _ = await shop.user.list(Event, shop.namespace)
    assert not [each for each in told if each.get("series")], "each once"
    # the user's create and the agent's report are not the manager's
    assert len(made) + len(told) + 2 <= 8, made
    for kind in ("VirtualMachineInstance", "Pod"):
        assert sum(f"create {kind} " in line for line in made) == 1, made
    status = (await shop.get(VM, "db"))["status"]
    assert (status["created"], status["ready"], status["runStrategy"]) == (True, True, "Always")
    await asyncio.sleep(3)
    assert manager.decided(shop.namespace) == made, "a VM at rest costs nothing"


async def test_always_replaces_a_guest_that_powers_off(shop: Place) -> None:
    await shop.create(VM, "db", machine())
    await says(shop, "Running")
    first = await guest(shop)
    (pod,) = await shop.all(Pod)
    await shop.end(pod, 0)
    await shop.until("another guest runs", lambda: another(shop, first))
    await says(shop, "Running")


async def test_halted_stays_off_and_starts_when_asked(shop: Place) -> None:
    await shop.create(VM, "db", machine("Halted"))
    await says(shop, "Stopped")
    ready = await shop.condition(VM, "db", "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", "VMINotExists")
    assert await shop.names(VMI) == []
    await ask(shop, {"action": "Start"})
    await says(shop, "Running")
    assert (await shop.get(VM, "db"))["spec"]["runStrategy"] == "Always"
    await turn(shop, "Halted")
    await says(shop, "Stopped")
    assert await empty(shop)


async def test_manual_start_restart_and_stop(shop: Place) -> None:
    await shop.create(VM, "db", machine("Manual"))
    await says(shop, "Stopped")
    await ask(shop, {"action": "Start"})
    await says(shop, "Running")
    first = await guest(shop)
    await ask(shop, {"action": "Stop", "uid": first}, {"action": "Start"})
    await shop.until("another guest runs", lambda: another(shop, first))
    await says(shop, "Running")

    async def done() -> bool:
        return "stateChangeRequests" not in (await shop.get(VM, "db"))["status"]

    await shop.until("the wish is fulfilled", done)
    await ask(shop, {"action": "Stop", "uid": await guest(shop)})
    await says(shop, "Stopped")


async def test_rerun_on_failure(shop: Place) -> None:
    await shop.create(VM, "db", machine("RerunOnFailure"))
    await says(shop, "Running")
    first = await guest(shop)
    (pod,) = await shop.all(Pod)
    await shop.end(pod, 1, ENDS)
    await shop.until("another guest runs", lambda: another(shop, first))
    (pod,) = await shop.all(Pod)
    await shop.end(pod, 0)
    await says(shop, "Stopped")
    await asyncio.sleep(1)
    assert await shop.phases() == ["Succeeded"]


async def test_a_guest_that_does_not_start_is_held_back(shop: Place) -> None:
    shop.nodes_run = False
    await shop.create(VM, "db", machine())
    await shop.until("its pod", lambda: shop.names(Pod))
    (pod,) = await shop.all(Pod)
    await shop.end(pod, 1, ENDS)
    await says(shop, "CrashLoopBackOff")
    failure = (await shop.get(VM, "db"))["status"]["startFailure"]
    assert failure["consecutiveFailCount"] == 1
    assert failure["retryAfterTimestamp"]
    await turn(shop, "Halted")
    await says(shop, "Stopped")
    assert "startFailure" not in (await shop.get(VM, "db"))["status"]


async def test_a_changed_template_is_told(shop: Place) -> None:
    await shop.create(VM, "db", machine())
    await says(shop, "Running")
    change = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}}
    await shop.user.patch(VM, shop.namespace, "db", change)
    await shop.until("it asks for a restart", lambda: shop.condition(VM, "db", "RestartRequired"))
    status = (await shop.get(VM, "db"))["status"]
    assert (status["observedGeneration"], status["desiredGeneration"]) == (1, 2)
    await ask(shop, {"action": "Stop", "uid": await guest(shop)})

    async def forgotten() -> bool:
        return await shop.condition(VM, "db", "RestartRequired") is None

    await shop.until("it is what it should be", forgotten)
    await says(shop, "Running")


async def test_orphans_are_left_and_taken_over(shop: Place) -> None:
    await shop.create(VM, "db", machine())
    await says(shop, "Running")
    first = await guest(shop)
    await shop.delete(VM, "db", "Orphan")

    async def orphaned() -> bool:
        return not await shop.all(VM) and not (await shop.get(VMI, "db"))["metadata"].get("ownerReferences")

    await shop.until("the guest is alone", orphaned)
    await shop.create(VM, "db", machine())
    await says(shop, "Running")
    assert await guest(shop) == first


async def test_an_orphan_can_be_deleted(shop: Place) -> None:
    await shop.create(VM, "db", machine())
    await says(shop, "Running")
    await shop.delete(VM, "db", "Orphan")

    async def orphaned() -> bool:
        return not (await shop.get(VMI, "db"))["metadata"].get("ownerReferences")

    await shop.until("the guest is alone", orphaned)
    await shop.delete(VMI, "db")
    await shop.until("nothing is left", lambda: empty(shop))


async def test_an_instance_of_somebody_else_is_told(shop: Place) -> None:
    await shop.create(VM, "x", machine("Halted"))
    theirs = (await shop.get(VM, "x"))["metadata"]
    owner = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": "x", "uid": theirs["uid"]}
    await shop.create(VMI, "db", hello(1)["template"]["spec"], ownerReferences=[owner | {"controller": True}])
    await shop.create(VM, "db", machine())
    await shop.until("it says so", lambda: shop.condition(VM, "db", "Failure"))
    trouble = await shop.condition(VM, "db", "Failure")
    assert trouble is not None
    assert "belongs to VirtualMachine x" in trouble["message"]
    await shop.delete(VMI, "db")
    await says(shop, "Running")


def with_disk(strategy: str = "Always") -> dict[str, Any]:
    made = machine(strategy)
    spec = made["template"]["spec"]
    spec["domain"]["devices"]["disks"].append({"name": "data", "disk": {"bus": "virtio"}})
    spec["volumes"].append({"name": "data", "dataVolume": {"name": "db-data"}})
    storage = {"resources": {"requests": {"storage": "1Gi"}}}
    template = {"metadata": {"name": "db-data"}, "spec": {"source": {"blank": {}}, "storage": storage}}
    return made | {"dataVolumeTemplates": [template]}


async def fill(place: Place, phase: str) -> None:
    """What the controller of DataVolumes does."""
    await place.user.patch(DataVolume, place.namespace, "db-data", {"status": {"phase": phase}}, "status")


async def test_disks_are_made_and_waited_for(shop: Place) -> None:
    await shop.create(VM, "db", with_disk())
    await shop.until("its disk", lambda: shop.names(DataVolume))
    (disk,) = await shop.all(DataVolume)
    assert disk["metadata"]["ownerReferences"][0]["name"] == "db"
    await says(shop, "Provisioning")
    await fill(shop, "Failed")
    await says(shop, "DataVolumeError")
    assert await shop.names(VMI) == []
    storage = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    await shop.create(PersistentVolumeClaim, "db-data", storage)
    await fill(shop, "Succeeded")
    await says(shop, "Running")
    await shop.delete(VM, "db")

    async def gone() -> bool:
        return await shop.names(DataVolume) == []

    await shop.until("the disk goes with its VM", gone)


async def seen_by_its_agent(place: Place) -> None:
    """What an agent reports of a guest that it started."""
    at_first = dict.fromkeys(("guestAtBoot", "guestCurrent", "guestRequested"), "96Mi")
    status = {
        "currentCPUTopology": {"sockets": 1, "cores": 1, "threads": 1},
        "memory": at_first,
        "volumeStatus": [{"name": "root", "target": "vda"}],
    }
    await place.agent.patch(VMI, place.namespace, "db", {"status": status})


async def change(place: Place, **spec: Any) -> None:
    await place.user.patch(VM, place.namespace, "db", {"spec": {"template": {"spec": spec}}})


async def given(place: Place, resources: dict[str, Any]) -> None:
    """What the kubelet has given to the guest's pod."""
    (pod,) = await place.all(Pod)
    (compute,) = pod["status"]["containerStatuses"]
    status = {"containerStatuses": [compute | {"resources": resources}]}
    await place.user.patch(Pod, place.namespace, pod["metadata"]["name"], {"status": status}, "status")


async def test_a_running_guest_gets_room_in_its_pod_before_it_gets_more(shop: Place) -> None:
    await shop.create(VM, "db", machine())
    await says(shop, "Running")
    await seen_by_its_agent(shop)
    (before,) = await shop.all(Pod)
    await given(shop, before["spec"]["containers"][0]["resources"])
    await change(shop, domain={"cpu": {"sockets": 2}})

    async def grants(answer: str) -> bool:
        found = await shop.condition(VMI, "db", "HotVCPUChange")
        return found is not None and found["status"] == answer

    await shop.until("it waits", lambda: grants("False"))

    async def cpu() -> str:
        (pod,) = await shop.all(Pod)
        return str(pod["spec"]["containers"][0]["resources"]["requests"]["cpu"])

    async def larger() -> bool:
        return await cpu() == "200m"

    assert before["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "100m"
    await shop.until("its pod has room", larger)
    (pod,) = await shop.all(Pod)
    assert pod["metadata"]["uid"] == before["metadata"]["uid"], "the pod goes on"
    await given(shop, pod["spec"]["containers"][0]["resources"])
    await shop.until("it is granted", lambda: grants("True"))
    assert (await shop.get(VMI, "db"))["spec"]["domain"]["cpu"]["sockets"] == 2
    assert await shop.condition(VM, "db", "RestartRequired") is None
