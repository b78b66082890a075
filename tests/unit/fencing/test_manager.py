"""The whole process on an API server in memory: every crash between two steps, Observe, a person's word, the rejoin."""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fencing import driver, eyes, watch
from fencing.agents import Result, stdin
from fencing.dialogue import Pace
from fencing.manager import manage
from fencing.settings import FencingSettings
from hostler.api.fencing import (
    LEASE_LABEL,
    OUT_OF_SERVICE,
    FenceDevice,
    FenceOperation,
    NodeFencing,
    SecretReference,
    lease_name,
)
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.launcher import OWNER_EPOCH
from hostler.api.objects import Lease, Node, Pod, Secret
from hostler.runtime.store import Store
from tests.unit.hostler.runtime.fake_kube import FakeKube

FAST = Pace(confirm=0.1, between=0.05, quiet=0.2, margin=0.1, again=(0.05,))
LIMIT = 60.0


class Bmc:
    """A FenceAgent: knows what it was told, and can be told to fail."""

    def __init__(self):
        self.orders = []
        self.off = False
        self.broken = ""
        self.meanwhile = None  # awaited while it works on an `off`

    async def __call__(self, order):
        self.orders.append(order.action)
        await asyncio.sleep(0.02)
        if self.meanwhile and order.action == "off":
            await self.meanwhile()
        if self.broken:
            return Result(1, self.broken, 0.02, "AuthenticationFailed")
        if order.action in ("on", "off"):
            self.off = order.action == "off"
            return Result(0, "Success", 0.02)
        return Result(2 if self.off else 0, "Status", 0.02)


class World:
    """Three nodes, of which `dead` says nothing any more; a VM of it; and a fencing manager that can be killed."""

    def __init__(self):
        self.kube = FakeKube()
        self.bmc = Bmc()
        self.boots = {"dead": "boot-1", "b": "boot-b", "c": "boot-c"}
        self.living = {"b", "c"}

    async def make(self):
        for name in self.boots:
            await self.node(name)
        levels = [{"devices": [{"name": "bmc", "agent": "fence_x"}]}]
        await self.kube.create(NodeFencing, None, {"metadata": {"name": "dead"}, "spec": {"levels": levels}})
        vm = await self.kube.create(VirtualMachine, "ns", {"metadata": {"name": "web"}, "spec": {"template": {}}})
        await self.guest("web", VirtualMachine, vm["metadata"]["uid"])

    async def node(self, name):
        status = {"conditions": [{"type": "Ready", "status": "True" if name in self.living else "Unknown"}]}
        await self.kube.create(Node, None, {"metadata": {"name": name}, "spec": {}, "status": status})
        meta = {"name": lease_name(name), "labels": {LEASE_LABEL: name}}
        await self.kube.create(Lease, "hostler", {"metadata": meta, "spec": {"holderIdentity": self.boots[name]}})

    async def guest(self, name, kind, owner):
        spec, status = {"domain": {"devices": {}}}, {"phase": "Running", "nodeName": "dead"}
        body = {"metadata": {"name": name, "ownerReferences": [reference(kind, name, owner)]}, "spec": spec}
        vmi = await self.kube.create(VirtualMachineInstance, "ns", body | {"status": status})
        launcher = [reference(VirtualMachineInstance, name, vmi["metadata"]["uid"])]
        pod = {"metadata": {"name": f"launcher-{name}", "ownerReferences": launcher}, "spec": {"nodeName": "dead"}}
        await self.kube.create(Pod, "ns", pod)

    async def renew(self):
        while True:
            for name in self.living:
                spec = {"holderIdentity": self.boots[name], "renewTime": datetime.now(UTC).isoformat()}
                await self.kube.patch(Lease, "hostler", lease_name(name), {"spec": spec})
            await asyncio.sleep(0.03)

    @asynccontextmanager
    async def manager(self, mode="Enforce", pace=FAST):
        """A process of its own: what it knew is gone when it ends."""
        settings = FencingSettings(mode=mode, silent=0.4, check_every=60)
        task = asyncio.create_task(manage(self.kube, "me", settings, self.bmc, pace))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def until(self, *phases):
        async with asyncio.timeout(LIMIT):
            while self.phase not in phases:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    @property
    def operations(self):
        return [obj for (plural, _, _), obj in self.kube.objects.items() if plural == "fenceoperations"]

    @property
    def operation(self):
        found = self.operations
        assert len(found) <= 1, "one incident, one operation"
        return found[0] if found else {}

    @property
    def phases(self):
        return [each.get("status", {}).get("phase", "") for each in self.operations]

    @property
    def phase(self):
        return self.operation.get("status", {}).get("phase", "")

    def get(self, kind, namespace, name):
        return self.kube.objects.get((kind.plural, namespace, name))

    @property
    def tainted(self):
        return any(taint["key"] == OUT_OF_SERVICE for taint in self.get(Node, "", "dead")["spec"].get("taints", ()))


def reference(kind, name, uid):
    return {"apiVersion": "v1", "kind": kind.kind(), "name": name, "uid": uid, "controller": True}


@pytest.fixture
async def world(monkeypatch):
    monkeypatch.setattr(eyes, "EVERY", 0.03)
    monkeypatch.setattr(watch, "EVERY", 0.03)
    monkeypatch.setattr(driver, "AGAIN", 0.02)
    monkeypatch.setattr(driver, "SLICE", 0.02)
    made = World()
    await made.make()
    task = asyncio.create_task(made.renew())
    yield made
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def cleared(world):
    """All of it, once."""
    vmi = world.get(VirtualMachineInstance, "ns", "web")
    assert (vmi["status"]["phase"], vmi["status"]["reason"]) == ("Failed", "NodeFenced")
    epoch = int(vmi["metadata"]["annotations"][OWNER_EPOCH])
    assert epoch >= 1
    assert int(world.get(VirtualMachine, "ns", "web")["metadata"]["annotations"][OWNER_EPOCH]) == epoch
    assert world.get(Pod, "ns", "launcher-web") is None
    assert world.tainted
    status = world.operation["status"]
    assert status["proof"]["kind"] == "PowerOff"
    assert len(status["proof"]["readings"]) == 2
    assert [each["name"] for each in status["instances"]] == ["web"]


def untouched(world):
    vmi = world.get(VirtualMachineInstance, "ns", "web")
    assert vmi["status"]["phase"] == "Running"
    assert world.get(Pod, "ns", "launcher-web") is not None
    assert not world.tainted


async def test_from_silence_to_recovered(world):
    async with world.manager():
        await world.until("Recovered")
    cleared(world)
    passed = [each["phase"] for each in world.operation["status"]["transitions"]]
    assert passed == ["Confirming", "PoweringOff", "Verifying", "Fenced", "Recovering", "Recovered"]


@pytest.mark.parametrize("phase", ["Confirming", "PoweringOff", "Verifying", "Fenced", "Recovering"])
async def test_killed_at(world, phase):
    """Whatever was stored last, the next one goes on from there."""
    async with world.manager():
        await world.until(phase, "Recovered")
    async with world.manager():
        await world.until("Recovered")
    cleared(world)


@pytest.mark.parametrize("after", range(1, 40, 6))
async def test_killed_after_so_many_writes(world, after):
    """The process dies in the middle of whatever it does, again and again."""
    for count in (after, after + 1, after + 2):
        left = count

        def refuse(verb, kind, name):
            nonlocal left
            if verb in ("POST", "PATCH", "DELETE") and kind is not Lease:
                left -= 1

        world.kube.refuse = refuse
        async with world.manager():
            async with asyncio.timeout(LIMIT):
                while left > 0 and world.phase != "Recovered":  # noqa: ASYNC110
                    await asyncio.sleep(0)
    world.kube.refuse = lambda *_: None
    async with world.manager():
        await world.until("Recovered")
    cleared(world)


async def test_observe_does_nothing_but_tell(world):
    async with world.manager("Observe"):
        await world.until("Observed")
        await asyncio.sleep(0.5)
        assert world.phase == "Observed"
        untouched(world)
        assert "off" not in world.bmc.orders
        assert "run fence_x (bmc)" in world.operation["status"]["message"]
        said = {"by": "ada", "message": "I pulled the plug"}
        name = world.operation["metadata"]["name"]
        await world.kube.patch(FenceOperation, None, name, {"spec": {"acknowledgement": said}})
        await world.until("Recovered")
    assert world.operation["status"]["proof"]["by"] == "ada"
    assert world.tainted
    assert "off" not in world.bmc.orders


async def test_without_a_proof_nothing_is_touched(world):
    world.bmc.broken = "no"
    async with world.manager():
        await world.until("NeedsAck")
        assert world.operation["status"]["reason"] == "AuthenticationFailed"
        await asyncio.sleep(0.5)  # it is tried again and again
        untouched(world)
        world.bmc.broken = ""
        await world.until("Recovered")
    cleared(world)


async def test_a_node_that_comes_back_in_time(world):
    world.bmc.broken = "no"
    async with world.manager():
        await world.until("NeedsAck")
        world.living.add("dead")
        await world.until("Cancelled")
    untouched(world)


async def test_a_recovery_that_is_taken_up_again_knows_the_boot_first(world):
    """The leases take a while to be listed: not to know a node's boot is not to see a new one."""
    held = asyncio.Event()
    world.kube.slow = lambda verb, kind: held.wait() if verb == "DELETE" and kind is Pod else None
    async with world.manager():
        await world.until("Recovering")
    held.set()
    world.kube.slow = lambda verb, kind: asyncio.sleep(0.2) if verb == "LIST" and kind is Lease else None
    async with world.manager():
        await world.until("Recovered")
    cleared(world)


async def test_one_that_stays_off_is_not_in_the_way_of_others(world):
    for name in ("d", "e"):
        world.boots[name] = f"boot-{name}"
        world.living.add(name)
        await world.node(name)
    async with world.manager():
        await world.until("Recovered")
        world.living.remove("b")
        await world.kube.patch(Node, None, "b", {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})
        async with asyncio.timeout(LIMIT):
            while not any(op["spec"]["nodeName"] == "b" for op in world.operations):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert [op["spec"]["nodeName"] for op in world.operations] == ["dead", "b"]


async def test_a_device_that_is_mended_is_used(world):
    """Not only after the pause, which grows to minutes."""
    device = world.kube.objects.pop(("nodefencings", "", "dead"))
    async with world.manager(pace=replace(FAST, again=(3600,))):
        await world.until("NeedsAck")
        untouched(world)
        await world.kube.create(NodeFencing, None, {"metadata": {"name": "dead"}, "spec": device["spec"]})
        await world.until("Recovered")
    cleared(world)


async def test_a_word_is_heard_at_once_and_cut_to_what_can_be_kept(world):
    world.bmc.broken = "no"
    async with world.manager(pace=replace(FAST, again=(3600,))):
        await world.until("NeedsAck")
        said = {"by": "ada", "message": "x" * 1024}
        name = world.operation["metadata"]["name"]
        await world.kube.patch(FenceOperation, None, name, {"spec": {"acknowledgement": said}})
        await world.until("Recovered")
    assert len(world.operation["status"]["proof"]["message"]) == 1024


async def test_a_word_that_is_said_while_a_device_is_asked(world):
    """The pause afterwards is not waited for: nobody has looked since."""
    world.bmc.broken = "no"

    async def say():
        world.bmc.meanwhile = None
        said = {"by": "ada", "message": "I pulled the plug"}
        name = world.operation["metadata"]["name"]
        await world.kube.patch(FenceOperation, None, name, {"spec": {"acknowledgement": said}})

    world.bmc.meanwhile = say
    async with world.manager(pace=replace(FAST, again=(3600,))):
        await world.until("Recovered")
    assert world.operation["status"]["proof"]["kind"] == "Acknowledged"


async def test_enforced_after_it_was_observed(world):
    async with world.manager("Observe"):
        await world.until("Observed")
    async with world.manager():
        async with asyncio.timeout(LIMIT):
            while "Recovered" not in world.phases:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert sorted(world.phases) == ["Cancelled", "Recovered"]
    assert world.tainted


async def test_a_pod_that_its_finalizers_hold_is_not_waited_for(world):
    pod = world.get(Pod, "ns", "launcher-web")
    pod["metadata"]["finalizers"] = ["example.com/held"]
    async with world.manager():
        await world.until("Recovered")
    status = world.operation["status"]
    assert status["pods"] == 1
    assert status["message"] == "1 VMIs ended, 1 pods deleted; held by their finalizers: ns/launcher-web"


async def test_a_secret_that_cannot_be_read_ends_nothing(world):
    from hostler.runtime.errors import Unavailable

    levels = [{"devices": [{"name": "bmc", "agent": "fence_x", "secretRef": {"name": "bmc"}}]}]
    await world.kube.patch(NodeFencing, None, "dead", {"spec": {"levels": levels}})
    await world.kube.create(Secret, "hostler", {"metadata": {"name": "bmc"}, "data": {"password": "YQ=="}})
    refused = 0

    def refuse(verb, kind, name):
        nonlocal refused
        if verb == "GET" and kind is Secret and refused < 3:
            refused += 1
            raise Unavailable(503, "ServiceUnavailable", "one 503")

    world.kube.refuse = refuse
    async with world.manager():
        await world.until("Recovered")
    assert refused == 3


async def test_a_node_comes_back_though_its_operation_was_deleted(world):
    async with world.manager():
        await world.until("Recovered")
        await world.kube.delete(FenceOperation, None, world.operation["metadata"]["name"])
        await comes_back(world)
        async with asyncio.timeout(LIMIT):
            while world.tainted:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def comes_back(world):
    world.boots["dead"] = "boot-2"
    world.living.add("dead")
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    await world.kube.patch(Node, None, "dead", ready)


async def test_a_new_boot_rejoins(world):
    async with world.manager():
        await world.until("Recovered")
        assert world.tainted
        await comes_back(world)
        async with asyncio.timeout(LIMIT):
            while "rejoinedAt" not in world.operation["status"]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert not world.tainted


async def test_most_of_the_nodes_are_silent(world):
    world.living.clear()
    async with world.manager():
        await asyncio.sleep(1.0)
    assert world.operation == {}, "we are the lost ones"


async def test_an_api_server_that_is_away(world):
    """Nobody is fenced for what could not be heard."""
    from hostler.runtime.errors import Unavailable

    world.living.add("dead")
    away = Unavailable(0, "NoAnswer", "away")
    async with world.manager():
        await asyncio.sleep(0.3)

        def refuse(verb, kind, name):
            if verb == "LIST" and kind is Lease:
                raise away

        world.kube.refuse = refuse
        await asyncio.sleep(0.8)
        world.kube.refuse = lambda *_: None
        await asyncio.sleep(0.3)
    assert world.operation == {}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(None, "SecretNotFound", id="there is none"),
        pytest.param({"other": "eA=="}, "SecretEmpty", id="nothing of this node"),
        pytest.param({"n.password": "/w=="}, "SecretNotText", id="no text"),
        pytest.param({"n.password": "YQpiCg=="}, "BadParameter", id="two lines"),
        pytest.param({"n.password": "YQo="}, "", id="a newline at the end is nobody's password"),
    ],
)
async def test_credentials(data, reason):
    kube = FakeKube()
    if data is not None:
        await kube.create(Secret, "hostler", {"metadata": {"name": "bmc"}, "data": data})
    orders = []

    async def agent(order):
        stdin(order)
        orders.append(order)
        return Result(0, "", 0.0, "")

    asked = driver.Driver(kube, Store(), None, None, agent, FencingSettings(), FAST)
    device = FenceDevice(name="bmc", agent="fence_x", secret_ref=SecretReference(name="bmc", prefix="n."))
    result = await asked.ask(device, "off")
    assert result.reason == reason
    assert [dict(order.secrets) for order in orders] == ([] if reason else [{"password": "a"}])
