"""A control plane with simulated nodes, the stand-in for the node agents, and managers as they are needed."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster import programs
from tests.bench.kubectl import Kubectl
from tests.bench.manager import Manager

ROOT = Path(__file__).parents[2]
NAME = "bench"
NODES = 50
NAMESPACE = "bench"


@dataclass(frozen=True)
class Simulation:
    """A control plane, its nodes and their agents."""

    kubectl: Kubectl
    kubeconfig: str
    logs: Path

    @contextlib.contextmanager
    def manager(self) -> Iterator[Manager]:
        """A fresh one, so that its memory and CPU are of one load only."""
        port = _free_port()
        command = [sys.executable, "-m", "controllers", "--kubeconfig", self.kubeconfig, "--namespace", NAMESPACE]
        command += ["--metrics-port", str(port), "--probe-port", "0"]
        with _process("manager", command, self.logs) as pid:
            manager = Manager(pid, port)
            manager.await_leading()
            yield manager


@contextlib.contextmanager
def simulation(folder: Path | None = None) -> Iterator[Simulation]:
    """Everything up and idle; everything gone afterwards.

    HOSTLER_BENCH_KUBECONFIG names a control plane without nodes that is there already.
    """
    with contextlib.ExitStack() as stack:
        logs = folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kubeconfig = stack.enter_context(_control_plane())
        kubectl = Kubectl(kubeconfig, str(programs.locate("kubectl")))
        _install(kubectl)
        kwok = [str(programs.locate("kwok")), "--kubeconfig", kubeconfig, "--manage-all-nodes"]
        kwok += ["--config", str(ROOT / "tests/bench/kwok.yaml"), "--node-lease-duration-seconds", "40"]
        stack.enter_context(_process("kwok", kwok, logs))
        standin = [sys.executable, "-m", "tests.bench.standin", "--kubeconfig", kubeconfig]
        stack.enter_context(_process("standin", standin, logs))
        _nodes(kubectl)
        yield Simulation(kubectl, kubeconfig, logs)


@contextlib.contextmanager
def _control_plane() -> Iterator[str]:
    if existing := os.environ.get("HOSTLER_BENCH_KUBECONFIG"):
        yield existing
        return
    vmctl = [sys.executable, "-m", "hostler.cli.main", "cluster"]
    environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"} | {"HOSTLER_MERGE": "no"}
    subprocess.run([*vmctl, "up", "--name", NAME, "--nodes", "0"], check=True, env=environment)
    try:
        path = subprocess.run(
            [*vmctl, "kubeconfig", "--name", NAME, "--path"], check=True, capture_output=True, text=True
        ).stdout.strip()
        yield path
    finally:
        subprocess.run([*vmctl, "down", "--name", NAME], check=True, env=environment)


def _install(kubectl: Kubectl) -> None:
    kubectl("create", "namespace", NAMESPACE)
    kubectl("apply", "--server-side", "-f", str(ROOT / "charts/hostler/files/crds"))
    kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")


@contextlib.contextmanager
def _process(name: str, command: list[str], logs: Path) -> Iterator[int]:
    with (logs / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _nodes(kubectl: Kubectl) -> None:
    """Nodes that say they are ready; kwok renews their leases."""
    devices = {"devices.kubevirt.io/tun": "1k", "devices.kubevirt.io/kvm": "1k"}
    size = {"cpu": "1k", "memory": "1Ti", "ephemeral-storage": "1Ti", "pods": "1k"} | devices
    for i in range(NODES):
        labels = {"kubernetes.io/hostname": f"sim-{i}", "kubevirt.io/schedulable": "true"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"sim-{i}", "labels": labels}}
        ready = {"type": "Ready", "status": "True", "reason": "Simulated", "message": "simulated"}
        kubectl.apply(node)
        status = {"capacity": size, "allocatable": size, "conditions": [ready]}
        kubectl(
            "patch", "node", f"sim-{i}", "--subresource=status", "--type=merge", "-p", json.dumps({"status": status})
        )


def requests(kubectl: Kubectl) -> dict[tuple[str, str], int]:
    """Requests that the API server has answered so far, by verb and resource/subresource; from its own metrics."""
    totals: dict[tuple[str, str], int] = {}
    for line in kubectl("get", "--raw", "/metrics").splitlines():
        if not line.startswith("apiserver_request_total{"):
            continue
        labels, value = line.removeprefix("apiserver_request_total").rsplit(" ", 1)
        fields = dict(part.split("=", 1) for part in labels.strip("{}").replace('"', "").split(","))
        if not fields.get("code", "").startswith("2"):
            continue
        resource = "/".join(filter(None, (fields.get("resource"), fields.get("subresource"))))
        key = (fields["verb"], urllib.parse.unquote(resource))
        totals[key] = totals.get(key, 0) + int(float(value))
    return totals
