"""The gateway behind a real API server's aggregator, with its own rights; the agent is real, its guest is not."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controllers import certificates
from gateway import app
from gateway.settings import GatewaySettings
from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime.kube import Api, connect
from hostler.runtime.tls import Credentials
from launcher.agent import places, routes, server
from launcher.agent.guests import Running
from launcher.agent.places import Place
from launcher.agent.pods import LauncherPod
from tests.integration.apiserver import ApiServer, free_ports, write_kubeconfig
from tests.unit.launcher.agent.standin import StandIn

HOME = "hostler"
NODE = "gateways-node"
GROUP = "/apis/subresources.kubevirt.io/v1"
PROTOCOL = "plain.kubevirt.io"


class Guests:
    """One guest, whose console says everything twice."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uid = ""
        self.libvirt = StandIn()
        self.heard = b""

    def find(self, uid: str) -> Running | None:
        if uid != self.uid:
            return None
        pod = LauncherPod.model_validate({"metadata": {"name": "p", "uid": "pod-uid"}})
        place = Place(*(os.open("/", os.O_PATH) for _ in range(4)), os.open(self.folder, os.O_PATH))
        return Running(pod, "d", self.libvirt, place, None)

    async def console(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            self.heard += data
            writer.write(data + data)
            await writer.drain()
        writer.close()


async def api(server: ApiServer, account: str, folder: Path) -> Api:
    user = server.account(HOME, account)
    return await connect(str(write_kubeconfig(folder / account, user.url, user.ca, user.token)), account)


@pytest.fixture
async def guests(hostler: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Guests]:
    """Everything up: the manager's certificates, an agent, the gateway; and the API server has found it."""
    monkeypatch.setattr(places, "pod_of", lambda _: "pod-uid")  # this process is in no pod
    gateway_port, agent_port = free_ports(2)
    redirect(hostler, gateway_port)
    async with AsyncExitStack() as held:
        apis = {name: await api(hostler, f"hostler-{name}", tmp_path) for name in ("manager", "agent", "gateway")}
        for each in apis.values():
            held.push_async_callback(each.close)
        guests = Guests(tmp_path)
        names = [Path(name).name for name in (launcher.SERIAL_SOCKET, launcher.VNC_SOCKET)]
        for name in names:
            listening = await asyncio.start_unix_server(guests.console, tmp_path / name)
            held.callback(listening.close)
        await running(held, certificates.keep(apis["manager"], HOME))
        credentials = Credentials(apis["agent"], HOME, "agent", mutual=True)
        await credentials.load()
        agent = await server.serve(guests, credentials, routes.TOPICS, agent_port)
        held.push_async_callback(agent.cleanup)
        pod_of_agent(hostler)
        settings = GatewaySettings(port=gateway_port, agent_port=agent_port, namespace=HOME)
        await running(held, app.run(apis["gateway"], settings))
        async with asyncio.timeout(180):
            for version in ("v1", "v1alpha3"):
                path = f"/apis/subresources.kubevirt.io/{version}"
                while (await asyncio.to_thread(hostler.get, path)).code != 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.5)
        yield guests


async def running(held: AsyncExitStack, work: Any) -> None:
    task = asyncio.create_task(work)

    async def end() -> None:
        assert not task.done(), task.exception()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    held.push_async_callback(end)


def redirect(hostler: ApiServer, port: int) -> None:
    """No pod runs here: the Service leads to this process."""
    service = {"spec": {"type": "ExternalName", "externalName": "localhost", "selector": None, "clusterIP": None,
                        "clusterIPs": None, "ports": [{"name": "https", "port": port}]}}  # fmt: skip
    answer = hostler.request(
        "PATCH", f"/api/v1/namespaces/{HOME}/services/hostler-gateway", service, "merge-patch+json"
    )
    assert answer.code == 200, answer.message
    for version in ("v1", "v1alpha3"):
        path = f"/apis/apiregistration.k8s.io/v1/apiservices/{version}.subresources.kubevirt.io"
        answer = hostler.merge(path, {"spec": {"service": {"port": port}}})
        assert answer.code == 200, answer.message


def pod_of_agent(hostler: ApiServer) -> None:
    pods = f"/api/v1/namespaces/{HOME}/pods"
    labels = {"app.kubernetes.io/name": "hostler", "app.kubernetes.io/component": "agent"}
    spec = {"nodeName": NODE, "containers": [{"name": "agent", "image": "x"}]}
    hostler.create(pods, {"metadata": {"name": "agent-0", "labels": labels}, "spec": spec})
    status = {"status": {"phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}}
    assert hostler.merge(f"{pods}/agent-0/status", status).code == 200


@pytest.fixture
async def guest(hostler: ApiServer, guests: Guests, namespace: str, tmp_path: Path) -> str:
    """The path of a VMI that runs on the node."""
    manager = await api(hostler, "hostler-manager", tmp_path)
    body = {"metadata": {"name": "web"}, "spec": {"domain": {"devices": {}, "memory": {"guest": "64Mi"}}}}
    made = await manager.create(VirtualMachineInstance, namespace, body)
    await manager.patch(VirtualMachineInstance, namespace, "web", {"status": {"phase": "Running", "nodeName": NODE}})
    await manager.close()
    guests.uid = made["metadata"]["uid"]
    guests.libvirt.running["d"] = None  # type: ignore[assignment]
    guests.libvirt.pause = lambda name, paused: guests.libvirt.started.append(f"paused={paused}")  # type: ignore[method-assign]
    return f"{GROUP}/namespaces/{namespace}/virtualmachineinstances/web"


async def ask(server: ApiServer, method: str, path: str, body: Any = None) -> Any:
    return await asyncio.to_thread(plain, server, method, path, body)


def plain(server: ApiServer, method: str, path: str, body: Any) -> Any:
    from json import JSONDecodeError

    try:
        return server.request(method, path, body)
    except JSONDecodeError:
        return None  # success without a body


def context(server: ApiServer) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(server.ca))


async def dial(server: ApiServer, path: str, **options: Any) -> tuple[aiohttp.ClientSession, Any]:
    session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {server.token}"})
    try:
        options = {"protocols": (PROTOCOL,)} | options
        return session, await session.ws_connect(server.url + path, ssl=context(server), **options)
    except BaseException:
        await session.close()
        raise


async def test_the_api_server_serves_it_as_its_own(hostler: ApiServer, guests: Guests) -> None:
    found = (await ask(hostler, "GET", GROUP)).body
    assert found["groupVersion"] == "subresources.kubevirt.io/v1"
    assert "virtualmachineinstances/console" in [each["name"] for each in found["resources"]]
    assert (await ask(hostler, "GET", f"{GROUP}/version")).body["gitVersion"].startswith("v")
    assert (await ask(hostler, "GET", "/apis/subresources.kubevirt.io/v1alpha3")).code == 200


async def test_pause_and_refusals(hostler: ApiServer, guests: Guests, guest: str, namespace: str) -> None:
    answer = await ask(hostler, "PUT", f"{guest}/pause", {})
    assert answer is None, answer.body
    assert guests.libvirt.started == ["paused=True"]
    refused = await ask(hostler, "PUT", f"{guest}/unpause", {})
    assert (refused.code, refused.body["reason"]) == (409, "Conflict")
    assert refused.message.endswith('virtualmachineinstance.kubevirt.io "web": VMI is not paused')
    missing = await ask(hostler, "PUT", guest.replace("/web", "/nothing") + "/pause", {})
    assert (missing.code, missing.message) == (404, 'virtualmachineinstance.kubevirt.io "nothing" not found')
    assert (await ask(hostler, "GET", f"{guest}/guestosinfo")).code == 409
    assert (await ask(hostler, "GET", f"{guest}/console")).code == 400, "no web socket"


async def test_console(hostler: ApiServer, guests: Guests, guest: str) -> None:
    """As KubeVirt's own client does it: the subprotocol is asked for, and must be echoed."""
    session, old = await dial(hostler, f"{guest}/console")
    assert old.protocol == PROTOCOL
    await old.send_bytes(b"one")
    assert await old.receive_bytes(timeout=60) == b"oneone"
    watching, watcher = await dial(hostler, f"{guest}/console?watch=true")
    newer, new = await dial(hostler, f"{guest}/console", protocols=())
    assert (await old.receive(timeout=60)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    await new.send_str("two")
    assert await new.receive_bytes(timeout=60) == await watcher.receive_bytes(timeout=60) == b"twotwo"
    assert guests.heard == b"onetwo"
    for each in (session, watching, newer):
        await each.close()


async def test_vnc_that_will_not_push_in(hostler: ApiServer, guests: Guests, guest: str) -> None:
    session, _ = await dial(hostler, f"{guest}/vnc")
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await dial(hostler, f"{guest}/vnc?preserveSession=true")
    assert caught.value.status == 503
    assert (caught.value.headers or {})["X-Message"] == "Active VNC connection. Request denied."
    await session.close()


async def test_start_writes_a_wish(hostler: ApiServer, guests: Guests, namespace: str) -> None:
    path = f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachines"
    template = {"spec": {"domain": {"devices": {}, "memory": {"guest": "64Mi"}}}}
    for name, strategy in (("manual", "Manual"), ("halted", "Halted")):
        spec = {"runStrategy": strategy, "template": template}
        made = hostler.create(
            path, {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": name}, "spec": spec}
        )
        assert made.code == 201, made.message
        assert await ask(hostler, "PUT", f"{GROUP}/namespaces/{namespace}/virtualmachines/{name}/start", {}) is None
    wishes = hostler.get(f"{path}/manual").body["status"]["stateChangeRequests"]
    assert wishes == [{"action": "Start"}]
    assert hostler.get(f"{path}/halted").body["spec"]["runStrategy"] == "Always"
    again = await ask(hostler, "PUT", f"{GROUP}/namespaces/{namespace}/virtualmachines/manual/start", {})
    assert (again.code, "already underway" in again.message) == (409, True)


async def test_migrate(hostler: ApiServer, guests: Guests, guest: str, namespace: str) -> None:
    """As `virtctl migrate` asks; it is not for everybody who may edit."""
    kinds, accounts = f"/apis/kubevirt.io/v1/namespaces/{namespace}", f"/api/v1/namespaces/{namespace}/serviceaccounts"
    template = {"spec": {"domain": {"devices": {}, "memory": {"guest": "64Mi"}}}}
    for name, strategy in (("web", "Manual"), ("off", "Halted")):
        vm = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": name}}
        made = hostler.create(
            f"{kinds}/virtualmachines", vm | {"spec": {"runStrategy": strategy, "template": template}}
        )
        assert made.code == 201, made.message
    wish, path = {"addedNodeSelector": {"zone": "b"}}, f"{GROUP}/namespaces/{namespace}/virtualmachines"
    off = await ask(hostler, "PUT", f"{path}/off/migrate", wish)
    assert (off.code, off.message.endswith('virtualmachine.kubevirt.io "off": VM is not running')) == (409, True)
    assert await ask(hostler, "PUT", f"{path}/web/migrate", wish | {"dryRun": ["All"]}) is None
    assert hostler.get(f"{kinds}/virtualmachineinstancemigrations").body["items"] == []
    bindings = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"
    for role, may in (("edit", False), ("hostler-migrate", True)):
        hostler.create(accounts, {"metadata": {"name": role}})
        subject = {"kind": "ServiceAccount", "name": role, "namespace": namespace}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        hostler.create(bindings, {"metadata": {"name": role}, "roleRef": reference, "subjects": [subject]})
        answer = await ask(hostler.account(namespace, role), "PUT", f"{path}/web/migrate", wish)
        assert answer is None if may else answer.code == 403
    (move,) = hostler.get(f"{kinds}/virtualmachineinstancemigrations").body["items"]
    assert move["metadata"]["name"].startswith("kubevirt-migrate-vm-")
    assert move["spec"] == {"vmiName": "web", "addedNodeSelector": {"zone": "b"}}


async def test_who_may_not(hostler: ApiServer, guests: Guests, guest: str, namespace: str) -> None:
    """The API server refuses before us; and we refuse who comes past it, or says that he is somebody else."""
    hostler.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "jane"}})
    jane = hostler.account(namespace, "jane")
    for method, verb in (("PUT", "pause"), ("GET", "console")):
        assert (await ask(jane, method, f"{guest}/{verb}", {})).code == 403
    folder = hostler.kubeconfig.parent
    front = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    front.check_hostname, front.verify_mode = False, ssl.CERT_NONE
    port = hostler.get(f"/api/v1/namespaces/{HOME}/services/hostler-gateway").body["spec"]["ports"][0]["port"]
    url, headers = (
        f"https://127.0.0.1:{port}{guest}/pause",
        {"X-Remote-User": "admin", "X-Remote-Group": "system:masters"},
    )
    async with aiohttp.ClientSession() as session, session.put(url, ssl=front, headers=headers) as answer:
        assert answer.status == 401, "no certificate of the API server"
    front.load_cert_chain(folder / "front-proxy-client.crt", folder / "front-proxy-client.key")
    async with aiohttp.ClientSession() as session:
        async with session.put(url, ssl=front, headers={"X-Remote-User": "jane"}) as answer:
            assert answer.status == 403
            assert (
                'User "jane" cannot update resource "virtualmachineinstances/pause"' in (await answer.json())["message"]
            )
        async with session.put(url, ssl=front, headers=headers) as answer:
            assert answer.status == 200
