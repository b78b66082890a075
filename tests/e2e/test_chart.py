"""helm upgrade and helm uninstall, as the administrator of a cluster with guests on it does them."""

import json
import subprocess

import pytest
import yaml

from cluster import catalog, programs
from hostler.cli.up import CHART
from tests.e2e import seen
from tests.e2e.manifests import vmi
from tests.e2e.vmctl import fresh_namespace, until_others_are_gone, vmctl

KEPT = {"CustomResourceDefinition"}


@pytest.fixture
def helm(kubeconfig):
    program = programs.cache() / "bin" / catalog.KUBERNETES / "helm"
    assert program.exists(), "vmctl up has put it there"

    def run(*words, check=True):
        command = [str(program), *words, f"--kubeconfig={kubeconfig}", "--namespace=hostler"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def reinstalled(cluster):
    """Whatever the test leaves, Hostler is there afterwards."""
    yield
    vmctl("up", "--name", cluster, "--no-example")


def test_an_upgrade_disturbs_no_guest_and_an_uninstall_loses_none(kubectl, helm, reinstalled):
    with fresh_namespace(kubectl) as namespace:
        kubectl.apply(namespace, vmi("steady"))
        kubectl("wait", "-n", namespace, "--for=condition=Ready", "vmi/steady", "--timeout=120s")
        before = seen.guests(namespace)
        assert len(before) == 1
        agents = pods(kubectl, "agent")

        helm(
            "upgrade", "hostler", str(CHART), "--reuse-values", "--wait", "--timeout=240s",
            "--set=agent.logLevel=debug", "--set=manager.logLevel=debug",
        )  # fmt: skip
        assert not agents & pods(kubectl, "agent"), "both agents are new"
        assert seen.guests(namespace) == before, "the same QEMU runs on"
        kubectl.apply(namespace, vmi("newer"))
        kubectl("wait", "-n", namespace, "--for=condition=Ready", "vmi/newer", "--timeout=120s")

        refused = helm("uninstall", "hostler", "--timeout=120s", check=False)
        assert refused.returncode != 0
        told = refused.stderr + refused.stdout
        assert f"{namespace}/steady" in told, told
        assert "kubectl delete" in told
        assert pods(kubectl, "agent"), "Hostler is left as it was"
        assert set(seen.guests(namespace)) == {"steady", "newer"}
        way_back = next(line.split() for line in told.splitlines() if line.strip().startswith("helm rollback"))
        helm(*way_back[1:], "--wait", "--timeout=120s")
        assert json.loads(helm("status", "hostler", "-o", "json").stdout)["info"]["status"] == "deployed"
        assert set(seen.guests(namespace)) == {"steady", "newer"}
        kubectl("delete", "-n", namespace, "vmi", "--all", "--timeout=120s")

    until_others_are_gone(kubectl)
    resources = {(item["kind"], item["metadata"]["name"]) for item in manifests(helm)}
    helm("uninstall", "hostler", "--wait", "--timeout=120s")
    left = {(kind, name) for kind, name in resources if kind not in KEPT and exists(kubectl, kind, name)}
    assert left == set()
    ours = "app.kubernetes.io/managed-by=hostler-manager"
    seen.until("the certificates go, too", lambda: not seen.items(kubectl, "hostler", "secrets", ours), 60)
    assert exists(kubectl, "CustomResourceDefinition", "virtualmachineinstances.kubevirt.io"), "no VM is lost by it"


def pods(kubectl, component):
    labels = f"app.kubernetes.io/component={component}"
    return {pod["metadata"]["uid"] for pod in seen.items(kubectl, "hostler", "pods", labels)}


def manifests(helm):
    """All objects of the release but its hooks."""
    return [item for item in yaml.safe_load_all(helm("get", "manifest", "hostler").stdout) if item]


def exists(kubectl, kind, name):
    found = kubectl("get", kind, name, "-n", "hostler", "--ignore-not-found", "-o", "json")
    return bool(found.strip()) and json.loads(found)["metadata"].get("deletionTimestamp") is None
