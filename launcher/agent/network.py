"""The pod network: what the container runtime gave to a pod, and what its guest wants of it. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any, Literal

from hostler.api.kubevirt.network import Interface
from hostler.api.kubevirt.vmi import VirtualMachineInstanceSpec
from hostler.runtime.errors import Terminal

POD_NIC = "eth0"
MOVED_NIC = "eth0-nic"  # what the pod's interface is called once the guest has its address; KubeVirt's name
CIDR = "10.0.2.0/24"
ALIAS_LIMIT = 255  # IFALIASZ

Binding = Literal["masquerade", "bridge"]


@dataclass(frozen=True)
class Route:
    """A route of the pod; no gateway means on the link."""

    network: IPv4Network
    gateway: IPv4Address | None = None


@dataclass(frozen=True)
class Link:
    """A network interface as the kernel shows it."""

    name: str
    mac: str
    mtu: int
    alias: str = ""
    addresses: tuple[IPv4Interface, ...] = ()


@dataclass(frozen=True)
class Uplink:
    """What the container runtime gave to the pod."""

    address: IPv4Interface
    mac: str
    mtu: int
    routes: tuple[Route, ...]

    @property
    def gateway(self) -> IPv4Address | None:
        return next((route.gateway for route in self.routes if route.network.prefixlen == 0), None)


@dataclass(frozen=True)
class Nic:
    """The guest's one interface on the pod network."""

    name: str
    binding: Binding
    network: IPv4Network
    ports: tuple[tuple[str, int, int], ...] = ()  # protocol, first, last; none means all
    mac: str | None = None

    @property
    def gateway(self) -> IPv4Interface:
        return IPv4Interface((self.network.network_address + 1, self.network.prefixlen))

    @property
    def guest(self) -> IPv4Interface:
        return IPv4Interface((self.network.network_address + 2, self.network.prefixlen))


def pod_nic(spec: VirtualMachineInstanceSpec) -> Nic | None:
    """The interface that is bound to the pod network, if the guest has one."""
    networks = {network.name: network for network in spec.networks}
    for nic in spec.domain.devices.interfaces:
        network = networks.get(nic.name)
        if network is None or network.pod is None:
            raise Terminal("NetworkNotSupported", f"interface {nic.name}: only the pod network is supported")
        if nic.bridge is None and nic.masquerade is None:
            raise Terminal("BindingNotSupported", f"interface {nic.name}: bridge or masquerade must be set")
        binding: Binding = "masquerade" if nic.masquerade is not None else "bridge"
        cidr = network.pod.vm_network_cidr or CIDR
        return Nic(nic.name, binding, guest_network(nic.name, cidr), ports(nic), nic.mac_address)
    return None


def guest_network(name: str, cidr: str) -> IPv4Network:
    try:
        network = IPv4Network(cidr, strict=False)
    except ValueError as error:
        raise Terminal("InvalidCIDR", f"network {name}: vmNetworkCIDR: {error}") from error
    if network.prefixlen > 30:
        raise Terminal("InvalidCIDR", f"network {name}: vmNetworkCIDR {cidr}: /30 is the smallest that fits")
    return network


def ports(nic: Interface) -> tuple[tuple[str, int, int], ...]:
    """What masquerade forwards, as (protocol, first, last)."""
    single = [((port.protocol or "TCP").lower(), port.port, port.port) for port in nic.ports]
    ranges = [(span.protocol.lower(), span.start, span.end) for span in nic.port_ranges]
    return tuple(single + ranges)


def links(answer: list[dict[str, Any]]) -> dict[str, Link]:
    """What `ip -json address` said, by name."""
    return {
        raw["ifname"]: Link(
            name=raw["ifname"],
            mac=raw.get("address", ""),
            mtu=raw["mtu"],
            alias=raw.get("ifalias", ""),
            addresses=tuple(
                IPv4Interface(f"{a['local']}/{a['prefixlen']}") for a in raw["addr_info"] if a["family"] == "inet"
            ),
        )
        for raw in answer
        if raw.get("ifname")
    }


def routes(answer: list[dict[str, Any]], device: str = POD_NIC) -> tuple[Route, ...]:
    """What `ip -4 -json route` said of one device."""
    found = []
    for raw in answer:
        if raw.get("dev") == device:
            network = IPv4Network("0.0.0.0/0" if raw["dst"] == "default" else raw["dst"])
            found.append(Route(network, IPv4Address(raw["gateway"]) if "gateway" in raw else None))
    return tuple(found)


def uplink(seen: Mapping[str, Link], seen_routes: tuple[Route, ...]) -> Uplink:
    """What the pod got from its container runtime, whether a guest has already taken it over or not."""
    for name in (MOVED_NIC, POD_NIC):
        nic = seen.get(name)
        if nic is not None and nic.alias.startswith("{"):
            return remembered(nic.alias, nic.mtu)
    nic = seen.get(POD_NIC)
    if nic is None or not nic.addresses:
        raise Terminal("NoPodNetwork", f"the pod has no {POD_NIC} with an IPv4 address")
    return Uplink(nic.addresses[0], nic.mac, nic.mtu, seen_routes)


def alias(pod: Uplink) -> str:
    """The uplink as one line that fits into an interface's alias."""
    known = {"ip": str(pod.address), "mac": pod.mac}
    hops = [[str(route.network), str(route.gateway) if route.gateway else ""] for route in pod.routes]
    text = json.dumps(known | {"routes": hops}, separators=(",", ":"))
    if len(text) > ALIAS_LIMIT:
        raise Terminal("TooManyRoutes", f"bridge binding: {len(hops)} routes of the pod are too many to hand over")
    return text


def remembered(text: str, mtu: int) -> Uplink:
    known = json.loads(text)
    hops = tuple(Route(IPv4Network(net), IPv4Address(via) if via else None) for net, via in known["routes"])
    return Uplink(IPv4Interface(known["ip"]), known["mac"], mtu, hops)
