"""A real kube-controller-manager with a few of its controllers, and a stand-in for the metrics server that it asks."""

import json
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from hostler.runtime import certificates
from tests.integration.apiserver import ApiServer, Raw, running

GROUP, VERSION = "metrics.k8s.io", "v1beta1"


@contextmanager
def controller_manager(program: Path, server: ApiServer, folder: Path, *controllers: str) -> Iterator[None]:
    """Only these controllers, in a hurry."""
    arguments = {
        "kubeconfig": server.kubeconfig,
        "controllers": ",".join(controllers),
        "leader-elect": "false",
        "secure-port": "0",
        "horizontal-pod-autoscaler-sync-period": "1s",
        "horizontal-pod-autoscaler-downscale-stabilization": "1s",
        "v": "2",
    }
    with running(program, arguments, folder / "controller-manager.log") as process:
        yield
        assert process.poll() is None, (folder / "controller-manager.log").read_text()[-2000:]


class Metrics:
    """metrics.k8s.io as far as an autoscaler asks: what each pod of a selector uses, which the test decides."""

    def __init__(self, server: ApiServer) -> None:
        self.memory = "0"
        self._server = server

    def answer(self, path: str, query: str) -> Raw | None:
        base = f"/apis/{GROUP}/{VERSION}"
        if path.rstrip("/") == base:
            return {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{GROUP}/{VERSION}",
                "resources": [],
            }
        if not path.startswith(f"{base}/namespaces/") or not path.endswith("/pods"):
            return None
        asked = dict(urllib.parse.parse_qsl(query))
        namespace = path.split("/")[-2]
        pods = self._server.request(
            "GET", f"/api/v1/namespaces/{namespace}/pods", labelSelector=asked.get("labelSelector", "")
        )
        items = [self.of(pod) for pod in pods.body["items"]]
        return {"kind": "PodMetricsList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}, "items": items}

    def of(self, pod: Raw) -> Raw:
        meta, names = pod["metadata"], [each["name"] for each in pod["spec"]["containers"]]
        return {
            "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "window": "10s",
            "containers": [{"name": name, "usage": {"cpu": "1m", "memory": self.memory}} for name in names],
        }


@contextmanager
def metrics_server(server: ApiServer, folder: Path) -> Iterator[Metrics]:
    """Served by this process as an extension of the API, over TLS."""
    metrics = Metrics(server)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            found = metrics.answer(path, query)
            body = json.dumps(found or {}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.socket = tls(folder).wrap_socket(httpd.socket, server_side=True)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        register(server, httpd.server_address[1])
        yield metrics
    finally:
        server.request("DELETE", f"/apis/apiregistration.k8s.io/v1/apiservices/{VERSION}.{GROUP}")
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def tls(folder: Path) -> ssl.SSLContext:
    now = datetime.now(UTC)
    own = certificates.leaf(None, certificates.Leaf("metrics"), certificates.authority(None, now), now)
    (folder / "metrics.pem").write_bytes(own.certificate + own.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "metrics.pem")
    return context


def register(server: ApiServer, port: int) -> None:
    service = {
        "metadata": {"name": "metrics"},
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"name": "https", "port": port}]},
    }
    extension = {
        "metadata": {"name": f"{VERSION}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "version": VERSION,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"namespace": "default", "name": "metrics", "port": port},
        },
    }
    for path, body in (
        ("/api/v1/namespaces/default/services", service),
        ("/apis/apiregistration.k8s.io/v1/apiservices", extension),
    ):
        answer = server.create(path, body)
        assert answer.code == 201, answer.message
