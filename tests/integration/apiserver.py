"""A real kube-apiserver on a real etcd, started for one test run on loopback, and plain requests to it."""

import csv
import json
import os
import random
import secrets
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from hostler.runtime import certificates, names

START_SECONDS = 120
STOP_SECONDS = 10

Raw = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """The HTTP code, and the object or Status that came with it."""

    code: int
    body: Raw
    warnings: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))

    @property
    def causes(self) -> list[tuple[str, str]]:
        """(field, message) of each thing that the server has against the object."""
        causes = (self.body.get("details") or {}).get("causes", [])
        return [(cause.get("field", ""), cause.get("message", "")) for cause in causes]


@dataclass(frozen=True)
class ApiServer:
    """Where the API server is, and who asks: its administrator, unless another token is taken."""

    url: str
    ca: Path
    token: str
    kubeconfig: Path

    def request(self, method: str, path: str, body: object = None, content: str = "json", **query: str) -> Answer:
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": f"application/{content}",
            "Accept": "application/json",
        }
        data = None if body is None else json.dumps(body).encode()
        url = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, data, headers, method=method)
        context = ssl.create_default_context(cafile=str(self.ca))
        try:
            with urllib.request.urlopen(request, context=context, timeout=60) as response:
                return Answer(response.status, json.load(response), tuple(response.headers.get_all("Warning") or ()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, told(error.read()))

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def create(self, path: str, body: object, **query: str) -> Answer:
        """What `kubectl create` sends: unknown and duplicate fields are errors."""
        return self.request("POST", path, body, **{"fieldValidation": "Strict", **query})

    def apply(self, path: str, body: Raw) -> Answer:
        """Server-side apply."""
        query = {"fieldManager": "test", "force": "true", "fieldValidation": "Strict"}
        return self.request("PATCH", f"{path}/{body['metadata']['name']}", body, "apply-patch+yaml", **query)

    def merge(self, path: str, patch: Raw) -> Answer:
        return self.request("PATCH", path, patch, "merge-patch+json", fieldValidation="Strict")

    def account(self, namespace: str, name: str, node: str = "") -> "ApiServer":
        """The same server, asked by a service account; by one of its pods on a node, if that is named."""
        spec: Raw = {"audiences": [], "expirationSeconds": 3600}
        if node:
            uid = self.get(f"/api/v1/nodes/{node}").body["metadata"]["uid"]
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        answer = self.create(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
        assert answer.code == 201, answer.message
        return replace(self, token=answer.body["status"]["token"])


def told(body: bytes) -> Raw:
    """A Status; or its like for what is not served yet, which is answered in plain text."""
    try:
        return dict(json.loads(body))
    except ValueError:
        return {"message": body.decode(errors="replace")}


@contextmanager
def running(program: Path, arguments: Mapping[str, object], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server process, ended with the block."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, *(f"--{key}={value}" for key, value in arguments.items())], stdout=out, stderr=out
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def etcd(program: Path, folder: Path) -> Iterator[str]:
    client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    arguments = {
        "name": "test",
        "data-dir": folder / "data",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"test={peer}",
        "unsafe-no-fsync": "true",
    }
    log = folder / "etcd.log"
    with running(program, arguments, log) as process:
        wait_until(lambda: answers(f"{client}/health"), process, log)
        yield client


@contextmanager
def kube_apiserver(program: Path, etcd_url: str, folder: Path) -> Iterator[ApiServer]:
    (port,), token, key = free_ports(1), secrets.token_hex(16), write_key(folder / "service-accounts.key")
    arguments = {
        "etcd-servers": etcd_url,
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "endpoint-reconciler-type": "none",  # the others refuse a loopback address
        "secure-port": port,
        "cert-dir": folder / "certificates",
        "token-auth-file": write_tokens(folder / "tokens.csv", token),
        "authorization-mode": "RBAC",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": key,
        "service-account-signing-key-file": key,
        "service-cluster-ip-range": "10.250.0.0/24",
        "disable-admission-plugins": "ServiceAccount",  # nobody makes a namespace's default account here
        "allow-privileged": "true",
        "shutdown-delay-duration": "0s",
        **front_proxy(folder),
    }
    # the certificate that the server makes for itself is its own authority
    url, ca, log = f"https://127.0.0.1:{port}", folder / "certificates" / "apiserver.crt", folder / "apiserver.log"
    with running(program, arguments, log) as process:
        wait_until(lambda: ca.exists() and answers(f"{url}/readyz", ca), process, log)
        yield ApiServer(url, ca, token, write_kubeconfig(folder / "kubeconfig", url, ca, token))


@contextmanager
def kube_controller_manager(
    program: Path, server: ApiServer, folder: Path, controllers: Iterable[str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Kubernetes' own controllers, those that are named."""
    (port,) = free_ports(1)
    arguments = {
        "kubeconfig": server.kubeconfig,
        "authentication-kubeconfig": server.kubeconfig,
        "authorization-kubeconfig": server.kubeconfig,
        "bind-address": "127.0.0.1",
        "secure-port": port,
        "cert-dir": folder / "certificates",
        "controllers": ",".join(controllers),
        "leader-elect": "false",
        "kube-api-qps": 1000,
        "kube-api-burst": 1000,
    }
    url, log = f"https://127.0.0.1:{port}", folder / "controller-manager.log"
    ca = folder / "certificates" / "kube-controller-manager.crt"
    with running(program, arguments, log) as process:
        wait_until(lambda: ca.exists() and answers(f"{url}/healthz", ca), process, log)
        yield process


def front_proxy(folder: Path) -> dict[str, object]:
    """How this API server shows who it is to the extensions of its API."""
    now = datetime.now(UTC)
    ca = certificates.authority(None, now)
    own = certificates.leaf(None, certificates.Leaf("front-proxy"), ca, now)
    for name, pem in (("ca.crt", ca.certificate), ("client.crt", own.certificate), ("client.key", own.key)):
        (folder / f"front-proxy-{name}").write_bytes(pem)
    return {
        "requestheader-client-ca-file": folder / "front-proxy-ca.crt",
        "requestheader-allowed-names": names.common_name("front-proxy"),
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": folder / "front-proxy-client.crt",
        "proxy-client-key-file": folder / "front-proxy-client.key",
    }


def answers(url: str, ca: Path | None = None) -> bool:
    context = ssl.create_default_context(cafile=str(ca)) if ca else None
    try:
        with urllib.request.urlopen(url, context=context, timeout=5):
            return True
    except OSError:
        return False


def wait_until(ready: Any, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when it is ready; fail with the end of the log when it never will be."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if ready():
            return
        time.sleep(0.1)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    raise RuntimeError(f"{log.stem} did not start:\n{tail}")


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on now, none of them twice.

    The kernel gives none of these to a connection that goes out, so they are still free when they are used.
    """
    return [next(PORTS) for _ in range(count)]


def free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


# each worker has its own ones
WORKER, WORKERS = os.environ.get("PYTEST_XDIST_WORKER", "gw0"), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
OURS = range(20000 + int(WORKER.removeprefix("gw")), 30000, WORKERS)
PORTS = filter(free, random.sample(OURS, len(OURS)))


def write_tokens(path: Path, admin: str) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerow([admin, "admin", "admin", "system:masters"])
    return path


def write_key(path: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    path.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    return path


def write_kubeconfig(path: Path, url: str, ca: Path, token: str) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": str(ca)}}],
        "users": [{"name": "test", "user": {"token": token}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path
