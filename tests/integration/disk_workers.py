"""The controller of disks as a process; a kubelet that runs its worker pods as processes of this host; Redis."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis

from hostler.api.cdi import DataVolume
from hostler.api.objects import Event, PersistentVolumeClaim, Pod
from hostler.runtime.conditions import stamp
from hostler.runtime.errors import ApiError, NotFound
from hostler.runtime.kube import Api
from hostler.runtime.protocol import Raw
from tests.integration.apiserver import ApiServer, free_ports, write_kubeconfig

PASSWORD = "broker-secret"
LABEL = "kubevirt.io=hostler-disk-worker"


class Redis:
    """A real Redis with a password and no memory, as the chart runs it."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self._folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> "redis.Redis[Any]":
        return redis.Redis(port=self.port, password=PASSWORD)

    def start(self) -> None:
        options = f"requirepass {PASSWORD}\nbind 127.0.0.1\nport {self.port}\nsave ''\ndir {self._folder}\n"
        self.process = subprocess.Popen(["redis-server", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert self.process.stdin is not None
        self.process.stdin.write(options.encode())
        self.process.stdin.close()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(redis.RedisError), self.client() as client:
                client.ping()
                return
            time.sleep(0.05)
        raise AssertionError("Redis did not start")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


class Dispatcher:
    """One process of `python -m v2v`, with the rights of its service account."""

    def __init__(self, account: ApiServer, broker: Redis, folder: Path, certificate: str) -> None:
        self.log = folder / "dispatcher.log"
        kubeconfig = write_kubeconfig(folder / "dispatcher.kubeconfig", account.url, account.ca, account.token)
        probes, metrics = free_ports(2)
        self._command = [
            *(sys.executable, "-m", "v2v", "--kubeconfig", str(kubeconfig), "--identity", "dispatcher"),
            *("--probe-port", str(probes), "--metrics-port", str(metrics), "--broker", broker.url),
        ]
        self._environment = os.environ | {"HOSTLER_BROKER_PASSWORD": PASSWORD, "HOSTLER_UPLOAD_KEY": certificate}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(60)


class Worker:
    """One worker pod: its process, its volume and how often it was started."""

    def __init__(self, pod: Raw, folder: Path, environment: dict[str, str]) -> None:
        container = pod["spec"]["containers"][0]
        self.pod = pod
        self.uid = pod["metadata"]["uid"]
        self._log = folder / "worker.log"
        self._command = [sys.executable, *container["command"][1:]]
        given = {each["name"]: each.get("value", self.uid) for each in container["env"]}
        self._environment = os.environ | given | environment
        self.restarts = 0
        self.process = self._run()

    def _run(self) -> "subprocess.Popen[bytes]":
        self.started = stamp(datetime.now(UTC))
        with self._log.open("ab") as log:
            return subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment)

    def again(self) -> None:
        self.restarts += 1
        self.process = self._run()

    def state(self) -> Raw:
        code = self.process.poll()
        running = {"running": {"startedAt": self.started}}
        return running if code is None else {"terminated": {"exitCode": code}}


class Kubelet:
    """Runs the worker pods of one namespace, and binds its claims to folders below `folder`."""

    def __init__(self, api: Api, account: ApiServer, namespace: str, folder: Path, broker: Redis) -> None:
        self._api, self._namespace, self._folder = api, namespace, folder
        self._account, self._broker = account, broker
        self.workers: dict[str, Worker] = {}  # by pod name
        self.secrets: dict[str, dict[str, str]] = {}  # of the namespace: name -> key -> value
        self.codes: list[int] = []  # with which processes ended
        (self.upload_port,) = free_ports(1)

    async def run(self) -> None:
        try:
            while True:
                with suppress(ApiError):
                    await self._claims()
                    await self._pods()
                await asyncio.sleep(0.1)
        finally:
            for worker in self.workers.values():
                worker.process.kill()
                worker.process.wait()

    def volume(self, claim: str) -> Path:
        place = self._folder / "volumes" / claim
        place.mkdir(parents=True, exist_ok=True)
        return place

    async def _claims(self) -> None:
        for claim in (await self._api.list(PersistentVolumeClaim, self._namespace))[0]:
            if claim["status"].get("phase") != "Bound":
                capacity = claim["spec"]["resources"]["requests"]
                status = {"phase": "Bound", "capacity": capacity}
                name = claim["metadata"]["name"]
                await self._api.patch(PersistentVolumeClaim, self._namespace, name, {"status": status}, "status")

    async def _pods(self) -> None:
        pods = {p["metadata"]["name"]: p for p in (await self._api.list(Pod, self._namespace, LABEL))[0]}
        for name, worker in list(self.workers.items()):
            if name not in pods or pods[name]["metadata"]["uid"] != worker.uid:
                worker.process.kill()
                worker.process.wait()
                del self.workers[name]
        for name, pod in pods.items():
            worker = self.workers.get(name) or self._start(name, pod)
            code = worker.process.poll()
            if code is not None:
                self.codes.append(code)
            if code:
                worker.again()
            await self._tell(name, worker, "Succeeded" if code == 0 else "Running")

    def _start(self, name: str, pod: Raw) -> Worker:
        root = self._folder / pod["metadata"]["uid"]
        (root / "scratch").mkdir(parents=True)
        for volume in pod["spec"]["volumes"]:
            if claim := volume.get("persistentVolumeClaim"):
                (root / volume["name"]).symlink_to(self.volume(claim["claimName"]))
            if secret := volume.get("secret"):
                (root / volume["name"]).mkdir()
                for key, value in self.secrets[secret["secretName"]].items():
                    (root / volume["name"] / key).write_text(value)
        kubeconfig = write_kubeconfig(root / "kubeconfig", self._account.url, self._account.ca, self._token())
        environment = {
            "HOSTLER_ROOT": str(root),
            "HOSTLER_KUBECONFIG": str(kubeconfig),
            "HOSTLER_UPLOAD_PORT": str(self.upload_port),
            "HOSTLER_METRICS_PORT": "0",
            "HOME": str(root),
            "TMPDIR": str(root),
        }
        self.workers[name] = Worker(pod, root, environment)
        return self.workers[name]

    def _token(self) -> str:
        return self._account.account(self._namespace, "hostler-disk-worker").token

    async def _tell(self, name: str, worker: Worker, phase: str) -> None:
        container = {
            "name": "worker",
            "ready": phase == "Running",
            "state": worker.state(),
            "restartCount": worker.restarts,
            "image": "x",
            "imageID": "x",
        }
        with suppress(NotFound):
            status = {"phase": phase, "podIP": "127.0.0.1", "containerStatuses": [container]}
            await self._api.patch(Pod, self._namespace, name, {"status": status}, "status")


class Place:
    """One namespace as its user sees it."""

    def __init__(self, api: Api, namespace: str, kubelet: Kubelet) -> None:
        self.api, self.namespace, self.kubelet = api, namespace, kubelet

    async def create(self, name: str, source: Raw, size: str = "8Mi", **spec: Any) -> Raw:
        storage = {"resources": {"requests": {"storage": size}}}
        body = {"metadata": {"name": name}, "spec": {"source": source, "storage": storage} | spec}
        return await self.api.create(DataVolume, self.namespace, body)

    async def get(self, name: str) -> Raw:
        return await self.api.get(DataVolume, self.namespace, name)

    async def status(self, name: str) -> Raw:
        return dict((await self.get(name)).get("status") or {})

    async def condition(self, name: str, kind: str) -> Raw:
        found = (await self.status(name)).get("conditions", [])
        return next((dict(each) for each in found if each["type"] == kind), {})

    async def until(self, name: str, *phases: str, limit: float = 120) -> Raw:
        deadline = time.monotonic() + limit
        while (status := await self.status(name)).get("phase") not in phases:
            log = "".join(w._log.read_text()[-3000:] for w in self.kubelet.workers.values() if w._log.exists())
            assert time.monotonic() < deadline, f"{name} never {phases}: {json.dumps(status)}\n{log}"
            await asyncio.sleep(0.1)
        return status

    def disk(self, name: str) -> bytes:
        return (self.kubelet.volume(name) / "disk.img").read_bytes()

    def worker(self, name: str) -> Worker:
        (found,) = [w for w in self.kubelet.workers.values() if w.pod["metadata"]["ownerReferences"][0]["name"] == name]
        return found

    async def event(self, name: str, reason: str) -> str:
        """The note of an event; events are told a moment later."""
        async with asyncio.timeout(60):
            while True:
                for each in (await self.api.list(Event, self.namespace))[0]:
                    if each["regarding"]["name"] == name and each["reason"] == reason:
                        return str(each["note"])
                await asyncio.sleep(0.1)


@contextmanager
def redis_running(folder: Path) -> Iterator[Redis]:
    assert shutil.which("redis-server"), "apt-get install redis-server"
    broker = Redis(folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
