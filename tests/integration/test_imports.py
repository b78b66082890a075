"""Imports on a real API server with the rights that the chart gives; the test is kubelet, the source is simulated.

What a pod would do is done here by the same functions: it looks at the source and switches machines off for real.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hostler.api.cdi import DataVolume
from hostler.api.imports import ImportPlan, ImportSource
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.objects import Pod, Secret
from hostler.runtime.errors import Error, NotFound, Terminal
from hostler.runtime.kube import Api, connect
from hostler.runtime.manager import manage
from tests.integration.apiserver import write_kubeconfig
from tests.integration.vcenter import MIB, content, machine, put, vcenter
from v2v import datavolume, importaccount, importplan, importpod, importsource, importworker, sources_vmware, verdict
from v2v.importpod import Job
from v2v.settings import DiskSettings
from v2v.verdict import Verdict

SETTINGS = DiskSettings(_env_file=None, use_emulation=True)
SOON = 90.0


@pytest.fixture
async def api(hostler) -> AsyncIterator[Api]:
    found = await connect(str(hostler.kubeconfig), "test")
    yield found
    await found.close()


@pytest.fixture
async def manager(hostler, tmp_path, monkeypatch) -> AsyncIterator[None]:
    """The controllers of imports, with the rights of their process' account."""
    account = hostler.account("hostler", "hostler-disks")
    path = write_kubeconfig(tmp_path / "manager.kubeconfig", account.url, account.ca, account.token)
    kube = await connect(str(path), "hostler-disks")
    controllers = (importsource.controller(SETTINGS), importplan.controller(SETTINGS))
    task = asyncio.create_task(manage(kube, controllers, "hostler-disks", "test"))
    yield
    assert not task.done(), task.exception()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await kube.close()


class Kubelet:
    """Does the work of the import pods of a namespace, with the rights of their account."""

    def __init__(self, api: Api, hostler: Any, namespace: str, folder: Path) -> None:
        self.api, self.hostler, self.namespace, self.folder = api, hostler, namespace, folder
        self.jobs: list[Job] = []
        self.refusals = 0

    async def run(self) -> None:
        done: set[str] = set()
        while True:
            for pod in (await self.api.list(Pod, self.namespace, f"{importpod.LABEL}={importpod.VALUE}"))[0]:
                if pod["metadata"]["uid"] not in done and not pod["metadata"].get("deletionTimestamp"):
                    done.add(pod["metadata"]["uid"])
                    await self.work(pod)
            await self.gone()
            await asyncio.sleep(0.2)

    async def gone(self) -> None:
        """Pods that are being deleted end at once."""
        for pod in (await self.api.list(Pod, self.namespace))[0]:
            if pod["metadata"].get("deletionTimestamp"):
                with suppress(NotFound):
                    await self.api.delete(Pod, self.namespace, pod["metadata"]["name"], grace=0)

    async def work(self, pod: Any) -> None:
        environment = {each["name"]: each["value"] for each in pod["spec"]["containers"][0]["env"]}
        job = Job.model_validate_json(environment[importpod.ENV])
        self.jobs.append(job)
        try:
            said = Verdict(True, await self.do(job))
        except Terminal as error:
            said = Verdict(False, error.message, error.reason)
        ended = {"terminated": {"exitCode": 0, "reason": "Completed", "message": verdict.text(said)}}
        container = {"name": "worker", "image": "x", "imageID": "x", "ready": False, "restartCount": 0, "state": ended}
        status = {"phase": "Succeeded", "containerStatuses": [container]}
        await self.api.patch(Pod, self.namespace, pod["metadata"]["name"], {"status": status}, "status")

    async def do(self, job: Job) -> str:
        secret = await self.api.get(Secret, self.namespace, "vcenter")
        import base64

        login = tuple(base64.b64decode(secret["data"][key]).decode() for key in ("user", "password"))
        if job.work == "off":
            return await asyncio.to_thread(sources_vmware.switch_off, job, login)
        account = self.hostler.account(self.namespace, importaccount.NAME)
        path = write_kubeconfig(self.folder / "worker.kubeconfig", account.url, account.ca, account.token)
        worker = await connect(str(path), "hostler-import-worker")
        try:
            if job.work == "convert":
                said = {"annotations": {f"conversion.import.hostler.io/{job.machine}": "Inspecting the source"}}
                await worker.patch(ImportPlan, self.namespace, job.name, {"metadata": {**said, "uid": job.uid}})
                return "converted by virt-v2v"
            found = await asyncio.to_thread(sources_vmware.look, job, login)
            status = importworker.inventory(*found)
            change = {"metadata": {"uid": job.uid}, "status": status}
            await worker.patch(ImportSource, self.namespace, job.name, change, "status")
            return f"{found[0]}: {found[2]} machines"
        finally:
            await worker.close()


@pytest.fixture
async def kubelet(api, hostler, namespace, tmp_path, manager) -> AsyncIterator[Kubelet]:
    found = Kubelet(api, hostler, namespace, tmp_path)
    task = asyncio.create_task(found.run())
    yield found
    assert not task.done(), task.exception()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def until(what: str, ask: Any) -> Any:
    deadline = time.monotonic() + SOON
    answer = None
    while time.monotonic() < deadline:
        answer = await ask()
        if answer:
            return answer
        await asyncio.sleep(0.2)
    raise AssertionError(f"not within {SOON:.0f} s: {what}")


async def connected(api: Api, namespace: str, there: Any, **changed: str) -> None:
    login = {"user": there.world.user, "password": there.world.password} | changed
    await api.create(Secret, namespace, {"metadata": {"name": "vcenter"}, "stringData": login})
    vsphere = {"url": there.url, "secretRef": {"name": "vcenter"}, "thumbprint": there.thumbprint}
    await api.create(ImportSource, namespace, {"metadata": {"name": "vcenter"}, "spec": {"vsphere": vsphere}})


async def plan(api: Api, namespace: str, *names: str) -> None:
    spec = {"source": {"name": "vcenter"}, "start": True, "vms": [{"name": name} for name in names]}
    await api.create(ImportPlan, namespace, {"metadata": {"name": "move"}, "spec": spec})


def phase(api: Api, namespace: str, *wanted: str) -> Any:
    async def ask() -> Any:
        status = (await api.get(ImportPlan, namespace, "move")).get("status", {})
        return status if [each["phase"] for each in status.get("vms", [])] == list(wanted) else None

    return ask


async def test_a_plan_to_its_end(api, namespace, kubelet, tmp_path):
    put(tmp_path, "m1/m1-flat.vmdk", content(4 * MIB))
    with vcenter(tmp_path, machine(1, name="Web 1", cpus=2), machine(2, name="twin"), machine(3, name="twin")) as there:
        await connected(api, namespace, there)
        await plan(api, namespace, "Web 1", "twin", "nobody")
        await until("its disk is to be copied", phase(api, namespace, "Copying", "Failed", "Failed"))
        assert there.world.power_state("vm-1") == "poweredOff"
        volume = await until("the DataVolume", lambda: one(api, DataVolume, namespace))
        assert volume["spec"]["source"]["vddk"]["backingFile"] == "[datastore1] m1/m1.vmdk"
        assert datavolume.source_kind(DataVolume.model_validate(volume)) == "import"
        done = {"phase": "Succeeded", "progress": "100.0%"}
        await api.patch(DataVolume, namespace, "web-1-disk0", {"status": done}, "status")
        status = await until("it is imported", phase(api, namespace, "Succeeded", "Failed", "Failed"))
    assert [each.get("reason") for each in status["vms"]] == [None, "AmbiguousName", "VMNotFound"]
    assert (status["phase"], status["succeeded"], status["failed"]) == ("Failed", 1, 2)
    made = await api.get(VirtualMachine, namespace, "web-1")
    domain = made["spec"]["template"]["spec"]["domain"]
    assert domain["devices"]["interfaces"][0]["macAddress"] == "00:50:56:00:00:01"
    owners = (await api.get(DataVolume, namespace, "web-1-disk0"))["metadata"]["ownerReferences"]
    assert [each["kind"] for each in owners] == ["VirtualMachine"]
    assert [job.work for job in kubelet.jobs] == ["look", "off", "convert"]
    await until("its pods are gone", lambda: none(api, Pod, namespace))
    assert "password" not in json.dumps([job.text() for job in kubelet.jobs])


async def none(api: Api, kind: Any, namespace: str) -> bool:
    return not (await api.list(kind, namespace))[0]


async def one(api: Api, kind: Any, namespace: str) -> Any:
    items = (await api.list(kind, namespace))[0]
    return items[0] if items else None


async def test_a_source_that_refuses_says_why_and_looks_again(api, namespace, kubelet, tmp_path):
    def said(reason: str) -> Any:
        async def ask() -> Any:
            source = await api.get(ImportSource, namespace, "vcenter")
            found = [each.get("reason") for each in source.get("status", {}).get("conditions", [])]
            return found == [reason]

        return ask

    async def waits() -> bool:
        waiting = (await api.get(ImportPlan, namespace, "move")).get("status", {}).get("conditions", [])
        return [each["reason"] for each in waiting] == ["SourceNotReady"]

    put(tmp_path, "m1/m1-flat.vmdk", content(MIB))
    with vcenter(tmp_path, machine(1)) as there:
        await connected(api, namespace, there, password="wrong")
        await plan(api, namespace, "m1")
        await until("the login is refused", said("LoginRefused"))
        await until("the plan says for what it waits", waits)
        await api.patch(Secret, namespace, "vcenter", {"stringData": {"password": there.world.password}})
        again = {"metadata": {"annotations": {importsource.REFRESH: "1"}}}
        await api.patch(ImportSource, namespace, "vcenter", again)
        await until("it is connected", said("Connected"))
        await until("the plan begins", phase(api, namespace, "Copying"))


BAD = [
    pytest.param(ImportSource, {}, "an ImportSource has exactly one of", id="no source"),
    pytest.param(
        ImportSource,
        {"vsphere": {"url": "http://vc/sdk", "secretRef": {"name": "x"}}},
        "spec.vsphere.url must be https",
        id="http",
    ),
    pytest.param(
        ImportSource,
        {"vsphere": {"url": "https://vc/sdk", "secretRef": {"name": "x"}, "thumbprint": "AB:CD"}},
        "spec.vsphere.thumbprint must be the SHA-256",
        id="thumbprint",
    ),
    pytest.param(ImportPlan, {"source": {"name": "x"}, "vms": []}, "must name at least one machine", id="no machines"),
    pytest.param(ImportPlan, {"source": {"name": "x"}, "vms": [{}]}, "needs a name or an id", id="nameless"),
    pytest.param(
        ImportPlan,
        {"source": {"name": "x"}, "vms": [{"name": "a"}], "warm": True},
        "spec.warm: not supported",
        id="warm",
    ),
    pytest.param(
        ImportPlan,
        {"source": {"name": "x"}, "vms": [{"name": "a", "targetName": "A B"}]},
        "targetName must be lower case",
        id="target name",
    ),
]


@pytest.mark.parametrize(("kind", "spec", "message"), BAD)
async def test_the_api_server_refuses(api, namespace, kind, spec, message):
    with pytest.raises(Error, match=message):
        await api.create(kind, namespace, {"metadata": {"name": "bad"}, "spec": spec})
