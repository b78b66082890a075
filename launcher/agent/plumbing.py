"""What to change in a pod's network namespace so that a tap device leads to its guest. Pure.

masquerade: the guest lives on a bridge of its own at 10.0.2.2; the pod forwards to it and hides it.
bridge: the guest takes over the pod's address and MAC; what the pod had is remembered in the alias of its old
interface, where a restarted agent finds it and no tenant can write.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Interface

from hostler.api import launcher
from launcher.agent.network import MOVED_NIC, POD_NIC, Link, Nic, Uplink, alias

BRIDGE_MAC = "02:00:00:00:00:00"  # not one that the guest may use
NIC_MAC = "02:00:00:00:00:01"
SERVER = IPv4Interface("169.254.75.10/32")  # who the DHCP server says it is where the bridge has no address
TABLE = "hostler"


@dataclass(frozen=True)
class Changes:
    """Lines for `ip -batch`, a script for `nft`, and files below /proc/sys."""

    ip: tuple[str, ...]
    nft: str
    sysctls: Mapping[str, str] = field(default_factory=dict)


def changes(seen: Mapping[str, Link], pod: Uplink, nic: Nic) -> Changes:
    """What is still to be done; safe to do again, and harmless to a running guest."""
    if nic.binding == "masquerade":
        return masquerade(seen, pod, nic)
    return bridge(seen, pod)


def masquerade(seen: Mapping[str, Link], pod: Uplink, nic: Nic) -> Changes:
    lines = [
        *bridge_lines(seen, pod),
        f"address replace {nic.gateway} dev {launcher.BRIDGE}",
        *tap_lines(seen, pod),
    ]
    sysctls = {"net/ipv4/ip_forward": "1", "net/ipv4/conf/all/route_localnet": "1"}
    return Changes(tuple(lines), masquerade_rules(nic), sysctls)


def bridge(seen: Mapping[str, Link], pod: Uplink) -> Changes:
    lines = [
        *move_lines(seen, pod),
        *bridge_lines(seen, pod),
        f"address replace {SERVER} dev {launcher.BRIDGE}",
        f"link set {MOVED_NIC} address {NIC_MAC}",  # the old one is the guest's now
        f"link set {MOVED_NIC} master {launcher.BRIDGE} up",
        *tap_lines(seen, pod),
    ]
    # the bridge must answer for none of its own addresses towards the node's network
    return Changes(tuple(lines), DHCP_STAYS_INSIDE, {"net/ipv4/conf/all/arp_ignore": "1"})


def move_lines(seen: Mapping[str, Link], pod: Uplink) -> Iterator[str]:
    """Rename the pod's interface, its facts written down first, and leave a stand-in that bears its address.

    CNI plugins look for the address on eth0 when the pod is taken down. The stand-in stays down, so the kernel does
    not answer for an address that is the guest's.
    """
    if MOVED_NIC not in seen:
        yield f"link set {POD_NIC} alias '{alias(pod)}'"
        yield f"link set {POD_NIC} down"
        yield f"link set {POD_NIC} name {MOVED_NIC}"
    if MOVED_NIC not in seen or seen[MOVED_NIC].addresses:
        yield f"address flush dev {MOVED_NIC}"
    if MOVED_NIC not in seen or POD_NIC not in seen:
        yield f"link add {POD_NIC} type bridge"  # not every kernel has dummy devices
    yield f"link set {POD_NIC} address {pod.mac}"
    yield f"address replace {pod.address} dev {POD_NIC}"


def bridge_lines(seen: Mapping[str, Link], pod: Uplink) -> Iterator[str]:
    if launcher.BRIDGE not in seen:
        yield f"link add {launcher.BRIDGE} type bridge forward_delay 0 stp_state 0"
    yield f"link set {launcher.BRIDGE} address {BRIDGE_MAC} mtu {pod.mtu} up"


def tap_lines(seen: Mapping[str, Link], pod: Uplink) -> Iterator[str]:
    if launcher.TAP not in seen:
        yield f"tuntap add dev {launcher.TAP} mode tap user {launcher.UID}"
    yield f"link set {launcher.TAP} mtu {pod.mtu} master {launcher.BRIDGE} up"


# a guest that moves into the pod comes by these ports, to QEMU; they cannot be the guest's
KEPT = f"tcp dport {launcher.MIGRATION_PORTS[0]}-{launcher.MIGRATION_PORTS[1]} accept"

DHCP_STAYS_INSIDE = f"""
table bridge {TABLE} {{}}
delete table bridge {TABLE}
table bridge {TABLE} {{
    chain forward {{
        type filter hook forward priority 0
        udp dport {{ 67, 68 }} drop
    }}
    chain input {{
        type filter hook input priority 0
        iifname "{MOVED_NIC}" udp dport 67 drop
    }}
}}
"""


def masquerade_rules(nic: Nic) -> str:
    """nft: what comes for the pod goes to the guest, also from the pod's own localhost (kubectl port-forward)."""
    guest, gateway = nic.guest.ip, nic.gateway.ip
    inbound = "\n        ".join(f'iifname "{POD_NIC}" {match}dnat to {guest}' for match in matches(nic))
    local = "\n        ".join(
        f"ip daddr 127.0.0.1 {match or 'meta l4proto { tcp, udp } '}dnat to {guest}" for match in matches(nic)
    )
    return f"""
table ip {TABLE} {{}}
delete table ip {TABLE}
table ip {TABLE} {{
    chain prerouting {{
        type nat hook prerouting priority -100
        {KEPT}
        {inbound}
    }}
    chain output {{
        type nat hook output priority -100
        {local}
    }}
    chain postrouting {{
        type nat hook postrouting priority 100
        ip saddr {guest} oifname "{POD_NIC}" masquerade
        ip saddr 127.0.0.1 ip daddr {guest} snat to {gateway}
    }}
}}
"""


def matches(nic: Nic) -> list[str]:
    """Which packets are the guest's: all, or those to the listed ports, and pings."""
    if not nic.ports:
        return [""]
    spans = [f"{proto} dport {first if first == last else f'{first}-{last}'} " for proto, first, last in nic.ports]
    return [*spans, "icmp type echo-request "]
