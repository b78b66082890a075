"""Deployments, daemon sets and stateful sets of real guests: the example, as a person runs it, and a node more."""

from pathlib import Path

from cluster.tour import Guide
from tests.e2e import seen
from tests.e2e.vmctl import vmctl

PROBE = Path(__file__).parents[2] / "examples" / "workloads" / "probe.yaml"


def test_the_example(kubectl, cluster):
    """It samples its floor, moves labels and cordons, and reads the boots that guests count on their disks."""
    stop = Guide(Path(kubectl.program), Path(kubectl.kubeconfig), cluster).visit("workloads")
    assert stop.passed, "\n".join(stop.lines)


def test_a_daemon_set_follows_a_node_that_is_added_and_removed(kubectl, cluster, namespace):
    old = names(kubectl)
    resize = ("up", "--name", cluster, "--no-example", "--nodes")
    kubectl("label", "nodes", "--all", "probe=yes")
    try:
        kubectl("apply", "-n", namespace, "-f", str(PROBE))
        seen.until("one on each node", lambda: running(kubectl, namespace) == old, 120)
        vmctl(*resize, str(len(old) + 1))
        (new,) = names(kubectl) - old
        kubectl("label", "node", new, "probe=yes")
        seen.until("one on the new node", lambda: running(kubectl, namespace) == old | {new}, 120)
        counts = seen.get(kubectl, namespace, "vmds", "probe")["status"]
        assert counts["desiredNumberScheduled"] == len(old) + 1
    finally:
        vmctl(*resize, str(len(old)))
        kubectl("label", "nodes", "--all", "probe-")
    seen.until("none", lambda: not seen.items(kubectl, namespace, "vmi"), 120)


def names(kubectl):
    return {node["metadata"]["name"] for node in seen.items(kubectl, "default", "nodes")}


def running(kubectl, namespace):
    """The nodes where there is a guest, and it runs."""
    guests = [vmi.get("status", {}) for vmi in seen.items(kubectl, namespace, "vmi")]
    return {status.get("nodeName") for status in guests if status.get("phase") == "Running"}
