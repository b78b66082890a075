"""A label on a namespace, and nothing is done there; without it, all is looked at again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import REGISTRY

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.objects import Event, Namespace
from hostler.runtime.manager import manage
from hostler.runtime.pause import LABEL
from hostler.runtime.plan import Controller, Create, Plan
from tests.unit.hostler.runtime.fake_kube import FakeKube
from tests.unit.hostler.runtime.kube_contract import ConfigMap
from tests.unit.make import vmi

HOME, SHOP, OTHER = "hostler", "shop", "other"


def made(parent: Any, _seen: None, _now: Any) -> Plan:
    """A map for each VMI, whenever it has none."""
    meta = {"name": parent.metadata.name, "namespace": parent.metadata.namespace}
    return Plan((Create(ConfigMap, {"metadata": meta}, blind=True),))


CONTROLLER: Any = Controller(
    name="test", parent=VirtualMachineInstance, children=(), look=lambda *_: None, plan=made,
    failed=lambda *_: Plan(), subresource=None,
)  # fmt: skip


class Cluster:
    """Three namespaces, and a manager of one controller."""

    def __init__(self) -> None:
        self.kube = FakeKube()

    async def start(self) -> None:
        for name in (HOME, SHOP, OTHER):
            await self.kube.create(Namespace, "", {"metadata": {"name": name}})

    async def label(self, name: str, value: str | None) -> None:
        await self.kube.patch(Namespace, "", name, {"metadata": {"labels": {LABEL: value}}})

    async def add(self, namespace: str, name: str) -> None:
        body = vmi(name, namespace=namespace).model_dump(mode="json", by_alias=True, exclude_unset=True)
        body["metadata"].pop("resourceVersion")
        await self.kube.create(VirtualMachineInstance, namespace, body)

    def maps(self) -> list[str]:
        return sorted(self.kube.names(ConfigMap))

    async def until(self, maps: list[str]) -> None:
        async with asyncio.timeout(5):
            while self.maps() != maps:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def known(self, namespace: str, value: float | None) -> None:
        """The metric tells what the manager knows."""
        async with asyncio.timeout(5):
            while REGISTRY.get_sample_value("hostler_paused", {"namespace": namespace}) != value:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def managed(self) -> AsyncIterator[None]:
        task = asyncio.create_task(manage(self.kube, [CONTROLLER], "test", "test-0", home=HOME))
        try:
            yield
        finally:
            assert not task.done(), task
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def cluster() -> Cluster:
    cluster = Cluster()
    await cluster.start()
    return cluster


@pytest.mark.parametrize(
    ("paused", "meanwhile"),
    [
        pytest.param(SHOP, ["b-other"], id="one namespace"),
        pytest.param(HOME, [], id="everything"),
    ],
)
async def test_what_is_paused_is_left_alone(cluster: Cluster, paused: str, meanwhile: list[str]) -> None:
    await cluster.label(paused, "true")
    await cluster.add(SHOP, "a-shop")
    async with cluster.managed():
        await cluster.known(paused, 1)
        await cluster.add(OTHER, "b-other")
        await cluster.until(meanwhile)
        await asyncio.sleep(0.1)  # that nothing more comes can only be seen by waiting
        assert cluster.maps() == meanwhile
        await cluster.label(paused, None)
        await cluster.until(["a-shop", "b-other"])
        await cluster.known(paused, None)


async def test_again_and_again(cluster: Cluster) -> None:
    async with cluster.managed():
        for turn in range(3):
            await cluster.label(SHOP, "true")
            await cluster.known(SHOP, 1)
            await cluster.add(SHOP, f"vm-{turn}")
            await cluster.label(SHOP, None)
            await cluster.until([f"vm-{each}" for each in range(turn + 1)])
        async with asyncio.timeout(5):
            while len(cluster.kube.names(Event)) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    events, _ = await cluster.kube.list(Event)
    told = {(each["regarding"]["kind"], each["regarding"]["name"], each["reason"]) for each in events}
    assert told == {("Namespace", SHOP, "Paused"), ("Namespace", SHOP, "Resumed")}


async def test_another_word_is_no_pause(cluster: Cluster) -> None:
    await cluster.label(HOME, "false")
    await cluster.add(SHOP, "a")
    async with cluster.managed():
        await cluster.until(["a"])
