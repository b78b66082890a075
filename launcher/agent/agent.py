"""The node's agent: a caretaker for each launcher pod, the node's heartbeat, its devices."""

import asyncio
from collections.abc import Callable

from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import Resource
from hostler.runtime.agents import PORT, Agents
from hostler.runtime.errors import Conflict
from hostler.runtime.events import Recorder
from hostler.runtime.protocol import Kind, Kube, Raw
from hostler.runtime.reflector import Reflector
from hostler.runtime.store import Store
from hostler.runtime.tls import Credentials
from launcher.agent import deviceplugin, domainstats, heartbeat, kvm, metrics, nodelease, readiness, routes, server
from launcher.agent.caretaker import Caretaker
from launcher.agent.ground import Ground, Node
from launcher.agent.guests import Running
from launcher.agent.migration.peers import OtherAgents, topic
from launcher.agent.migration.tunnel import Inbox
from launcher.agent.migration.ways import Ways
from launcher.agent.pods import LauncherPod
from launcher.agent.reporter import Reporter, read
from launcher.agent.settings import AgentSettings


class Passing:
    """Where the VMIs' reflectors put what they see. Nothing is kept: a VMI leaves a node, and may come back."""

    def __init__(self, heard: Callable[[Kind, Resource | None, Resource | None], None]) -> None:
        self._heard = heard

    def observe(self, kind: Kind, raw: Raw) -> None:
        self._heard(kind, None, read(raw))

    def forget(self, kind: Kind, raw: Raw) -> None: ...

    def prune(self, kind: Kind, uids: set[str], version: str) -> None: ...


class Agent:
    """Listens to a store of this node's launcher pods and VMIs, and keeps a caretaker for each pod."""

    def __init__(self, kube: Kube, ground: Ground, recorder: Recorder, node: str, ways: Ways | None = None) -> None:
        self._ways = ways or Ways()
        self._kube = kube
        self._ground = ground
        self._recorder = recorder
        self._node = node
        self._tasks: dict[str, tuple[Caretaker, asyncio.Task[None]]] = {}

    def heard(self, _kind: Kind, old: Resource | None, new: Resource | None) -> None:
        """Something changed."""
        if isinstance(new, VirtualMachineInstance):
            for caretaker, _ in self._tasks.values():
                caretaker.saw_vmi(new)
        elif isinstance(new, LauncherPod) and not new.over:
            if old is not None and old.metadata.uid != new.metadata.uid:
                self._dismiss(old)
            self._attend(new)
        elif isinstance(old, LauncherPod):
            self._dismiss(old)

    def find(self, uid: str) -> Running | None:
        """The guest of the VMI with this UID, if it runs here; of two pods, the one that has a guest.

        Conflict while it is on its way: nobody is to pause it, and libvirt is asked for nothing else meanwhile.
        """
        owned = [caretaker for caretaker, _ in self._tasks.values() if controller(caretaker.pod) == uid]
        guest = next((caretaker.guest for caretaker in owned if caretaker.guest), None)
        if guest is None and any(caretaker.leaving for caretaker in owned):
            raise Conflict(409, "Conflict", "the guest is being migrated: try again when it has come to its new node")
        return guest

    def running(self) -> list[Running]:
        """All guests."""
        return [caretaker.guest for caretaker, _ in self._tasks.values() if caretaker.guest]

    async def close(self) -> None:
        """Leave the guests to themselves."""
        tasks = [task for _, task in self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _attend(self, pod: LauncherPod) -> None:
        known = self._tasks.get(pod.metadata.uid)
        if known is not None:
            known[0].saw_pod(pod)
            return
        reporter = Reporter(self._kube, self._recorder, self._node, pod)
        caretaker = Caretaker(reporter, self._ground, self._ways)
        task = asyncio.create_task(caretaker.run(), name=pod.metadata.name)
        self._tasks[pod.metadata.uid] = caretaker, task
        metrics.LAUNCHERS.set(len(self._tasks))

    def _dismiss(self, pod: Resource) -> None:
        known = self._tasks.pop(pod.metadata.uid, None)
        if known is not None:
            known[1].cancel()
            metrics.LAUNCHERS.set(len(self._tasks))


def controller(pod: LauncherPod) -> str:
    """UID of the VMI that the pod says it is of; whether that is true was looked at before its guest was started."""
    owner = pod.metadata.controller
    return owner.uid if owner else ""


async def run(kube: Kube, identity: str, settings: AgentSettings) -> None:
    """Until cancelled, or until one of the parts ends, which none may."""
    recorder = Recorder(kube, "hostler-agent", identity)
    credentials = Credentials(kube, settings.namespace, "agent", mutual=True)
    others = Agents(kube, credentials, settings.port or PORT)
    ways = Ways(OtherAgents(others) if settings.port else None, Inbox(), settings.address)
    agent = Agent(kube, Node(settings.pods), recorder, settings.node_name, ways)
    store = Store()
    store.subscribe(agent.heard)
    selected = f"{launcher.APP_LABEL}={launcher.APP_VALUE}"
    pods = Reflector(kube, LauncherPod, store, labels=selected, fields=f"spec.nodeName={settings.node_name}")
    passing = Passing(agent.heard)
    vmis = Reflector(kube, VirtualMachineInstance, passing, labels=f"{launcher.NODE_NAME}={settings.node_name}")
    coming = Reflector(kube, VirtualMachineInstance, passing, labels=f"{launcher.TARGET_NODE}={settings.node_name}")
    try:
        async with asyncio.TaskGroup() as parts:
            parts.create_task(pods.run(), name="pods")
            parts.create_task(vmis.run(), name="vmis")
            parts.create_task(coming.run(), name="vmis that come")
            parts.create_task(recorder.run(), name="events")
            parts.create_task(domainstats.show(settings.node_name, agent.running), name="figures")
            parts.create_task(heartbeat.beat(kube, settings.node_name), name="node")
            if settings.port:
                parts.create_task(listen(agent, credentials, ways.inbox, settings.port), name="server")
            if settings.node_lease:
                boot = nodelease.boot_id(settings.boot_id_file)
                lease = nodelease.keep(kube, settings.namespace, settings.node_name, boot)
                parts.create_task(lease, name="node lease")
            for plugin in plugins(settings):
                parts.create_task(plugin.run(), name="device plugin")
            ready = readiness.announce(kube, settings.node_name, (pods, vmis), settings.state_dir)
            parts.create_task(ready, name="readiness")
    finally:
        await agent.close()
        await others.close()


async def listen(agent: Agent, credentials: Credentials, inbox: Inbox, port: int) -> None:
    """Answer our other processes as soon as this one has a certificate."""
    await credentials.load()
    runner = await server.serve(agent, credentials, (*routes.TOPICS, topic(inbox)), port)
    try:
        await credentials.keep()
    finally:
        await runner.cleanup()


def plugins(settings: AgentSettings) -> list[deviceplugin.Plugin]:
    async def kvm_works() -> bool:
        return await kvm.proven(settings.state_dir)

    folder = settings.device_plugins
    return [
        deviceplugin.Plugin(folder, deviceplugin.KVM, kvm_works),
        deviceplugin.Plugin(folder, deviceplugin.TUN, deviceplugin.always),
        deviceplugin.Plugin(folder, deviceplugin.VHOST_NET, deviceplugin.always),
    ]
