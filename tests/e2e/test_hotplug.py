"""A running guest gets more: one more CPU, more memory, a disk that comes and goes, seen by the guest itself."""

from pathlib import Path

from cluster.tour import Guide


def test_the_example(kubectl, cluster):
    stop = Guide(Path(kubectl.program), Path(kubectl.kubeconfig), cluster).visit("hotplug")
    assert stop.passed, "\n".join(stop.lines)
