"""Deployments, daemon sets and stateful sets of real guests: the example, as a person runs it."""

from pathlib import Path

from cluster.tour import Guide


def test_the_example(kubectl, cluster):
    """It samples its floor, moves labels and cordons, and reads the boots that guests count on their disks."""
    stop = Guide(Path(kubectl.program), Path(kubectl.kubeconfig), cluster).visit("workloads")
    assert stop.passed, "\n".join(stop.lines)
