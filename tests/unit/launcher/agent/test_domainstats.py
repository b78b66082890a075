"""What guests use, in Prometheus' words."""

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from hostler.runtime.errors import Retry
from launcher.agent import domainstats
from launcher.agent.domainstats import MOST, STATS, Stat, samples, shown

SAID = {
    "cpu.time": 3_000_000_000,
    "balloon.rss": 2048,
    "vcpu.current": 2,
    "vcpu.0.time": 1_000_000_000,
    "vcpu.1.time": 500_000_000,
    "net.count": 1,
    "net.0.name": "tap0",
    "net.0.rx.bytes": 77,
    "block.count": 2,
    "block.0.name": "root",
    "block.0.rd.reqs": 5,
    "block.1.rd.reqs": 6,
}


def stat(name: str) -> Stat:
    (found,) = [each for each in STATS if each.name == f"kubevirt_vmi_{name}"]
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cpu_usage_seconds_total", {(): 3.0}),
        ("cpu_user_usage_seconds_total", {}),
        ("memory_resident_bytes", {(): 2 * 2**20}),
        ("vcpu_seconds_total", {("0", "running"): 1.0, ("1", "running"): 0.5}),
        ("vcpu_wait_seconds_total", {}),
        ("network_receive_bytes_total", {("tap0",): 77.0}),
        ("storage_iops_read_total", {("root",): 5.0, ("1",): 6.0}),
    ],
)
def test_samples(name: str, expected: dict[tuple[str, ...], float]) -> None:
    assert dict(samples(stat(name), SAID)) == pytest.approx(expected)


@pytest.mark.parametrize("rubbish", ["3", None, -1, [1], float("nan")])
def test_what_is_no_number_is_not_there(rubbish: Any) -> None:
    assert list(samples(stat("cpu_usage_seconds_total"), {"cpu.time": rubbish})) == []


def test_long_lists_are_cut() -> None:
    said = {"net.count": 10**9} | {f"net.{n}.rx.bytes": n for n in range(1000)} | {"net.0.name": "x" * 10_000}
    found = list(samples(stat("network_receive_bytes_total"), said))
    assert len(found) == MOST["net"]
    assert max(len(label) for (label,), _ in found) <= 256


class Guest:
    """One that answers, one that does not, or one that never does."""

    def __init__(self, name: str, answer: Any) -> None:
        self.domain, self._answer = name, answer
        self.hypervisor, self.pod, self.metadata = self, self, self
        self.namespace, self.vmi_name = "shop", name

    async def control(self, *_: Any) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        if self._answer is None:
            await asyncio.sleep(60)
        return self._answer


async def test_a_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domainstats, "PATIENCE", 0.2)
    guests: Any = [Guest("web", SAID), Guest("gone", Retry(1, "lost")), Guest("hangs", None)]
    registry = CollectorRegistry(auto_describe=True)
    labels = {"node": "n1", "namespace": "shop", "name": "web"}
    with shown("n1", lambda: guests, registry):
        one = await asyncio.to_thread(registry.get_sample_value, "kubevirt_vmi_cpu_usage_seconds_total", labels)
        other = await asyncio.to_thread(
            registry.get_sample_value, "kubevirt_vmi_cpu_usage_seconds_total", labels | {"name": "gone"}
        )
    assert (one, other) == (3.0, None)
