"""A node takes guests when the scheduler would send it some."""

import asyncio
from pathlib import Path

import pytest

from hostler.api import launcher
from hostler.api.objects import Node
from hostler.runtime.reflector import Reflector
from hostler.runtime.store import Store
from launcher.agent import readiness
from launcher.agent.pods import LauncherPod
from tests.unit.hostler.runtime.fake_kube import FakeKube

READY = {
    "metadata": {"name": "node1", "labels": {launcher.SCHEDULABLE: "true"}},
    "status": {"allocatable": {launcher.TUN: "1k"}},
}


@pytest.mark.parametrize(
    ("node", "takes"),
    [
        (READY, True),
        (READY | {"status": {"allocatable": {launcher.TUN: "0"}}}, False),
        (READY | {"status": {}}, False),
        (READY | {"metadata": {"name": "node1"}}, False),
        (READY | {"metadata": {"name": "node1", "labels": {launcher.SCHEDULABLE: "false"}}}, False),
    ],
)
def test_takes_guests(node: dict[str, object], takes: bool) -> None:
    assert readiness.takes_guests(node) is takes


async def test_it_is_said_when_it_is_true_and_not_before(tmp_path: Path) -> None:
    kube, store = FakeKube(), Store()
    sign = tmp_path / readiness.SIGN
    sign.touch()  # an earlier process's
    pods = Reflector(kube, LauncherPod, store)
    task = asyncio.create_task(readiness.announce(kube, "node1", [pods], tmp_path, look=0.01))
    await asyncio.sleep(0.05)
    assert not sign.exists()
    await kube.create(Node, None, READY)
    await asyncio.sleep(0.05)
    assert not sign.exists(), "nothing is listed yet"
    watching = asyncio.create_task(pods.run())
    await asyncio.wait_for(task, 30)
    assert sign.exists()
    watching.cancel()
