"""A caretaker against a real API server; its node is a stand-in, so that a test can end guests and lose answers."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime import kube
from hostler.runtime.errors import Retry, Unavailable
from hostler.runtime.events import Recorder
from hostler.runtime.kube import Api
from hostler.runtime.plan import Event
from hostler.runtime.protocol import Raw
from launcher.agent import caretaker
from launcher.agent.agent import Agent
from launcher.agent.caretaker import BURST, PACE, Caretaker
from launcher.agent.facts import Domain, Guest, GuestNic
from launcher.agent.hotplug import Attach
from launcher.agent.hypervisor import Hypervisor
from launcher.agent.network import Nic, Route, Uplink
from launcher.agent.places import Place
from launcher.agent.pods import LauncherPod
from launcher.agent.reporter import Reporter
from launcher.agent.worker import Worker
from tests.integration.apiserver import ApiServer, write_kubeconfig
from tests.unit.launcher.agent.standin import StandIn

NODE = "agents-node"
SOON = 60.0
QUIET = 1.0
ANY = IPv4Network("0.0.0.0/0")
UPLINK = Uplink(IPv4Interface("10.88.0.5/24"), "0a:58:0a:58:00:05", 1450, (Route(ANY, IPv4Address("10.88.0.1")),))
DOMAIN = launcher.domain_name


class Nothing:
    def close(self) -> None: ...


class Ground:
    """A node with one launcher pod, whose libvirtd is a stand-in."""

    def __init__(self) -> None:
        self.libvirt = StandIn()
        self.up = True
        self.connections = 0

    def find(self, uid: str) -> Place | None:
        return Place(*(os.open("/", os.O_PATH) for _ in range(4))) if self.up else None

    async def connect(self, place: Place, worker: Worker) -> Hypervisor:
        self.connections += 1
        self.libvirt.lost = False
        return self.libvirt

    def open_devices(self, place: Place, pod: LauncherPod) -> None: ...

    def disk(self, change: Attach) -> int | None:
        return os.open("/dev/null", os.O_RDWR) if change.pod == "pod-9" else None

    async def network(self, place: Place, nic: Nic) -> Uplink:
        return UPLINK

    async def dhcp(self, place: Place, vmi: VirtualMachineInstance, nic: Nic, pod: Uplink) -> Nothing:
        return Nothing()


class Scene:
    """One VMI with its pod, and whoever takes care of it."""

    def __init__(self, api: Api, manager: Api, namespace: str) -> None:
        self.api = api  # the agent's: with its rights, on its node
        self.manager = manager
        self.namespace = namespace
        self.ground = Ground()
        self.recorder = Recorder(api, "test", "test")
        self.vmi: Raw = {}
        self.pod: Raw = {}
        self.domain = DOMAIN(namespace, "web")

    async def set(self, spec: Raw | None = None, owner: Raw | None = None, status: Raw | None = None) -> None:
        """Create the VMI and the pod that the manager would."""
        meta = {"name": "web", "finalizers": [launcher.VMI_FINALIZER]}
        body = {"metadata": meta, "spec": vmi_spec() | (spec or {})}
        self.vmi = await self.manager.create(VirtualMachineInstance, self.namespace, body)
        if status:
            self.vmi = await self.manager.patch(VirtualMachineInstance, self.namespace, "web", {"status": status})
        pod = {
            "metadata": {
                "name": "virt-launcher-web-abcde",
                "labels": {launcher.APP_LABEL: launcher.APP_VALUE},
                "ownerReferences": [owner_of(self.vmi) | (owner or {})],
            },
            "spec": {"nodeName": NODE, "containers": [{"name": "compute", "image": "docker.io/hostler/launcher:1"}]},
        }
        self.pod = await self.manager.create(LauncherPod, self.namespace, pod)

    @asynccontextmanager
    async def cared(self) -> AsyncIterator[Caretaker]:
        pod = LauncherPod.model_validate(self.pod)
        made = Caretaker(Reporter(self.api, self.recorder, NODE, pod), self.ground)
        task = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def now(self) -> Raw:
        return await self.api.get(VirtualMachineInstance, self.namespace, "web")

    async def until(self, seen: Callable[[Raw], Any]) -> Raw:
        """The VMI, once it looks like this."""
        async with asyncio.timeout(SOON):
            while not seen(vmi := await self.now()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return vmi


@pytest.fixture(scope="module")
def node(hostler: ApiServer) -> None:
    answer = hostler.create("/api/v1/nodes", {"metadata": {"name": NODE}})
    assert answer.code == 201, answer.message


@pytest.fixture
async def scene(hostler: ApiServer, node: None, namespace: str, tmp_path: Path) -> AsyncIterator[Scene]:
    agent = await connect(hostler.account("hostler", "hostler-agent", NODE), tmp_path / "agent")
    manager = await connect(hostler.account("hostler", "hostler-manager"), tmp_path / "manager")
    yield Scene(agent, manager, namespace)
    await agent.close()
    await manager.close()


async def connect(server: ApiServer, file: Path) -> Api:
    return await kube.connect(str(write_kubeconfig(file, server.url, server.ca, server.token)), file.name)


def vmi_spec() -> Raw:
    devices = {
        "interfaces": [{"name": "default", "masquerade": {}}],
        "disks": [{"name": "root", "disk": {"bus": "virtio"}}],
    }
    return {
        "domain": {"memory": {"guest": "64Mi"}, "devices": devices},
        "networks": [{"name": "default", "pod": {}}],
        "volumes": [{"name": "root", "emptyDisk": {"capacity": "1Gi"}}],
    }


def owner_of(vmi: Raw) -> Raw:
    meta = vmi["metadata"]
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }


def runs(vmi: Raw) -> bool:
    return vmi.get("status", {}).get("phase") == "Running"


def condition(vmi: Raw, kind: str) -> Raw:
    found = [each for each in vmi.get("status", {}).get("conditions", []) if each["type"] == kind]
    return found[0] if found else {}


async def test_a_guest_is_started_and_reported_in_one_write(scene: Scene) -> None:
    await scene.set()
    async with scene.cared():
        vmi = await scene.until(runs)
        await asyncio.sleep(QUIET)
        assert (await scene.now())["metadata"]["resourceVersion"] == vmi["metadata"]["resourceVersion"]
    assert scene.ground.libvirt.started == [scene.domain]
    assert vmi["metadata"]["labels"][launcher.NODE_NAME] == NODE
    status = vmi["status"]
    assert (status["nodeName"], status["activePods"]) == (NODE, {scene.pod["metadata"]["uid"]: NODE})
    assert [each["phase"] for each in status["phaseTransitionTimestamps"]][-3:] == [
        "Scheduling",
        "Scheduled",
        "Running",
    ]
    (interface,) = status["interfaces"]
    assert (interface["name"], interface["ipAddress"], interface["infoSource"]) == ("default", "10.88.0.5", "domain")
    assert status["volumeStatus"] == [{"name": "root", "target": "vda"}]
    assert condition(vmi, "Ready")["status"] == "True"
    assert vmi["metadata"]["generation"] == scene.vmi["metadata"]["generation"] + 1, "one write, no more"


async def test_a_second_agent_takes_over_without_a_word(scene: Scene) -> None:
    await scene.set()
    async with scene.cared():
        before = await scene.until(runs)
    async with scene.cared():
        await asyncio.sleep(QUIET)
    assert scene.ground.connections == 2
    assert scene.ground.libvirt.started == [scene.domain]
    assert (await scene.now())["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_a_guest_that_ended_is_not_started_again(scene: Scene) -> None:
    await scene.set()
    async with scene.cared():
        await scene.until(runs)
        scene.ground.libvirt.end(scene.domain)
        await asyncio.sleep(QUIET)
    async with scene.cared():
        await asyncio.sleep(QUIET)
    assert scene.ground.libvirt.started == [scene.domain]


@pytest.mark.parametrize(
    ("owner", "status"),
    [
        pytest.param({"uid": "5a9fc181-957e-4c32-9e5a-2de5e9673531"}, None, id="a pod of an earlier VMI of that name"),
        pytest.param({"controller": False}, None, id="a pod that no VMI controls"),
        pytest.param({"apiVersion": "example.com/v1"}, None, id="a pod of somebody else's kind"),
        pytest.param(None, {"nodeName": "node-2"}, id="a VMI of another node"),
        pytest.param(None, {"activePods": {"x": "node-2"}}, id="a VMI in another pod"),
        pytest.param(None, {"phase": "Running"}, id="a VMI that ran already"),
        pytest.param(None, {"phase": "Failed"}, id="a VMI that has ended"),
    ],
)
async def test_what_is_not_started(scene: Scene, owner: Raw | None, status: Raw | None) -> None:
    await scene.set(owner=owner, status=status)
    before = await scene.now()
    async with scene.cared():
        await asyncio.sleep(QUIET)
    assert scene.ground.libvirt.started == []
    assert (await scene.now())["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_a_vmi_that_is_being_deleted_is_not_started(scene: Scene) -> None:
    await scene.set()
    await scene.manager.delete(VirtualMachineInstance, scene.namespace, "web")
    assert (await scene.now())["metadata"]["deletionTimestamp"], "the finalizer holds it"
    async with scene.cared():
        await asyncio.sleep(QUIET)
    assert scene.ground.libvirt.started == []


async def test_libvirtd_comes_late(scene: Scene) -> None:
    await scene.set()
    scene.ground.up = False
    async with scene.cared():
        await asyncio.sleep(0.2)
        scene.ground.up = True
        await scene.until(runs)


async def test_a_start_that_fails_is_told_and_tried_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.set()
    events: list[Event] = []
    monkeypatch.setattr(scene.recorder, "record", lambda _about, event: events.append(event))
    start, tries = scene.ground.libvirt.start, 0

    async def once_not(xml: str, *, paused: bool = False) -> Domain:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise Retry(2, "no space left on device")
        return await start(xml)

    monkeypatch.setattr(scene.ground.libvirt, "start", once_not)
    async with scene.cared():
        vmi = await scene.until(lambda vmi: condition(vmi, "Synchronized"))
        assert condition(vmi, "Synchronized")["message"] == "no space left on device"
        vmi = await scene.until(runs)
    assert not condition(vmi, "Synchronized")
    assert [(event.reason, event.note) for event in events] == [("SyncFailed", "no space left on device")]


async def test_a_lost_answer_is_not_a_second_start(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.set()
    start = scene.ground.libvirt.start

    async def silent(xml: str, *, paused: bool = False) -> Domain:
        await start(xml)
        raise Retry(1, "libvirtd did not answer within 120 s")

    monkeypatch.setattr(scene.ground.libvirt, "start", silent)
    async with scene.cared():
        await scene.until(runs)
    assert scene.ground.libvirt.started == [scene.domain]


async def test_a_broken_connection_is_made_anew(scene: Scene) -> None:
    await scene.set()
    async with scene.cared():
        before = await scene.until(runs)
        scene.ground.libvirt.lose()
        async with asyncio.timeout(SOON):
            while scene.ground.connections < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await asyncio.sleep(QUIET)
    assert scene.ground.libvirt.started == [scene.domain]
    assert (await scene.now())["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_the_guests_agent_is_heard_and_cut_short(scene: Scene) -> None:
    await scene.set()
    async with scene.cared():
        await scene.until(runs)
        guest = Guest("web", {"name": "Debian", "id": "debian"}, (GuestNic("eth1", "02:00:00:00:00:99", ("1.2.3.4",)),))
        scene.ground.libvirt.agent_comes(scene.domain, guest)
        vmi = await scene.until(lambda vmi: condition(vmi, "AgentConnected"))
        assert vmi["status"]["guestOSInfo"] == {"name": "Debian", "id": "debian"}
        extra = vmi["status"]["interfaces"][1]
        assert (extra["interfaceName"], extra["ipAddress"], extra["infoSource"]) == ("eth1", "1.2.3.4", "guest-agent")
        scene.ground.libvirt.agent_goes(scene.domain)
        vmi = await scene.until(lambda vmi: not condition(vmi, "AgentConnected"))
        assert not vmi["status"].get("guestOSInfo")
        assert len(vmi["status"]["interfaces"]) == 1


async def test_a_guest_that_is_never_quiet_costs_few_writes(scene: Scene) -> None:
    await scene.set()
    async with scene.cared():
        before = await scene.until(runs)
        begun = time.monotonic()
        for _ in range(100):
            scene.ground.libvirt.agent_comes(scene.domain, Guest("web"))
            await asyncio.sleep(0.03)
            scene.ground.libvirt.agent_goes(scene.domain)
            await asyncio.sleep(0.03)
    writes = (await scene.now())["metadata"]["generation"] - before["metadata"]["generation"]
    assert writes <= BURST + PACE * (time.monotonic() - begun) + 1 < 100


async def test_a_guest_is_served_while_the_api_server_is_away(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caretaker, "AGAIN", 0.1)
    await scene.set()
    patch = scene.api.patch
    away = True

    async def refused(*arguments: Any) -> Raw:
        if away:
            raise Unavailable(0, "NoAnswer", "connection refused")
        return await patch(*arguments)

    monkeypatch.setattr(scene.api, "patch", refused)
    async with scene.cared():
        async with asyncio.timeout(SOON):
            while not scene.ground.libvirt.started:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await asyncio.sleep(QUIET)
        assert scene.ground.libvirt.started == [scene.domain]
        away = False
        await scene.until(runs)
    assert scene.ground.connections == 1


async def test_what_others_write_meanwhile_is_kept(scene: Scene) -> None:
    await scene.set()
    async with scene.cared():
        await scene.until(runs)
        theirs = {"type": "Theirs", "status": "True"}
        ready = {"type": "Ready", "status": "False", "reason": "PodTerminating"}
        patch = {"status": {"conditions": [theirs, ready]}}
        await scene.manager.patch(VirtualMachineInstance, scene.namespace, "web", patch)
        scene.ground.libvirt.agent_comes(scene.domain, Guest("web", {"id": "debian"}))
        vmi = await scene.until(lambda vmi: condition(vmi, "AgentConnected"))
    assert condition(vmi, "Theirs")["status"] == "True"
    assert condition(vmi, "Ready")["reason"] == "PodTerminating"


async def test_a_guest_that_is_paused_and_resumed(scene: Scene) -> None:
    await scene.set()
    async with scene.cared():
        await scene.until(runs)
        scene.ground.libvirt.pause(scene.domain, True)
        vmi = await scene.until(lambda vmi: condition(vmi, "Paused"))
        assert condition(vmi, "Ready")["reason"] == "GuestNotRunning"
        scene.ground.libvirt.pause(scene.domain, False)
        vmi = await scene.until(lambda vmi: condition(vmi, "Ready")["status"] == "True")
        assert not condition(vmi, "Paused")


async def test_a_pod_that_goes_takes_its_caretaker_along(scene: Scene) -> None:
    await scene.set()
    agent = Agent(scene.api, scene.ground, scene.recorder, NODE)
    pod = LauncherPod.model_validate(scene.pod)
    agent.heard(LauncherPod, None, pod)
    await scene.until(runs)
    agent.heard(LauncherPod, pod, None)
    await asyncio.sleep(QUIET)
    scene.ground.libvirt.end(scene.domain)
    agent.heard(LauncherPod, None, pod)
    await asyncio.sleep(QUIET)
    await agent.close()
    assert scene.ground.libvirt.started == [scene.domain]


GROWS = {"domain": vmi_spec()["domain"] | {"memory": {"guest": "64Mi", "maxGuest": "256Mi"}, "cpu": {"maxSockets": 4}}}


async def said(scene: Scene, caretaker: Caretaker, change: Raw) -> None:
    """What the manager writes, and the agent's watch brings."""
    new = await scene.manager.patch(VirtualMachineInstance, scene.namespace, "web", change)
    caretaker.saw_vmi(VirtualMachineInstance.model_validate(new))


async def test_a_guest_grows_when_the_manager_grants_it(scene: Scene) -> None:
    await scene.set(GROWS)
    async with scene.cared() as caretaker:
        vmi = await scene.until(runs)
        assert vmi["status"]["memory"] == dict.fromkeys(("guestAtBoot", "guestCurrent", "guestRequested"), "64Mi")
        granted = {"type": "HotVCPUChange", "status": "True"}
        status = {"memory": {"guestRequested": "128Mi"}, "conditions": [*vmi["status"]["conditions"], granted]}
        change = {"spec": {"domain": {"cpu": {"sockets": 2}, "memory": {"guest": "128Mi"}}}, "status": status}
        await said(scene, caretaker, change)
        vmi = await scene.until(lambda vmi: vmi["status"]["memory"]["guestCurrent"] == "128Mi")
        vmi = await scene.until(lambda vmi: vmi["status"]["currentCPUTopology"]["sockets"] == 2)
    assert vmi["status"]["memory"]["guestAtBoot"] == "64Mi"


async def test_a_disk_comes_and_goes(scene: Scene) -> None:
    await scene.set()
    async with scene.cared() as caretaker:
        vmi = await scene.until(runs)
        data = {"name": "data", "persistentVolumeClaim": {"claimName": "data", "hotpluggable": True}}
        disks = [*vmi["spec"]["domain"]["devices"]["disks"], {"name": "data", "disk": {"bus": "scsi"}}]
        spec = {"volumes": [*vmi["spec"]["volumes"], data], "domain": {"devices": {"disks": disks}}}
        holder = {"attachPodName": "hp-volume-x", "attachPodUID": "pod-9"}
        entry = {"name": "data", "target": "", "phase": "AttachedToNode", "hotplugVolume": holder}
        status = {"volumeStatus": [*vmi["status"]["volumeStatus"], entry]}
        await said(scene, caretaker, {"spec": spec, "status": status})
        seen = await scene.until(lambda vmi: phase_of(vmi, "data") == "Ready")
        assert seen["status"]["volumeStatus"][1]["target"] == "sda"
        gone = {"volumes": vmi["spec"]["volumes"], "domain": {"devices": {"disks": disks[:1]}}}
        await said(scene, caretaker, {"spec": gone})
        await scene.until(lambda vmi: phase_of(vmi, "data") == "UnMountedFromPod")
    assert [str(each) for each in scene.ground.libvirt.changes] == ["disk data", "no disk data"]


def phase_of(vmi: Raw, volume: str) -> str:
    return next((each.get("phase", "") for each in vmi["status"]["volumeStatus"] if each["name"] == volume), "")


async def test_a_change_that_fails_is_told_and_the_guest_runs_on(scene: Scene) -> None:
    await scene.set(GROWS)
    async with scene.cared() as caretaker:
        vmi = await scene.until(runs)
        scene.ground.libvirt.refuses = "no room"
        status = {"conditions": [*vmi["status"]["conditions"], {"type": "HotVCPUChange", "status": "True"}]}
        change = {"spec": {"domain": {"cpu": {"sockets": 2}}}, "status": status}
        await said(scene, caretaker, change)
        await asyncio.sleep(QUIET)
        assert runs(await scene.now())
        scene.ground.libvirt.refuses = ""
        await scene.until(lambda vmi: vmi["status"]["currentCPUTopology"]["sockets"] == 2)


async def test_a_guest_starts_paused(scene: Scene) -> None:
    await scene.set({"startStrategy": "Paused"})
    async with scene.cared():
        await scene.until(lambda vmi: condition(vmi, "Paused").get("status") == "True")
