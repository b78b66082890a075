"""The network of a cluster: a bridge on the host, and a cable from it to each node and to the control plane.

Every end knows which node has which pods, so that pods reach one another without any address translation.
"""

import time
from pathlib import Path

from cluster import host, routing
from cluster.errors import ClusterError
from cluster.layout import Cluster, Node

PATIENCE = 50  # tenths of a second
INTERFACES = Path("/sys/class/net")


def connect(cluster: Cluster) -> None:
    """Bridge, cables, addresses and routes; what is there already stays. The namespaces exist."""
    routing.enable()
    if not (INTERFACES / cluster.bridge).exists():
        host.ip([f"link add {cluster.bridge} type bridge"])
    host.ip([f"addr replace {cluster.gateway}/24 dev {cluster.bridge}", f"link set {cluster.bridge} up"])
    _cable(cluster, cluster.control_interface, cluster.control_namespace)
    host.ip(inside(cluster, None), cluster.control_namespace)
    for node in cluster.nodes:
        plug(node)
    host.ip(pod_routes(cluster, None) + service_routes(cluster))
    host.run("nft", "-f", "-", stdin=masquerade(cluster))
    routing.open_firewall(cluster)


def plug(node: Node) -> None:
    """The cable, the addresses and the routes of one node."""
    _cable(node.cluster, node.interface, node.run / "net")
    host.ip(inside(node.cluster, node), node.run / "net")
    forward(node)


def _cable(cluster: Cluster, interface: str, namespace: Path) -> None:
    if not (INTERFACES / interface).exists():
        host.ip([f"link add {interface} type veth peer name eth0 netns {namespace}"])
    host.ip([f"link set {interface} master {cluster.bridge} up"])


def inside(cluster: Cluster, node: Node | None) -> list[str]:
    """What makes a namespace one of the cluster's; None: the control plane's."""
    address = node.address if node else cluster.control
    ours = ["link set lo up", f"addr replace {address}/24 dev eth0", "link set eth0 up"]
    routes = [f"route replace default via {cluster.gateway}", *pod_routes(cluster, node)]
    return ours + routes + ([] if node else service_routes(cluster))


def pod_routes(cluster: Cluster, node: Node | None) -> list[str]:
    """The way to the pods of each other node."""
    return [f"route replace {other.pods} via {other.address}" for other in cluster.nodes if other != node]


def service_routes(cluster: Cluster) -> list[str]:
    """Services, for those without a kube-proxy: the first node's turns their addresses into pods'."""
    return [f"route replace {cluster.services} via {node.address}" for node in cluster.nodes[:1]]


def forward(node: Node) -> None:
    """A node hands packets on, and sees those between its own pods, since a service's answer must pass kube-proxy."""
    settings = "echo 1 > /proc/sys/net/ipv4/ip_forward; cd /proc/sys/net/bridge && echo 1 > bridge-nf-call-iptables"
    routing.require_bridge_filter()
    host.run("nsenter", f"--net={node.run / 'net'}", "--", "sh", "-ec", settings)


def masquerade(cluster: Cluster) -> str:
    """What leaves for the world goes as the host; replaces the whole table, so it can be said again."""
    table = f"ip {cluster.nft_table}"
    return f"""
table {table}
delete table {table}
table {table} {{
  chain postrouting {{
    type nat hook postrouting priority srcnat
    ip saddr {cluster.network} ip daddr != {cluster.network} masquerade
  }}
}}
"""


def disconnect(cluster: Cluster) -> None:
    """Nothing of it on the host; the far ends of the cables go with them."""
    prefix = cluster.bridge
    for interface in sorted(path.name for path in INTERFACES.iterdir()):
        number = interface.removeprefix(f"{prefix}n")
        if interface == cluster.control_interface or (interface != number and number.isdigit()):
            remove(interface)
    remove(prefix)
    routing.close_firewall(cluster)
    table = f"table ip {cluster.nft_table}"
    if table in host.run("nft", "list", "tables", "ip").splitlines():
        host.run("nft", f"delete {table}")


def remove(interface: str) -> None:
    """Remove an interface. The kernel may be faster: a cable goes when the namespace at its end does."""
    if (INTERFACES / interface).exists() and not host.succeeds("ip", "link", "delete", interface):
        for _ in range(PATIENCE):
            if not (INTERFACES / interface).exists():
                return
            time.sleep(0.1)
        raise ClusterError(f"interface {interface} cannot be removed")
