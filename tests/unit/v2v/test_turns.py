"""Who has a turn among the workers, and who only waits."""

from typing import Any

import pytest

from hostler.api.cdi import DataVolume
from hostler.api.objects import Pod
from hostler.runtime import disk_report
from hostler.runtime.disk_report import Report
from hostler.runtime.store import Store
from tests.unit import make
from tests.unit.make import NOON, ago
from v2v import turns, worker_pod

OWNER = {"apiVersion": "cdi.kubevirt.io/v1beta1", "kind": "DataVolume", "name": "d", "uid": "uid-d", "controller": True}
RUNNING, CREATING = {"running": {"startedAt": ago(30)}}, {"waiting": {"reason": "ContainerCreating"}}
ENDED = {"terminated": {"exitCode": 0}}


def pod(state: Any, kind: str = "importer", label: str = worker_pod.VALUE, phase: str = "Running", **more: Any) -> Any:
    labels = {worker_pod.LABEL: label, "cdi.kubevirt.io": kind}
    statuses = [{"name": "worker", "state": state}] if state else []
    metadata = make.meta("p", labels=labels, ownerReferences=[OWNER], **more)
    return {"metadata": metadata, "status": {"phase": phase, "containerStatuses": statuses}}


def volume(**said: Any) -> Any:
    word = Report(**{"uid": "uid-d", "pod": "uid-p", **said}).text(NOON)
    metadata = make.meta("d", annotations={disk_report.ANNOTATION: word} if said else {})
    return {"metadata": metadata, "spec": {"source": {"upload": {}}}}


@pytest.mark.parametrize(
    ("seen", "of", "taken"),
    [
        pytest.param(pod(RUNNING, age=3600), volume(), 1, id="at work"),
        pytest.param(pod(RUNNING, age=3600, dying=True), volume(), 0, id="done, or on a lost node"),
        pytest.param(pod(RUNNING, label="virt-launcher"), volume(), 0, id="no worker"),
        pytest.param(pod(None, age=5, phase="Pending"), volume(), 1, id="just made"),
        pytest.param(pod(CREATING, age=59, phase="Pending"), volume(), 1, id="about to start"),
        pytest.param(pod(CREATING, age=61, phase="Pending"), volume(), 0, id="waits for a Secret"),
        pytest.param(pod(None, age=61, phase="Pending"), volume(), 0, id="waits for a node"),
        pytest.param(pod({"waiting": {"reason": "CrashLoopBackOff"}}, age=61), volume(), 0, id="waits for its server"),
        pytest.param(pod(ENDED, age=5, phase="Succeeded"), volume(), 0, id="has ended"),
        pytest.param(pod(RUNNING, "uploader"), volume(), 1, id="not ready for an upload yet"),
        pytest.param(pod(RUNNING, "uploader", age=5), volume(state="ready"), 0, id="waits for an upload"),
        pytest.param(pod(RUNNING, "uploader"), volume(state="ready", percent=0), 1, id="the upload comes"),
        pytest.param(pod(RUNNING, "uploader"), volume(state="ready", pod="uid-old"), 1, id="another pod waited"),
        pytest.param(pod(RUNNING), volume(state="ready"), 1, id="an importer does not wait for uploads"),
    ],
)
def test_taken(seen: Any, of: Any, taken: int) -> None:
    store = Store()
    store.observe(Pod, seen)
    store.observe(DataVolume, of)
    assert turns.taken(turns.look(store), NOON) == taken
