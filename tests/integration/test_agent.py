"""The whole agent with real launcher pods on this host: PID 1, libvirtd and QEMU in a pod's network namespace.

Only the kubelet is missing: the pod's directory, its cgroup and its device node are made by the test.
"""

import asyncio
import os
import signal
import stat
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime import kube
from hostler.runtime.kube import Api
from hostler.runtime.protocol import Raw
from launcher.agent import agent
from launcher.agent.pods import LauncherPod
from launcher.agent.settings import AgentSettings
from tests.integration import launcher_pod, pod_network
from tests.integration.apiserver import ApiServer, write_kubeconfig
from tests.integration.pod_network import POD, inside, run

MISSING = launcher_pod.missing() or pod_network.missing()
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

NODE = "whole-agents-node"
SOON = 90.0
QUIET = 1.5


class Host:
    """One node with one launcher pod; the agent is started and stopped by the test."""

    def __init__(self, agents: Path, manager: Api, namespace: str, folder: Path) -> None:
        self.agents = agents
        self.manager = manager
        self.namespace = namespace
        self.kubelet = folder / "kubelet"
        self.vmi: Raw = {}
        self.launcher: launcher_pod.Pod

    async def create(self) -> None:
        """The VMI, and the pod that the manager would make for it."""
        meta = {"name": "web", "finalizers": [launcher.VMI_FINALIZER]}
        self.vmi = await self.manager.create(
            VirtualMachineInstance, self.namespace, {"metadata": meta, "spec": vmi_spec()}
        )
        owner = {
            "apiVersion": "kubevirt.io/v1",
            "kind": "VirtualMachineInstance",
            "name": "web",
            "uid": self.vmi["metadata"]["uid"],
            "controller": True,
        }
        meta = {
            "name": "virt-launcher-web-abcde",
            "labels": {launcher.APP_LABEL: launcher.APP_VALUE},
            "ownerReferences": [owner],
        }
        containers = [{"name": "compute", "image": "docker.io/hostler/hostler-launcher:1"}]
        body = {"metadata": meta, "spec": {"nodeName": NODE, "containers": containers}}
        self.pod = await self.manager.create(LauncherPod, self.namespace, body)

    @contextmanager
    def launched(self) -> Iterator[None]:
        """What the kubelet does for the pod."""
        uid = self.pod["metadata"]["uid"]
        vmi = VirtualMachineInstance.model_validate(self.vmi)
        domain = launcher.domain_name(self.namespace, "web")
        request = launcher.Prepare(domain=domain, grace_seconds=5)
        volume = self.kubelet / "pods" / uid / "volumes/kubernetes.io~empty-dir/private"
        volume.mkdir(parents=True)
        with ExitStack() as held:
            group = Cgroup(f"pod{uid}")
            held.callback(group.remove)
            with inside(POD), group.births():
                self.launcher = held.enter_context(launcher_pod.pod(vmi, request, {}))
            held.callback(self.kill)
            tun = self.launcher.folder / "dev/net/tun"
            tun.parent.mkdir()
            os.mknod(tun, stat.S_IFCHR | 0o600, os.makedev(10, 200))
            run("mount", "--bind", str(self.launcher.private), str(volume))
            held.callback(lambda: run("umount", str(volume)))
            yield

    def kill(self) -> None:
        """All of the pod's processes: those of a namespace end with the first."""
        for pid in launcher_pod.children(self.launcher.process.pid):
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(pid, signal.SIGKILL)

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[None]:
        settings = AgentSettings(
            node_name=NODE, kubelet_dir=self.kubelet, state_dir=self.kubelet, kubeconfig=str(self.agents)
        )
        api = await kube.connect(str(self.agents), "agent")
        task = asyncio.create_task(agent.run(api, "test", settings))
        try:
            yield
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await api.close()

    async def now(self) -> Raw:
        return await self.manager.get(VirtualMachineInstance, self.namespace, "web")

    async def until(self, seen: Callable[[Raw], Any]) -> Raw:
        async with asyncio.timeout(SOON):
            while not seen(vmi := await self.now()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return vmi

    @property
    def qemu(self) -> list[int]:
        return self.launcher.pids("qemu-system")


class Cgroup:
    """A cgroup of this name, in any hierarchy that there is."""

    def __init__(self, name: str) -> None:
        old = Path("/sys/fs/cgroup/pids")
        self._root = old if old.exists() else Path("/sys/fs/cgroup")
        self._path = self._root / name
        self._path.mkdir()

    @contextmanager
    def births(self) -> Iterator[None]:
        """Processes born meanwhile are in it."""
        ours = Path("/proc/self/cgroup").read_text().splitlines()
        home = next(line for line in ours if line.split(":")[1] in (self._root.name, ""))
        (self._path / "cgroup.procs").write_text(str(os.getpid()))
        try:
            yield
        finally:
            (self._root / home.split(":")[2].lstrip("/") / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self) -> None:
        """The last process of a killed pod takes a moment to go."""
        deadline = time.monotonic() + SOON
        while (self._path / "cgroup.procs").read_text() and time.monotonic() < deadline:
            time.sleep(0.02)
        self._path.rmdir()


def vmi_spec() -> Raw:
    devices = {
        "interfaces": [{"name": "default", "masquerade": {}}],
        "autoattachGraphicsDevice": False,
    }
    return {
        "domain": {"memory": {"guest": "32Mi"}, "devices": devices},
        "networks": [{"name": "default", "pod": {}}],
    }


USED = {
    "cpu_usage_seconds_total": {},
    "memory_resident_bytes": {},
    "memory_domain_bytes": {},
    "vcpu_seconds_total": {"id": "0", "state": "running"},
    "network_transmit_bytes_total": {"interface": "tap0"},
}


async def scraped(name: str, labels: dict[str, str]) -> float | None:
    """As Prometheus would, in another thread."""
    return await asyncio.to_thread(REGISTRY.get_sample_value, name, labels)


def runs(vmi: Raw) -> bool:
    return bool(vmi.get("status", {}).get("phase") == "Running")


@pytest.fixture(scope="module")
def node(hostler: ApiServer) -> None:
    answer = hostler.create("/api/v1/nodes", {"metadata": {"name": NODE}})
    assert answer.code == 201, answer.message


def login(account: ApiServer, file: Path) -> Path:
    return write_kubeconfig(file, account.url, account.ca, account.token)


@pytest.fixture
async def host(hostler: ApiServer, node: None, namespace: str, tmp_path: Path) -> AsyncIterator[Host]:
    agents = login(hostler.account("hostler", "hostler-agent", NODE), tmp_path / "agent")
    managers = login(hostler.account("hostler", "hostler-manager"), tmp_path / "manager")
    manager = await kube.connect(str(managers), "manager")
    with pod_network.world(tmp_path):
        made = Host(agents, manager, namespace, tmp_path)
        await made.create()
        with made.launched():
            yield made
    await manager.close()


async def test_a_guest_runs_and_is_left_alone_by_the_next_agent(host: Host, hostler: ApiServer) -> None:
    async with host.agent():
        vmi = await host.until(runs)
        qemu = host.qemu
        assert len(qemu) == 1
    assert vmi["status"]["interfaces"][0]["ipAddress"] == "10.88.0.5"
    assert vmi["status"]["machine"]["type"].startswith("pc-q35")
    assert {each["type"] for each in vmi["status"]["conditions"]} == {"Ready", "SoftwareEmulation"}
    assert host.launcher.virsh("domiflist", launcher.domain_name(host.namespace, "web")).split()[0] == "tap0"
    async with host.agent():
        await asyncio.sleep(QUIET)
        assert host.qemu == qemu
        await told(hostler)
        labels = {"node": NODE, "namespace": host.namespace, "name": "web"}
        used = {name: await scraped(f"kubevirt_vmi_{name}", labels | more) for name, more in USED.items()}
        assert used.pop("network_transmit_bytes_total") is not None, "it has no system that would send"
        assert all(value is not None and value > 0 for value in used.values()), used
    assert (await host.now())["metadata"]["resourceVersion"] == vmi["metadata"]["resourceVersion"]


async def told(hostler: ApiServer) -> None:
    """The node says that guests may come, once the agent has found out what it can do."""

    def said() -> bool:
        meta = hostler.get(f"/api/v1/nodes/{NODE}").body["metadata"]
        schedulable = meta.get("labels", {}).get(launcher.SCHEDULABLE) == "true"
        return schedulable and bool(meta.get("annotations", {}).get(launcher.HEARTBEAT))

    async with asyncio.timeout(SOON):
        while not await asyncio.to_thread(said):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_a_guest_survives_its_libvirtd(host: Host) -> None:
    async with host.agent():
        vmi = await host.until(runs)
        qemu = host.qemu
        (libvirtd,) = host.launcher.pids("libvirtd")
        os.kill(libvirtd, signal.SIGKILL)
        async with asyncio.timeout(SOON):
            while host.launcher.pids("libvirtd") in ([], [libvirtd]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await asyncio.sleep(QUIET)
        assert host.qemu == qemu
        await asyncio.to_thread(host.launcher.wait_for_libvirt)
        host.launcher.virsh("suspend", launcher.domain_name(host.namespace, "web"))
        await host.until(lambda vmi: {"Paused"} <= {each["type"] for each in vmi["status"]["conditions"]})
    assert (await host.now())["metadata"]["generation"] == vmi["metadata"]["generation"] + 1


async def test_a_guest_that_ended_ends_its_pod_and_is_not_started_again(host: Host) -> None:
    async with host.agent():
        await host.until(runs)
        os.kill(host.qemu[0], signal.SIGKILL)
        code, reason = await asyncio.to_thread(host.launcher.end)
        await asyncio.sleep(QUIET)
    assert (code, reason) == (1, "Crashed")


async def test_the_process_ends_when_told_and_leaves_its_guest(host: Host) -> None:
    told = {"NODE_NAME": NODE, "KUBELET_DIR": host.kubelet, "STATE_DIR": host.kubelet, "KUBECONFIG": host.agents}
    ports = {"PROBE_PORT": 0, "METRICS_PORT": 0}
    environment = os.environ | {f"HOSTLER_{name}": str(value) for name, value in (told | ports).items()}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "launcher.agent", env=environment)
    try:
        await host.until(runs)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), SOON) == 0
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    assert len(host.qemu) == 1


async def test_a_symbolic_link_is_not_followed(host: Host) -> None:
    """A tenant who puts a link in the socket's place reaches nobody else's socket."""
    await asyncio.to_thread(host.launcher.wait_for_libvirt)
    sock = host.launcher.private / "libvirt/libvirt-sock"
    sock.rename(sock.with_name("elsewhere"))
    sock.symlink_to("elsewhere")
    async with host.agent():
        await asyncio.sleep(QUIET)
    assert host.qemu == []
    assert not runs(await host.now())
