"""That packets pass the host: its routing, and the firewalls of others (Docker, ufw, firewalld) that are in their way.

Frames from one cable of a bridge to another pass the host's firewall too, where br_netfilter hands them to it.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from cluster import host, layout
from cluster.errors import ClusterError
from cluster.layout import API_PORT, Cluster, Node

FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
BEFORE = ".ip_forward"  # what it was before the first cluster
BRIDGE_SETTINGS = Path("/proc/sys/net/bridge")
INTERFACES = Path("/sys/class/net")
LEGACY_TABLES = Path("/proc/net/ip_tables_names")  # of iptables, where it is not nftables underneath
ROUTED = {"DEVTYPE=bridge", "DEVTYPE=wireguard"}
IPTABLES = ("iptables", "--wait")
DOCKERS, FORWARDED = "DOCKER-USER", "FORWARD"  # Docker asks the first before all of its own
KNOCK = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()"
KNOCKERS = 3  # nodes: one that somebody has cut off tells nothing of the host


def enable() -> None:
    """The host hands packets on between the cluster and the world."""
    record = layout.CLUSTERS / BEFORE
    if not record.exists():
        record.write_text(FORWARD.read_text())
    FORWARD.write_text("1")


def restore() -> str:
    """As it was before the first cluster; if it stays on, why: others have found it on since, and may need it."""
    record = layout.CLUSTERS / BEFORE
    if not record.exists():
        return ""
    before = record.read_text()
    if before.strip() == "0" and (who := others()):
        return f"net.ipv4.ip_forward stays 1: {', '.join(who)} may need it (it was 0 before the first cluster)"
    FORWARD.write_text(before)
    return ""


def others() -> list[str]:
    """Who else may have packets that the host is to hand on, as far as one can see; no cluster is left."""
    interfaces = sorted(path.name for path in INTERFACES.iterdir() if _routed(path))
    tables = {f"table {chain['family']} {chain['table']}" for chain in _base_chains() if chain["type"] == "nat"}
    if LEGACY_TABLES.exists() and "nat" in LEGACY_TABLES.read_text().split():
        tables.add("table nat of iptables")
    return [*interfaces, *sorted(tables)]


def _routed(interface: Path) -> bool:
    about = interface / "uevent"
    return about.exists() and bool(ROUTED & set(about.read_text().splitlines()))


def _base_chains() -> list[dict[str, Any]]:
    """The chains of nftables that packets come through by themselves."""
    try:
        items = json.loads(host.run("nft", "--json", "list", "chains"))["nftables"]
    except ClusterError:
        return []
    return [item["chain"] for item in items if "hook" in item.get("chain", {})]


def require_bridge_filter() -> None:
    """br_netfilter, which the bridges in the nodes need; if it comes with us, not for those of the host."""
    if BRIDGE_SETTINGS.exists():
        return
    if not host.succeeds("modprobe", "br_netfilter"):
        raise ClusterError("the kernel has no br_netfilter: services would not answer pods on their own node")
    for protocol in ("iptables", "ip6tables", "arptables"):
        (BRIDGE_SETTINGS / f"bridge-nf-call-{protocol}").write_text("0")  # each network namespace has its own


def open_firewall(cluster: Cluster) -> None:
    """Let the cluster's packets pass where iptables drops what it does not know."""
    if chain := _closed_chain():
        for rule in rules(cluster):
            if not host.succeeds(*IPTABLES, "--check", chain, *rule):
                host.run(*IPTABLES, "--insert", chain, *rule)


def close_firewall(cluster: Cluster) -> None:
    """Take away exactly what `open_firewall` has added, now or when other chains were there."""
    if shutil.which(IPTABLES[0]) is None:
        return
    for chain in (DOCKERS, FORWARDED):
        for rule in rules(cluster):
            if host.succeeds(*IPTABLES, "--check", chain, *rule):
                host.run(*IPTABLES, "--delete", chain, *rule)


def rules(cluster: Cluster) -> list[list[str]]:
    """Out of the cluster and inside it all may pass; into it only what answers."""
    answers = ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"]
    return [["-i", cluster.bridge, "-j", "ACCEPT"], ["-o", cluster.bridge, *answers, "-j", "ACCEPT"]]


def _closed_chain() -> str:
    """The chain that needs our rules; empty: none does."""
    if shutil.which(IPTABLES[0]) is None:
        return ""
    if host.succeeds(*IPTABLES, "--list-rules", DOCKERS):
        return DOCKERS
    try:
        return FORWARDED if drops(host.run(*IPTABLES, "--list-rules", FORWARDED)) else ""
    except ClusterError:
        return ""  # a kernel without iptables drops nothing by it


def drops(chain: str) -> bool:
    """Whether FORWARD, as iptables lists it, lets through only what it knows."""
    ends = (f"-P {FORWARDED} DROP", f"-A {FORWARDED} -j DROP", f"-A {FORWARDED} -j REJECT")
    return any(line.startswith(ends) for line in chain.splitlines())


def require_way(cluster: Cluster) -> None:
    """ClusterError if nodes do not reach the API server, which answers: else they would only never get Ready."""
    if any(_reaches(node) for node in cluster.nodes[:KNOCKERS]):
        return
    filters = {f"table {chain['family']} {chain['table']}" for chain in _base_chains() if chain["hook"] == "forward"}
    raise ClusterError(
        f"the nodes do not reach the API server at {cluster.control}:{API_PORT}: a firewall of this host seems to drop "
        f"what passes the bridge {cluster.bridge} (look at {', '.join(sorted(filters)) or 'iptables -S FORWARD'}). "
        "Let it pass and run this again; "
        f"with firewalld: `firewall-cmd --zone=trusted --add-interface={cluster.bridge}`"
    )


def _reaches(node: Node) -> bool:
    words = ("nsenter", f"--net={node.run / 'net'}", "--", sys.executable, "-IS", "-c", KNOCK)
    return host.succeeds(*words, str(node.cluster.control), str(API_PORT))
