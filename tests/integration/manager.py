"""The manager as a process, with the rights of its service account; and a stand-in for kubelets and node agents."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from controllers.catalog import controllers
from controllers.settings import ManagerSettings
from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet
from hostler.api.objects import Event, Pod
from hostler.runtime.errors import ApiError
from hostler.runtime.kube import Api, connect
from hostler.runtime.manager import manage
from hostler.runtime.protocol import Kind, Raw
from tests.integration.apiserver import ApiServer, free_ports, write_kubeconfig

SOON = 90.0  # seconds, on a machine that does much else


class Manager:
    """One process of `python -m controllers`."""

    def __init__(self, account: ApiServer, folder: Path, identity: str, *options: str) -> None:
        self.log = folder / f"{identity}.log"
        self.probes, self.metrics_port = free_ports(2)
        kubeconfig = write_kubeconfig(folder / f"{identity}.kubeconfig", account.url, account.ca, account.token)
        self._command = [
            *(sys.executable, "-m", "controllers", "--kubeconfig", str(kubeconfig), "--identity", identity),
            *("--probe-port", str(self.probes), "--metrics-port", str(self.metrics_port), "--use-emulation"),
            *options,
        ]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, env=dict(os.environ))

    def stop(self, how: signal.Signals = signal.SIGTERM, patience: float = 60) -> int:
        """Its exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(patience)

    def read(self, path: str, port: int) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return str(answer.read().decode())

    def healthy(self) -> bool:
        with suppress(OSError):
            return "age" in self.read("/healthz", self.probes)
        return False

    def writes(self) -> dict[str, int]:
        """Writes that the API server took, by verb and resource; Leases aside."""
        totals: dict[str, int] = {}
        for line in self.read("/metrics", self.metrics_port).splitlines():
            if not line.startswith("hostler_api_requests_total{"):
                continue
            labels, value = line.split("{")[1].split("} ")
            words = dict(part.split("=") for part in labels.replace('"', "").split(","))
            if words["verb"] in ("POST", "PATCH", "DELETE") and words["resource"] != "leases" and words["code"] < "300":
                totals[f"{words['verb']} {words['resource']}"] = int(float(value))
        return totals

    def decided(self, namespace: str) -> list[str]:
        """What its log says that it wrote in a namespace, events aside; it also looks after what other tests left."""
        marks = (f"namespace={namespace}", f"object={namespace}/")
        lines = self.log.read_text().splitlines()
        return [line for line in lines if "runtime.apply" in line and any(mark in line for mark in marks)]

    @contextmanager
    def running(self) -> Iterator["Manager"]:
        self.start()
        try:
            deadline = time.monotonic() + SOON
            while not self.healthy():
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.1)
            yield self
        finally:
            if self.process is not None and self.process.poll() is None:
                self.stop(signal.SIGKILL)


class Place:
    """One namespace, as its user sees it; its nodes do as the test says."""

    def __init__(self, user: Api, agent: Api, namespace: str) -> None:
        self.user, self.agent, self.namespace = user, agent, namespace
        self.nodes_run = True

    async def create(self, kind: Kind, name: str, spec: Raw, **meta: Any) -> Raw:
        return await self.user.create(kind, self.namespace, {"metadata": {"name": name, **meta}, "spec": spec})

    async def all(self, kind: Kind) -> list[Raw]:
        items, _ = await self.user.list(kind, self.namespace)
        return sorted(items, key=lambda item: str(item["metadata"]["name"]))

    async def names(self, kind: Kind) -> list[str]:
        return [item["metadata"]["name"] for item in await self.all(kind)]

    async def get(self, kind: Kind, name: str) -> Raw:
        return await self.user.get(kind, self.namespace, name)

    async def delete(self, kind: Kind, name: str, propagation: str | None = None) -> None:
        await self.user.delete(kind, self.namespace, name, propagation=propagation)

    async def scale(self, name: str, replicas: int) -> None:
        patch = {"spec": {"replicas": replicas}}
        await self.user.patch(VirtualMachineInstanceReplicaSet, self.namespace, name, patch, "scale")

    async def until(self, what: str, true: Callable[[], Any]) -> None:
        """Wait until an async check is true."""
        try:
            async with asyncio.timeout(SOON):
                while not await true():  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"never: {what}") from None

    async def phases(self) -> list[str]:
        return [vmi.get("status", {}).get("phase", "") for vmi in await self.all(VirtualMachineInstance)]

    async def all_run(self, count: int) -> bool:
        return await self.phases() == ["Running"] * count

    async def condition(self, kind: Kind, name: str, wanted: str) -> Raw | None:
        found = (await self.get(kind, name)).get("status", {}).get("conditions", [])
        return next((each for each in found if each["type"] == wanted), None)

    async def events(self, kind: Kind) -> list[tuple[str, str]]:
        """(reason, note) of the events about objects of a kind."""
        items, _ = await self.user.list(Event, self.namespace)
        return [(each["reason"], each["note"]) for each in items if each["regarding"]["kind"] == kind.kind()]

    async def nodes(self) -> None:
        """Kubelets and agents: every pod that waits runs soon, and so does its guest."""
        while True:
            for pod in await self.all(Pod) if self.nodes_run else []:
                if pod["status"]["phase"] == "Pending" and not pod["metadata"].get("deletionTimestamp"):
                    with suppress(ApiError):  # it may have gone meanwhile
                        await self.run(pod)
            await asyncio.sleep(0.1)

    async def run(self, pod: Raw) -> None:
        await self.set_pod(pod, "Running", {"running": {}}, ready=True)
        name = pod["metadata"]["annotations"][launcher.DOMAIN]
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": pod["metadata"]["creationTimestamp"]}
        passed = {"phase": "Running", "phaseTransitionTimestamp": pod["metadata"]["creationTimestamp"]}
        status = {"phase": "Running", "phaseTransitionTimestamps": [passed], "conditions": [ready]}
        await self.agent.patch(VirtualMachineInstance, self.namespace, name, {"status": status})

    async def end(self, pod: Raw, exit_code: int, said: str = "") -> None:
        """The guest, and the pod with it."""
        phase = "Failed" if exit_code else "Succeeded"
        await self.set_pod(pod, phase, {"terminated": {"exitCode": exit_code, "message": said}}, ready=False)

    async def set_pod(self, pod: Raw, phase: str, state: Raw, *, ready: bool) -> None:
        image = pod["spec"]["containers"][0]["image"]
        compute = {
            "name": launcher.COMPUTE,
            "ready": ready,
            "state": state,
            "image": image,
            "imageID": "x",
            "restartCount": 0,
        }
        conditions = [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": str(ready)},
        ]
        status = {"phase": phase, "containerStatuses": [compute | {"restartCount": 0}], "conditions": conditions}
        await self.user.patch(Pod, self.namespace, pod["metadata"]["name"], {"status": status}, "status")


@asynccontextmanager
async def managed(hostler: ApiServer, namespace: str, folder: Path, home: str | None = None) -> AsyncIterator[Place]:
    """A namespace with a manager, in this process, that runs with its service account's rights, and nodes."""
    account = hostler.account("hostler", "hostler-manager")
    kubeconfig = write_kubeconfig(folder / "manager", account.url, account.ca, account.token)
    user, agent = await connect(str(hostler.kubeconfig), "test"), await connect(str(kubeconfig), "test-manager")
    place = Place(user, agent, namespace)
    manager = manage(agent, controllers(ManagerSettings(use_emulation=True)), "test", "test", home=home)
    tasks = [asyncio.create_task(manager), asyncio.create_task(place.nodes())]
    yield place
    assert not any(each.done() for each in tasks)
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await user.close()
    await agent.close()
