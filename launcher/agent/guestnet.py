"""What a guest is told about the network by DHCP: its VMI's wishes and its pod's own settings. Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Address

from hostler.api.kubevirt.network import DHCPOptions, Interface
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from launcher.agent import dhcp, network, plumbing


@dataclass(frozen=True)
class Told:
    """What does not depend on the binding."""

    hostname: str
    nameservers: tuple[IPv4Address, ...] = ()
    search: tuple[str, ...] = ()
    options: DHCPOptions | None = None


def lease(pod: network.Uplink, nic: network.Nic, mac: str | None, told: Told) -> dhcp.Lease:
    """The guest's lease: its own address behind masquerade, the pod's on a bridge."""
    common = {
        "mtu": pod.mtu,
        "hostname": told.hostname,
        "nameservers": told.nameservers,
        "search": told.search,
        "extra": dhcp.chosen(told.options),
    }
    if nic.binding == "masquerade":
        return dhcp.Lease(nic.guest, nic.gateway.ip, nic.gateway.ip, **common)  # type: ignore[arg-type]
    mac = mac or pod.mac
    return dhcp.Lease(pod.address, plumbing.SERVER.ip, pod.gateway, mac=mac, routes=pod.routes, **common)  # type: ignore[arg-type]


def told(vmi: VirtualMachineInstance, interface: Interface, resolv_conf: str) -> Told:
    nameservers, search = resolver(resolv_conf)
    if vmi.spec.subdomain:
        # the guest's own name is in its subdomain, as a pod's is
        home = f"{vmi.metadata.namespace}.svc."
        search = tuple(f"{vmi.spec.subdomain}.{domain}" for domain in search if domain.startswith(home)) + search
    return Told(hostname(vmi), nameservers, search, interface.dhcp_options)


def hostname(vmi: VirtualMachineInstance) -> str:
    """The first label of the guest's name, as KubeVirt cuts it."""
    return vmi.spec.hostname or vmi.metadata.name.split(".")[0][:63].rstrip("-")


def resolver(text: str) -> tuple[tuple[IPv4Address, ...], tuple[str, ...]]:
    """Name servers (IPv4) and search domains of a resolv.conf."""
    servers: list[IPv4Address] = []
    search: tuple[str, ...] = ()
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "search":
            search = tuple(rest.split())
        elif word == "nameserver":
            try:
                servers.append(IPv4Address(rest.strip()))
            except ValueError:
                continue  # IPv6: this guest has no way to it
    return tuple(servers), search
