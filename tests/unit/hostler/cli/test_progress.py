"""Rollouts for people and for programs."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from hostler.api.apps import CHANGE_CAUSE, VirtualMachineDaemonSet, VirtualMachineDeployment
from hostler.api.kubevirt.pool import VirtualMachinePool
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.objects import ControllerRevision
from hostler.cli import progress, revisions, rollout
from hostler.cli.main import app
from hostler.cli.revisions import Found
from hostler.runtime.errors import Terminal
from hostler.runtime.protocol import Kind, Raw

SELECTOR = {"selector": {"matchLabels": {"app": "web"}}}
NO_IMAGE = {"type": "Synchronized", "status": "False", "reason": "ErrImagePull", "message": "no such image"}
LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "too late"}
GUEST = {"metadata": {"name": "web-0"}, "status": {"conditions": [NO_IMAGE]}}
STAMP = "2026-06-01T12:00:00Z"


class Cluster:
    """Shows one object, which changes from look to look, and lists what else there is."""

    def __init__(self, looks: list[Raw], lists: dict[Kind, list[Raw]] | None = None) -> None:
        self.looks, self.lists = looks, lists or {}

    async def get(self, *_: Any) -> Raw:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    async def list(self, kind: Kind, *_: Any, **__: Any) -> tuple[list[Raw], str]:
        return self.lists.get(kind, []), "1"


def web(**status: Any) -> Raw:
    metadata = {"name": "web", "namespace": "shop", "uid": "u", "generation": 1}
    return {"metadata": metadata, "spec": {"replicas": 2} | SELECTOR, "status": {"observedGeneration": 1} | status}


HALF = web(updatedReplicas=1, replicas=2, readyReplicas=1, availableReplicas=1)
DONE = web(updatedReplicas=2, replicas=2, readyReplicas=2, availableReplicas=2)


@pytest.fixture
def vmctl(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run it against what a Cluster shows."""
    monkeypatch.setattr(progress, "POLL", 0.0)

    def vmctl(cluster: Cluster, *words: str) -> Any:
        def run(work: Callable[[Any, str], Awaitable[Any]], *_: Any) -> Any:
            return asyncio.run(work(cluster, "shop"))

        monkeypatch.setattr(rollout, "run", run)
        return CliRunner().invoke(app, ["rollout", *words])

    return vmctl


def test_for_people_each_step_is_a_line(vmctl) -> None:
    done = vmctl(Cluster([HALF, HALF, DONE]), "status", "vmdeploy/web")
    assert done.stdout.splitlines() == [
        'Waiting for deployment "web" rollout to finish: 1 out of 2 new replicas have been updated...',
        'deployment "web" successfully rolled out',
    ]
    assert done.exit_code == 0


def test_for_programs_the_end_is_an_object(vmctl) -> None:
    done = vmctl(Cluster([HALF, DONE]), "status", "vmdeploy/web", "-o", "json")
    assert json.loads(done.stdout) == {
        "kind": "VirtualMachineDeployment",
        "namespace": "shop",
        "name": "web",
        "desired": 2,
        "updated": 2,
        "ready": 2,
        "available": 2,
        "done": True,
        "failed": "",
        "message": 'deployment "web" successfully rolled out',
        "causes": [],
    }


@pytest.mark.parametrize(
    ("looks", "options", "failed"),
    [
        pytest.param(web(conditions=[LATE]), [], "ProgressDeadlineExceeded", id="it has failed"),
        pytest.param(HALF, ["--timeout", "0.01"], "TimedOut", id="it takes too long"),
        pytest.param(HALF, ["--no-watch"], "", id="it is looked at once"),
    ],
)
def test_for_programs_the_causes_are_told(vmctl, looks: Raw, options: list[str], failed: str) -> None:
    cluster = Cluster([looks], {VirtualMachineInstance: [GUEST]})
    done = vmctl(cluster, "status", "vmdeploy/web", "-o", "json", *options)
    told = json.loads(done.stdout)
    assert (told["done"], told["failed"]) == (False, failed)
    assert "web-0: ErrImagePull: no such image" in told["causes"]
    assert isinstance(done.exception, Terminal) == bool(failed)


def test_for_people_each_cause_is_told_once(vmctl) -> None:
    cluster = Cluster([HALF, web(conditions=[LATE])], {VirtualMachineInstance: [GUEST]})
    done = vmctl(cluster, "status", "vmdeploy/web")
    assert done.stderr.count("ErrImagePull: no such image") == 1
    assert str(done.exception) == 'deployment "web" exceeded its progress deadline'


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        (VirtualMachineDeployment, {"readyReplicas": 1}, (2, 0, 1, 0)),
        (VirtualMachineDaemonSet, {"desiredNumberScheduled": 3, "numberReady": 1}, (3, 0, 1, 0)),
        (VirtualMachinePool, {"readyReplicas": 1}, (2, None, 1, None)),
    ],
)
def test_counts(kind: Any, status: Raw, expected: Any) -> None:
    assert revisions.counts(Found(kind, "web", web(**status))) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(
            [],
            [
                {"revision": 1, "changeCause": "", "created": STAMP},
                {"revision": 2, "changeCause": "a better image", "created": STAMP},
            ],
            id="all",
        ),
        pytest.param(
            ["--revision", "1"],
            {"revision": 1, "changeCause": "", "created": STAMP, "template": {"metadata": {}, "spec": {"a": 1}}},
            id="one",
        ),
    ],
)
def test_history_for_programs(vmctl, options: list[str], expected: Any) -> None:
    def page(number: int, **annotations: str) -> Raw:
        owner = {"uid": "u", "controller": True}
        metadata = {"annotations": annotations, "ownerReferences": [owner], "creationTimestamp": STAMP}
        return {"revision": number, "metadata": metadata, "data": {"spec": {"template": {"spec": {"a": number}}}}}

    pages = [page(2, **{CHANGE_CAUSE: "a better image"}), page(1)]
    done = vmctl(Cluster([web()], {ControllerRevision: pages}), "history", "vmsts/web", "-o", "json", *options)
    assert json.loads(done.stdout) == expected
