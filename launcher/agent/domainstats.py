"""What the guests of this node use, for Prometheus, by KubeVirt's names: asked of libvirt when somebody scrapes.

What libvirtd says is a tenant's: lists and names are cut, and what is no number is not there.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from hostler.runtime.errors import Error
from launcher.agent import hypervisor
from launcher.agent.facts import DEVICES, NICS, text
from launcher.agent.guests import Running
from launcher.agent.hypervisor import CALL

PATIENCE = 5.0  # seconds for all guests; who has not answered by then is left out
VCPUS = 512
KIB, NANOSECOND = 1024.0, 1e-9
GUEST = ("node", "namespace", "name")
Labels = tuple[str, ...]
Stats = Mapping[str, Any]  # of one domain, by libvirt's names
Family = CounterMetricFamily | GaugeMetricFamily

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stat:
    """One metric, and where its value is: below "vcpu.N.", "net.N." or "block.N." if it is one of a list's."""

    name: str
    text: str
    key: str
    scale: float = 1.0
    of: str = ""
    labels: Labels = ()

    def family(self) -> Family:
        make = CounterMetricFamily if self.name.endswith("_total") else GaugeMetricFamily
        return make(self.name, self.text, labels=(*GUEST, *self.labels))


def vmi(name: str, what: str, key: str, scale: float = 1.0) -> Stat:
    return Stat(f"kubevirt_vmi_{name}", what, key, scale)


def vcpu(name: str, what: str, key: str, *more: str) -> Stat:
    return Stat(f"kubevirt_vmi_vcpu_{name}_total", what, key, NANOSECOND, "vcpu", ("id", *more))


def net(name: str, what: str, key: str) -> Stat:
    return Stat(f"kubevirt_vmi_network_{name}_total", what, key, of="net", labels=("interface",))


def block(name: str, what: str, key: str, scale: float = 1.0) -> Stat:
    return Stat(f"kubevirt_vmi_storage_{name}_total", what, key, scale, "block", ("drive",))


STATS = (
    vmi("cpu_usage_seconds_total", "CPU time of QEMU's process, its guest included", "cpu.time", NANOSECOND),
    vmi("cpu_user_usage_seconds_total", "Of that, outside the kernel", "cpu.user", NANOSECOND),
    vmi("cpu_system_usage_seconds_total", "Of that, in the kernel", "cpu.system", NANOSECOND),
    vmi("memory_domain_bytes", "Memory that the guest may have at most", "balloon.maximum", KIB),
    vmi("memory_actual_balloon_bytes", "Memory that the guest has now", "balloon.current", KIB),
    vmi("memory_resident_bytes", "Memory of the host that QEMU's process uses", "balloon.rss", KIB),
    vmi("memory_available_bytes", "Memory that the guest sees", "balloon.available", KIB),
    vmi("memory_usable_bytes", "Memory that the guest could use without swapping", "balloon.usable", KIB),
    vmi("memory_unused_bytes", "Memory that the guest does not use", "balloon.unused", KIB),
    vmi("memory_cached_bytes", "The guest's page cache", "balloon.disk_caches", KIB),
    vmi("memory_swap_in_traffic_bytes", "Read from the guest's swap", "balloon.swap_in", KIB),
    vmi("memory_swap_out_traffic_bytes", "Written to the guest's swap", "balloon.swap_out", KIB),
    vmi("memory_pgmajfault_total", "Page faults that took a disk", "balloon.major_fault"),
    vmi("memory_pgminfault_total", "Other page faults", "balloon.minor_fault"),
    vcpu("seconds", "Time that a vCPU ran", "time", "state"),
    vcpu("wait_seconds", "Time that a vCPU waited for input and output", "wait"),
    vcpu("delay_seconds", "Time that a vCPU waited for a CPU of the host", "delay"),
    net("receive_bytes", "Bytes to the guest", "rx.bytes"),
    net("receive_packets", "Packets to the guest", "rx.pkts"),
    net("receive_errors", "Errors on the way to the guest", "rx.errs"),
    net("receive_packets_dropped", "Packets dropped on the way to the guest", "rx.drop"),
    net("transmit_bytes", "Bytes from the guest", "tx.bytes"),
    net("transmit_packets", "Packets from the guest", "tx.pkts"),
    net("transmit_errors", "Errors on the way from the guest", "tx.errs"),
    net("transmit_packets_dropped", "Packets dropped on the way from the guest", "tx.drop"),
    block("iops_read", "Reads of a disk", "rd.reqs"),
    block("iops_write", "Writes to a disk", "wr.reqs"),
    block("read_traffic_bytes", "Bytes read", "rd.bytes"),
    block("write_traffic_bytes", "Bytes written", "wr.bytes"),
    block("read_times_seconds", "Time that reads took", "rd.times", NANOSECOND),
    block("write_times_seconds", "Time that writes took", "wr.times", NANOSECOND),
    block("flush_requests", "Flushes of a disk", "fl.reqs"),
    block("flush_times_seconds", "Time that flushes took", "fl.times", NANOSECOND),
)
MOST = {"vcpu": VCPUS, "net": NICS, "block": DEVICES}


def samples(stat: Stat, stats: Stats) -> Iterator[tuple[Labels, float]]:
    """The values of one metric in what libvirt says of one domain."""
    if not stat.of:
        if (value := number(stats, stat.key)) is not None:
            yield (), value * stat.scale
        return
    there = number(stats, "vcpu.current" if stat.of == "vcpu" else f"{stat.of}.count") or 0
    for index in range(min(int(there), MOST[stat.of])):
        value = number(stats, f"{stat.of}.{index}.{stat.key}")
        if value is not None:
            who = str(index) if stat.of == "vcpu" else text(stats.get(f"{stat.of}.{index}.name") or index)
            yield (who, "running")[: len(stat.labels)], value * stat.scale


def number(stats: Stats, key: str) -> float | None:
    value = stats.get(key)
    return float(value) if isinstance(value, int | float) and value >= 0 else None


def families(node: str, found: Iterable[tuple[str, str, Stats]]) -> Iterator[Family]:
    """All metrics of guests: (namespace, name, what libvirt says)."""
    guests = tuple(found)
    for stat in STATS:
        family = stat.family()
        for namespace, name, stats in guests:
            for labels, value in samples(stat, stats):
                family.add_metric((node, namespace, name, *labels), value)
        yield family


class Usage(Collector):
    """Answers a scrape, in the thread of whoever asks; the guests are asked in the agent's loop."""

    def __init__(self, node: str, guests: Callable[[], Iterable[Running]]) -> None:
        self._node, self._guests = node, guests
        self._loop = asyncio.get_running_loop()

    def collect(self) -> Iterator[Family]:
        asked = asyncio.run_coroutine_threadsafe(ask_all(self._guests), self._loop)
        yield from families(self._node, asked.result(2 * PATIENCE))

    def describe(self) -> Iterator[Family]:
        return families(self._node, ())


async def ask_all(guests: Callable[[], Iterable[Running]]) -> list[tuple[str, str, Stats]]:
    """At once: each libvirtd has its own thread."""
    answers = await asyncio.gather(*map(ask, guests()))
    return [each for each in answers if each is not None]


async def ask(guest: Running) -> tuple[str, str, Stats] | None:
    try:
        # cancelled, not late: a call that is late counts as a libvirtd that hangs
        async with asyncio.timeout(PATIENCE):
            said = await guest.hypervisor.control(guest.domain, hypervisor.usage, CALL)
    except (Error, TimeoutError) as error:
        log.debug("no figures", extra={"domain": guest.domain, "error": str(error)})
        return None
    return guest.pod.metadata.namespace, guest.pod.vmi_name or "", said


async def show(node: str, guests: Callable[[], Iterable[Running]]) -> None:
    """They are scraped until this is cancelled."""
    with shown(node, guests):
        await asyncio.Event().wait()


@contextmanager
def shown(node: str, guests: Callable[[], Iterable[Running]], registry: CollectorRegistry = REGISTRY) -> Iterator[None]:
    """They are scraped as long as the block lasts."""
    usage = Usage(node, guests)
    registry.register(usage)
    try:
        yield
    finally:
        registry.unregister(usage)
