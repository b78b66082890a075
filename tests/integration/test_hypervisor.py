"""One contract for everything that calls itself a Hypervisor: libvirt's own test driver, and the tests' stand-in."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest

from hostler.runtime.errors import Retry, Terminal
from launcher.agent import hypervisor
from launcher.agent.hypervisor import Hypervisor
from launcher.agent.worker import Worker
from tests.unit.launcher.agent.standin import StandIn

SOON = 30.0
NAMES = count()
libvirt = pytest.importorskip("libvirt")


def xml(name: str, extra: str = "") -> str:
    return f"""
<domain type="test">
  <name>{name}</name>
  <memory>65536</memory>
  <os><type machine="q35">hvm</type></os>
  <devices>
    <disk type="file"><source file="/nowhere"/><target dev="vda" bus="virtio"/><alias name="ua-root"/></disk>
    <interface type="ethernet">
      <mac address="52:54:00:00:00:01"/><target dev="tap0" managed="no"/><alias name="ua-default"/>
    </interface>{extra}
  </devices>
</domain>"""


@pytest.fixture(params=["libvirt", "stand-in"])
async def one(request: pytest.FixtureRequest) -> AsyncIterator[Hypervisor]:
    worker = Worker("test")
    libvirts = request.param == "libvirt"
    made: Hypervisor = await hypervisor.connect("test:///default", worker) if libvirts else StandIn()
    yield made
    made.close()
    worker.close()


@pytest.fixture
def name() -> str:
    """libvirt's test driver has one world a process."""
    return f"ns_vm-{next(NAMES)}"


def end(one: Any, name: str) -> None:
    """Something else than we ends the guest."""
    if isinstance(one, StandIn):
        one.end(name)
    else:
        libvirt.open("test:///default").lookupByName(name).destroy()


async def test_a_started_domain_is_seen(one: Hypervisor, name: str) -> None:
    started = await one.start(xml(name))
    assert (started.name, started.state, started.machine) == (name, "running", "q35")
    assert started.macs == {"default": "52:54:00:00:00:01"}
    assert started.disks == {"root": "vda"}
    assert not started.agent
    assert started in await one.domains()


async def test_a_start_is_heard_of(one: Hypervisor, name: str) -> None:
    await one.start(xml(name))
    await asyncio.wait_for(one.changed(), SOON)


async def test_an_end_is_heard_of(one: Hypervisor, name: str) -> None:
    await one.start(xml(name))
    await asyncio.wait_for(one.changed(), SOON)
    end(one, name)
    await asyncio.wait_for(one.changed(), SOON)
    assert name not in {domain.name for domain in await one.domains()}


async def test_domains_may_end_while_they_are_counted(one: Hypervisor) -> None:
    """Asked again and again while others come and go: it is never an error."""
    names = [f"ns_brief-{next(NAMES)}" for _ in range(50)]

    async def come_and_go() -> None:
        for each in names:
            await one.start(xml(each))
            await asyncio.to_thread(end, one, each)

    going = asyncio.create_task(come_and_go())
    while not going.done():
        await one.domains()
        await asyncio.sleep(0)  # what answers at once must let the other go on, too
    await going


async def test_silence_is_not_heard(one: Hypervisor) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(one.changed(), 0.2)


async def test_no_domain_starts_twice(one: Hypervisor, name: str) -> None:
    await one.start(xml(name))
    with pytest.raises(Retry):
        await one.start(xml(name))


async def test_bad_xml_is_not_tried_again(one: Hypervisor) -> None:
    with pytest.raises(Terminal, match="<domain"):
        await one.start("<domain type='test'><name>")


async def test_an_unknown_guest_is_an_error(one: Hypervisor) -> None:
    with pytest.raises(Retry):
        await one.guest("nobody")


async def test_no_libvirtd_is_an_error() -> None:
    with pytest.raises(Retry):
        await hypervisor.connect("qemu+unix:///session?socket=/nowhere", Worker("test"))
