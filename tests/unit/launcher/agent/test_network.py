from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from hostler.api.kubevirt.vmi import VirtualMachineInstanceSpec
from hostler.runtime.errors import Terminal
from launcher.agent import network, plumbing
from launcher.agent.network import Link, Nic, Route, Uplink

DEFAULT = Route(IPv4Network("0.0.0.0/0"), IPv4Address("10.88.0.1"))
UPLINK = Uplink(IPv4Interface("10.88.0.5/24"), "0a:58:0a:58:00:05", 1450, (DEFAULT,))
ETH0 = Link("eth0", UPLINK.mac, 1450, addresses=(UPLINK.address,))
POD = {"eth0": ETH0}
MASQUERADE = Nic("default", "masquerade", IPv4Network("10.0.2.0/24"))
BRIDGE = Nic("default", "bridge", IPv4Network("10.0.2.0/24"))


def spec(interface: dict[str, Any], pod: dict[str, Any] | None = None) -> VirtualMachineInstanceSpec:
    return VirtualMachineInstanceSpec.model_validate(
        {
            "domain": {"devices": {"interfaces": [{"name": "default"} | interface]}},
            "networks": [{"name": "default", "pod": pod or {}}],
        }
    )


@pytest.mark.parametrize(
    ("interface", "pod", "expected"),
    [
        pytest.param({"masquerade": {}}, None, MASQUERADE, id="masquerade"),
        pytest.param({"bridge": {}}, None, BRIDGE, id="bridge"),
        pytest.param(
            {"masquerade": {}},
            {"vmNetworkCIDR": "192.168.7.0/28"},
            Nic("default", "masquerade", IPv4Network("192.168.7.0/28")),
            id="a network of one's own",
        ),
        pytest.param(
            {"masquerade": {}, "ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}]},
            None,
            Nic("default", "masquerade", IPv4Network("10.0.2.0/24"), (("tcp", 80, 80), ("udp", 53, 53))),
            id="ports",
        ),
        pytest.param(
            {"masquerade": {}, "portRanges": [{"protocol": "TCP", "start": 1, "end": 9}]},
            None,
            Nic("default", "masquerade", IPv4Network("10.0.2.0/24"), (("tcp", 1, 9),)),
            id="port ranges",
        ),
    ],
)
def test_pod_nic(interface: dict[str, Any], pod: dict[str, Any] | None, expected: Nic) -> None:
    assert network.pod_nic(spec(interface, pod)) == expected


def test_no_nic() -> None:
    assert network.pod_nic(VirtualMachineInstanceSpec.model_validate({"domain": {"devices": {}}})) is None


@pytest.mark.parametrize(
    ("interface", "pod", "message"),
    [
        pytest.param({}, None, "bridge or masquerade", id="no binding"),
        pytest.param({"masquerade": {}}, {"vmNetworkCIDR": "10.0.2.0/31"}, "/30 is the smallest", id="too small"),
        pytest.param({"masquerade": {}}, {"vmNetworkCIDR": "ten"}, "vmNetworkCIDR: Expected 4 octets", id="no network"),
        pytest.param({"name": "other", "masquerade": {}}, None, "only the pod network", id="no such network"),
    ],
)
def test_what_is_refused(interface: dict[str, Any], pod: dict[str, Any] | None, message: str) -> None:
    with pytest.raises(Terminal, match=message):
        network.pod_nic(spec(interface, pod))


def test_the_guest_is_the_second_of_its_network() -> None:
    nic = Nic("default", "masquerade", IPv4Network("192.168.7.16/28"))
    assert (str(nic.gateway), str(nic.guest)) == ("192.168.7.17/28", "192.168.7.18/28")


ROUTES = (DEFAULT, Route(IPv4Network("10.88.0.0/24")))
CALICO = (Route(IPv4Network("0.0.0.0/0"), IPv4Address("169.254.1.1")), Route(IPv4Network("169.254.1.1/32")))


@pytest.mark.parametrize("routes", [ROUTES, CALICO, ()])
def test_an_alias_remembers_the_uplink(routes: tuple[Route, ...]) -> None:
    pod = Uplink(UPLINK.address, UPLINK.mac, 1450, routes)
    moved = {"eth0-nic": Link("eth0-nic", plumbing.NIC_MAC, 1450, alias=network.alias(pod)), "eth0": ETH0}
    assert network.uplink(moved, ()) == pod


def test_too_many_routes_do_not_fit_into_an_alias() -> None:
    many = tuple(Route(IPv4Network(f"10.{i}.0.0/16"), IPv4Address("10.88.0.1")) for i in range(20))
    with pytest.raises(Terminal, match="20 routes"):
        network.alias(Uplink(UPLINK.address, UPLINK.mac, 1450, many))


@pytest.mark.parametrize(
    "seen",
    [pytest.param({}, id="no interface"), pytest.param({"eth0": Link("eth0", "", 1500)}, id="no address")],
)
def test_a_pod_without_a_network(seen: dict[str, Link]) -> None:
    with pytest.raises(Terminal, match="no eth0 with an IPv4 address"):
        network.uplink(seen, ())


@pytest.mark.parametrize("nic", [MASQUERADE, BRIDGE])
def test_what_is_there_is_not_added_again(nic: Nic) -> None:
    done = POD | {name: Link(name, "", 1450) for name in ("k6t-eth0", "tap0", "eth0-nic")}
    lines = plumbing.changes(done, UPLINK, nic).ip
    assert [line for line in lines if " add " in line] == []
    assert [line for line in lines if line.startswith(("link set eth0 down", "link set eth0 name"))] == []


def test_the_facts_are_written_down_before_anything_is_taken_away() -> None:
    first = plumbing.changes(POD, UPLINK, BRIDGE).ip[0]
    assert first.startswith("link set eth0 alias '{")


def test_links_and_routes_as_ip_prints_them() -> None:
    links = network.links(
        [
            {"ifname": "lo", "mtu": 65536, "addr_info": [{"family": "inet", "local": "127.0.0.1", "prefixlen": 8}]},
            {
                "ifname": "eth0",
                "mtu": 1450,
                "address": UPLINK.mac,
                "addr_info": [
                    {"family": "inet6", "local": "fe80::1", "prefixlen": 64},
                    {"family": "inet", "local": "10.88.0.5", "prefixlen": 24},
                ],
            },
            {},
        ]
    )
    routes = network.routes(
        [
            {"dst": "default", "gateway": "10.88.0.1", "dev": "eth0"},
            {"dst": "10.88.0.0/24", "dev": "eth0"},
            {"dst": "10.0.2.0/24", "dev": "k6t-eth0"},
        ]
    )
    assert links["eth0"] == ETH0
    assert routes == ROUTES
    assert network.uplink(links, routes).gateway == IPv4Address("10.88.0.1")
