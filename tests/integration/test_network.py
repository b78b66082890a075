"""A guest's network, in real network namespaces: what the agent sets up, and what goes through it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from launcher.agent import dhcp, guestnet, netadmin, network, plumbing
from tests.integration import pod_network
from tests.integration.pod_network import GUEST, GUEST_MAC, OTHER, POD, POD_MAC, World, connects, listening, pings, run

pytestmark = pytest.mark.skipif(bool(pod_network.missing()), reason=pod_network.missing())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with pod_network.world(tmp_path) as made:
        yield made


@asynccontextmanager
async def guest_network(world: World, nic: network.Nic, mac: str) -> AsyncIterator[network.Uplink]:
    """What the agent does for one guest."""
    pod = await netadmin.connect(world.namespace, nic)
    told = guestnet.Told(hostname="web-0", nameservers=(IPv4Address("10.96.0.10"),), search=("default.svc", "svc"))
    server = await dhcp.serve(world.namespace, guestnet.lease(pod, nic, mac, told))
    try:
        yield pod
    finally:
        server.close()


def masquerade(*ports: tuple[str, int, int]) -> network.Nic:
    return network.Nic("default", "masquerade", IPv4Network("10.0.2.0/24"), ports)


BRIDGE = network.Nic("default", "bridge", IPv4Network("10.0.2.0/24"))


async def test_masquerade_gives_a_lease_and_leads_both_ways(world: World) -> None:
    async with guest_network(world, masquerade(), GUEST_MAC) as pod:
        assert pod.address == IPv4Interface("10.88.0.5/24")
        world.plug_guest(GUEST_MAC)
        told = await asyncio.to_thread(world.ask_dhcp)
        assert (told["ip"], told["router"], told["mtu"]) == ("10.0.2.2", "10.0.2.1", "1450")
        assert (told["dns"], told["hostname"], told["domain"]) == ("10.96.0.10", "web-0", "default.svc")
        assert told["search"] == "default.svc svc"
        assert told["lease"] == "4294967295"
        assert pings(GUEST, "10.88.0.6"), "the guest reaches another pod"
        assert pings(OTHER, "10.88.0.5"), "another pod reaches the guest"
        run("ip", "link", "set", "card", "down", within=GUEST)
        assert not pings(OTHER, "10.88.0.5", tries=1), "it was the guest that answered"


@pytest.mark.parametrize(
    ("ports", "port", "reached"),
    [
        pytest.param((), 80, True, id="all ports"),
        pytest.param((("tcp", 80, 80),), 80, True, id="the listed port"),
        pytest.param((("tcp", 8000, 8100),), 8080, True, id="a port of a range"),
        pytest.param((("tcp", 443, 443), ("udp", 80, 80)), 80, False, id="not the others"),
    ],
)
async def test_masquerade_forwards(world: World, ports: tuple[tuple[str, int, int], ...], port: int, reached: bool):
    async with guest_network(world, masquerade(*ports), GUEST_MAC):
        world.plug_guest(GUEST_MAC)
        run("ip", "address", "add", "10.0.2.2/24", "dev", "card", within=GUEST)
        run("ip", "route", "add", "default", "via", "10.0.2.1", within=GUEST)
        with listening(port):
            assert connects(OTHER, "10.88.0.5", port) == reached
            assert connects(POD, "127.0.0.1", port) == reached, "kubectl port-forward connects to the pod's localhost"
        assert pings(OTHER, "10.88.0.5")


async def test_bridge_hands_over_address_mac_and_routes(world: World) -> None:
    async with guest_network(world, BRIDGE, POD_MAC):
        world.plug_guest(POD_MAC)
        told = await asyncio.to_thread(world.ask_dhcp)
        assert (told["ip"], told["router"], told["mtu"]) == ("10.88.0.5", "10.88.0.1", "1450")
        assert pings(GUEST, "10.88.0.6")
        assert pings(OTHER, "10.88.0.5")
        run("ip", "link", "set", "card", "down", within=GUEST)
        run("ip", "neighbour", "flush", "all", within=OTHER)
        assert not pings(OTHER, "10.88.0.5", tries=1), "it was the guest that answered"


@pytest.mark.parametrize("nic", [pytest.param(masquerade(), id="masquerade"), pytest.param(BRIDGE, id="bridge")])
async def test_a_restarted_agent_finds_the_same_and_changes_nothing(world: World, nic: network.Nic) -> None:
    async with guest_network(world, nic, POD_MAC) as first:
        world.plug_guest(POD_MAC)
        await asyncio.to_thread(world.ask_dhcp)
    before = state(POD)
    async with guest_network(world, nic, POD_MAC) as second:
        assert second == first
        assert state(POD) == before
        assert pings(OTHER, "10.88.0.5")


async def test_bridge_is_finished_after_a_crash_at_any_line(world: World) -> None:
    wanted = None
    for lines in range(1, 20):
        before = network.links(json.loads(run("ip", "-details", "-json", "address", within=POD)))
        pod = network.uplink(before, network.routes(json.loads(run("ip", "-4", "-json", "route", within=POD))))
        todo = plumbing.changes(before, pod, BRIDGE)
        for line in todo.ip[:lines]:
            run("sh", "-c", f"ip {line}", within=POD)
        wanted = wanted or pod
        assert pod == wanted
    async with guest_network(world, BRIDGE, POD_MAC) as pod:
        assert pod == wanted
        world.plug_guest(POD_MAC)
        await asyncio.to_thread(world.ask_dhcp)
        assert pings(OTHER, "10.88.0.5")


async def test_bridge_hears_no_dhcp_of_its_neighbours(world: World) -> None:
    """A guest's DISCOVER stays in its pod, and nobody else's gets in."""
    async with guest_network(world, BRIDGE, POD_MAC):
        world.plug_guest(GUEST_MAC)  # a card that is not the guest's
        command = ("busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "2", "-T", "1", "-s", "/bin/true")
        assert await asyncio.to_thread(lambda: run(*command, within=OTHER, check=False)) != "0"
        card = ("busybox", "udhcpc", "-i", "card", "-n", "-q", "-f", "-t", "2", "-T", "1", "-s", "/bin/true")
        assert await asyncio.to_thread(lambda: run(*card, within=GUEST, check=False)) != "0"


def state(namespace: str) -> list[str]:
    """All links and addresses, without counters; an IPv6 address is tentative for its first second."""
    told = [run("ip", "-json", what, within=namespace) for what in ("link", "address", "route")]
    return [text.replace('"tentative":true,', "") for text in told]
