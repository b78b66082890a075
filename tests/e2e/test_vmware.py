"""An import from a simulated vCenter, with a real guest and the real virt-v2v, as the example does it.

A worker that is killed in the middle of a disk: tests/integration/test_vsphere_workers.py.
"""

from pathlib import Path

from cluster.tour import Guide


def test_the_example(kubectl, cluster):
    stop = Guide(Path(kubectl.program), Path(kubectl.kubeconfig), cluster).visit("vmware")
    assert stop.passed, "\n".join(stop.lines)
