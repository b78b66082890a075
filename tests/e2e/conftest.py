"""A cluster with Hostler on it, made once for all tests of a run and removed afterwards; each worker has its own.

HOSTLER_E2E_CLUSTER=NAME takes a cluster that is up, with Hostler on it, and leaves it there: for quick rounds.
"""

import json
import os
from collections.abc import Callable, Iterator

import pytest

from cluster import images
from tests.e2e.vmctl import TEST_NAMESPACE, Kubectl, fresh_namespace, status, vmctl

NAME = "e2e"
LONG = (
    "jobs",
    "examples",
    "fencing",
    "migration",
    "vmware",
    "spine",
    "gateway",
    "disks",
    "workloads",
    "debian",
    "kill",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that no worker waits for another at the end."""
    places = {f"test_{name}": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="session")
def cluster(worker_id: str) -> Iterator[str]:
    """The name of a cluster of two nodes with Hostler installed by its chart."""
    if given := os.environ.get("HOSTLER_E2E_CLUSTER"):
        yield given
        return
    name = NAME if worker_id == "master" else f"{NAME}-{worker_id}"
    try:
        vmctl("up", "--name", name, "--nodes", "2", "--no-example")
        yield name
    finally:
        vmctl("cluster", "down", "--name", name)


@pytest.fixture(scope="session")
def kubectl(cluster: str) -> Iterator[Kubectl]:
    made = Kubectl(cluster)
    yield made
    made("delete", "namespace", "-l", TEST_NAMESPACE, "--timeout=300s")  # which they are already: nothing holds them


@pytest.fixture(scope="session")
def kubeconfig(kubectl: Kubectl) -> str:
    return kubectl.kubeconfig


@pytest.fixture(scope="session")
def debian(cluster: str) -> str:
    """The reference of the Debian guest's image, which every node of the cluster has."""
    built = images.build(["debian"])["debian"]
    vmctl("cluster", "load", str(built.tar), "--name", cluster)
    return built.ref


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    with fresh_namespace(kubectl) as name:
        yield name


@pytest.fixture
def cluster_processes(cluster: str) -> Callable[[str], int]:
    """Program of the cluster -> its pid now."""
    return lambda program: int(status(cluster)["programs"][program]["pid"])


@pytest.fixture
def prober(kubectl: Kubectl, namespace: str) -> str:
    """A pod with Python that looks at guests from the outside; its name."""
    deployed = kubectl("get", "deployment", "-n", "hostler", "-l", "app.kubernetes.io/component=manager", "-o", "json")
    image = json.loads(deployed)["items"][0]["spec"]["template"]["spec"]["containers"][0]["image"]
    command = ["python3", "-c", "import signal; signal.pause()"]
    container = {"name": "prober", "image": image, "command": command, "securityContext": {"runAsUser": 0}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "prober"},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    kubectl.apply(namespace, pod)
    kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod/prober", "--timeout=120s")
    return "prober"
