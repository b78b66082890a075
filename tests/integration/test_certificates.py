"""The certificates of a fresh installation on a real API server, with the rights that the chart gives."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from controllers import certificates
from hostler.api.objects import APIService, Secret
from hostler.runtime import names
from hostler.runtime.errors import Forbidden
from hostler.runtime.kube import Api, connect
from hostler.runtime.tls import Credentials
from tests.integration.apiserver import ApiServer, write_kubeconfig

NAMESPACE = "hostler"


async def api(server: ApiServer, account: str, folder: Path) -> Api:
    user = server.account(NAMESPACE, account)
    return await connect(str(write_kubeconfig(folder / account, user.url, user.ca, user.token)), account)


@pytest.fixture
async def kept(hostler: ApiServer, tmp_path: Path) -> AsyncIterator[Api]:
    """The manager's work, with the manager's rights."""
    manager = await api(hostler, "hostler-manager", tmp_path)
    task = asyncio.create_task(certificates.keep(manager, NAMESPACE))
    yield manager
    assert not task.done(), task.exception()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await manager.close()


async def test_each_process_reads_its_own_and_no_other(hostler: ApiServer, kept: Api, tmp_path: Path) -> None:
    agent = await api(hostler, "hostler-agent", tmp_path)
    credentials = Credentials(agent, NAMESPACE, "agent", mutual=True)
    await asyncio.wait_for(credentials.load(), 60)
    account = hostler.get(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/hostler-manager").body
    made = hostler.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/{names.tls_secret('agent')}").body
    owners = [(each["kind"], each["uid"]) for each in made["metadata"]["ownerReferences"]]
    assert owners == [("ServiceAccount", account["metadata"]["uid"])], "it goes when Helm removes the account"
    for other in ("hostler-ca", names.tls_secret("gateway")):
        with pytest.raises(Forbidden):
            await agent.get(Secret, NAMESPACE, other)
    await agent.close()


async def test_an_api_service_of_ours_is_trusted(hostler: ApiServer, kept: Api) -> None:
    service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1beta1.upload.cdi.kubevirt.io", "labels": {"hostler.io/inject-ca": "true"}},
        "spec": {
            "group": "upload.cdi.kubevirt.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 1000,
            "versionPriority": 15,
            "service": {"name": "hostler-gateway", "namespace": NAMESPACE},
        },
    }
    path = "/apis/apiregistration.k8s.io/v1/apiservices"
    made = hostler.create(path, service)
    assert made.code in (201, 409), made.message
    async with asyncio.timeout(60):
        while True:
            spec = (await kept_by(hostler))["spec"]
            if spec.get("caBundle"):
                break
            await asyncio.sleep(0.1)
    assert b64decode(spec["caBundle"]).startswith(b"-----BEGIN CERTIFICATE-----")
    hostler.request("DELETE", f"{path}/v1beta1.upload.cdi.kubevirt.io")


async def kept_by(server: ApiServer) -> dict[str, dict[str, str]]:
    answer = server.get(f"/apis/{APIService.group_version}/apiservices/v1beta1.upload.cdi.kubevirt.io")
    return answer.body
