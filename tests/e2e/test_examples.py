"""The examples that have no test file of their own run as they are; scripts/tour runs the same."""

import subprocess
from pathlib import Path

import pytest

from cluster.tour import Guide
from tests.e2e.vmctl import ROOT, VMCTL, alone


@pytest.fixture(scope="module", autouse=True)
def schedules(request, cluster, tmp_path_factory):
    """What goes by the clock mostly waits: it does so beside the others, if it is asked for."""
    if "test_schedules" not in {each.name for each in request.session.items}:
        yield
        return
    log = tmp_path_factory.mktemp("schedules") / "log"
    command = [*VMCTL, "tour", "schedules", "--name", cluster]
    with log.open("wb") as out, subprocess.Popen(command, env=alone(), cwd=ROOT, stdout=out, stderr=out) as process:
        yield process, log
        process.terminate()


@pytest.mark.parametrize("example", ["hello", "vm", "hotplug", "pool"])
def test_example(kubectl, cluster, example):
    stop = Guide(Path(kubectl.program), Path(kubectl.kubeconfig), cluster).visit(example)
    assert stop.passed, "\n".join(stop.lines)


def test_schedules(schedules):
    process, log = schedules
    assert process.wait(600) == 0, log.read_text()
