"""What the integration tests share: one API server a run, a namespace a test, Hostler's chart on request."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import programs
from tests.integration import apiserver as servers
from tests.integration.apiserver import ApiServer, Raw

CHART = Path(__file__).parents[2] / "charts" / "hostler"
INSTALLED_IN = "hostler"
SETTLE_SECONDS = 120


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
    """A kind is served, and a policy works, a moment after it is created: the last policy after all the others."""
    for plural, body in last_policies():
        answer = server.create(f"/apis/admissionregistration.k8s.io/v1/{plural}", body)
        assert answer.code == 201, answer.message
    deadline = time.monotonic() + SETTLE_SECONDS
    while not (all_served(server) and last_works(server)):
        assert time.monotonic() < deadline, "the admission policies never took effect"
        time.sleep(0.2)


def last_policies() -> Iterator[tuple[str, Raw]]:
    """They refuse a ConfigMap named `refused`, and change one named `changed`."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    refuse = {"validations": [{"expression": "false", "message": "by the last policy"}]}
    patch = """[JSONPatch{op: "add", path: "/data", value: {"by": "the last policy"}}]"""
    change = {
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
    }
    for kind, does, name in (("validating", refuse, "refused"), ("mutating", change, "changed")):
        spec = {
            "matchConstraints": {"resourceRules": [rule]},
            "matchConditions": [
                {"name": "name", "expression": f"has(object.metadata.name) && object.metadata.name == '{name}'"}
            ],
        }
        binding = {"policyName": "test-last"} | ({"validationActions": ["Deny"]} if kind == "validating" else {})
        yield f"{kind}admissionpolicies", {"metadata": {"name": "test-last"}, "spec": spec | does}
        yield f"{kind}admissionpolicybindings", {"metadata": {"name": "test-last"}, "spec": binding}


def last_works(server: ApiServer) -> bool:
    path = "/api/v1/namespaces/default/configmaps"
    refused = server.create(path, {"metadata": {"name": "refused"}}, dryRun="All")
    changed = server.create(path, {"metadata": {"name": "changed"}}, dryRun="All")
    return refused.code == 422 and changed.body.get("data") == {"by": "the last policy"}


def all_served(server: ApiServer) -> bool:
    found = server.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").body["items"]
    established = {"type": "Established", "status": "True"}
    return all(
        any(established.items() <= each.items() for each in kind.get("status", {}).get("conditions", ()))
        for kind in found
    )
