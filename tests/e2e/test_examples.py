"""The examples that have no test file of their own run as they are; scripts/tour runs the same."""

from pathlib import Path

import pytest

from cluster.tour import Guide


@pytest.mark.parametrize("example", ["hello", "vm", "hotplug", "pool", "schedules"])
def test_example(kubectl, cluster, example):
    stop = Guide(Path(kubectl.program), Path(kubectl.kubeconfig), cluster).visit(example)
    assert stop.passed, "\n".join(stop.lines)
