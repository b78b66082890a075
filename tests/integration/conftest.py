"""What the integration tests share: one API server a run, a namespace a test, Hostler's chart on request."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import programs
from tests.integration import apiserver as servers
from tests.integration.apiserver import ApiServer

CHART = Path(__file__).parents[2] / "charts" / "hostler"
INSTALLED_IN = "hostler"
SETTLE_SECONDS = 30


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server, asked by its administrator; nobody controls, schedules or runs anything behind it."""
    found = programs.find(["etcd", "kube-apiserver"])
    with (
        servers.etcd(found["etcd"], tmp_path_factory.mktemp("etcd")) as etcd,
        servers.kube_apiserver(found["kube-apiserver"], etcd, tmp_path_factory.mktemp("apiserver")) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def hostler(apiserver: ApiServer) -> ApiServer:
    """The API server with our chart on it: CRDs, admission policies, roles; no process of ours runs."""
    helm = programs.find(["helm"])["helm"]
    arguments = ["install", "hostler", str(CHART), "--namespace", INSTALLED_IN, "--create-namespace"]
    done = subprocess.run(
        [helm, *arguments, "--kubeconfig", apiserver.kubeconfig], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    wait_for_admission(apiserver)
    return apiserver


@pytest.fixture
def namespace(apiserver: ApiServer) -> str:
    """A namespace of its own for one test."""
    answer = apiserver.create("/api/v1/namespaces", {"metadata": {"generateName": "test-"}})
    assert answer.code == 201, answer.message
    return str(answer.body["metadata"]["name"])


def wait_for_admission(server: ApiServer) -> None:
    """A policy works a moment after it is created."""
    vmi = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": "probe", "labels": {"kubevirt.io/nodeName": "x"}},
        "spec": {"domain": {"devices": {}, "memory": {"guest": "64Mi"}}},
    }
    path = "/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances"
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        refused = server.create(path, vmi, dryRun="All")
        made = server.create(path, vmi | {"metadata": {"name": "probe"}}, dryRun="All")
        if (
            "hostler-vmi" in refused.message
            and "evictionStrategy" in made.body.get("spec", {})
            and "status" in made.body
        ):
            return
        time.sleep(0.2)
    pytest.fail(f"the admission policies never took effect: {refused.message} {made.body}")
