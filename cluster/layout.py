"""A cluster as a value: its names, addresses, interfaces, folders and cgroups all follow from a name and a number.

A cluster has 10.<128+index>.0.0/16 for itself:
  .0.0/20    services (DNS is .0.10)
  .32.0/24   the bridge (.1: the host), the control plane (.2) and the nodes (.11 and on)
  .128.0/17  pods: a /24 for each node
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from cluster.errors import ClusterError

CLUSTERS = Path("/var/lib/hostler/clusters")
RUN = Path("/run/hostler/clusters")  # what does not outlive a reboot: the pins of namespaces
CGROUP = "/hostler"
INDEXES = 64
EVERY_NETWORK = IPv4Network("10.128.0.0/10")  # of all that there can be
MOST_NODES = 100
NAME = re.compile(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?")  # a node's name is a host name, and socket paths are short
BRIDGE = re.compile(r"hl\d+")  # the names that clusters' bridges have
API_PORT = 6443
CLUSTER_LABEL = "hostler.io/cluster"  # of every node
DOMAIN = "cluster.local"


@dataclass(frozen=True)
class Node:
    """One node of a cluster: a containerd, a kubelet and a kube-proxy in namespaces of their own."""

    cluster: "Cluster"
    number: int  # from 1

    @property
    def name(self) -> str:
        return f"{self.cluster.name}-{self.number}"

    @property
    def address(self) -> IPv4Address:
        return self.cluster.network[(32 << 8) + 10 + self.number]

    @property
    def pods(self) -> IPv4Network:
        return IPv4Network((self.cluster.network[(128 + self.number) << 8], 24))

    @property
    def interface(self) -> str:
        """The host's end of the node's cable."""
        return f"hl{self.cluster.index}n{self.number}"

    @property
    def state(self) -> Path:
        return self.cluster.state / "nodes" / self.name

    @property
    def run(self) -> Path:
        """Where its namespaces are pinned: files net, uts and mnt."""
        return self.cluster.run / self.name

    @property
    def cgroup(self) -> str:
        """Of its pods."""
        return f"{self.cluster.cgroup}/{self.name}"

    @property
    def system_cgroup(self) -> str:
        """Of its programs, and of the shims that hold its containers."""
        return f"{self.cluster.system_cgroup}/{self.name}"


@dataclass(frozen=True)
class Cluster:
    """One cluster on this host."""

    name: str
    index: int
    size: int = 2  # nodes; 0: a control plane only

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(Node(self, number) for number in range(1, self.size + 1))

    @property
    def network(self) -> IPv4Network:
        return network(self.index)

    @property
    def services(self) -> IPv4Network:
        return IPv4Network((self.network[0], 20))

    @property
    def pods(self) -> IPv4Network:
        return IPv4Network((self.network[128 << 8], 17))

    @property
    def gateway(self) -> IPv4Address:
        """The host on the bridge."""
        return self.network[(32 << 8) + 1]

    @property
    def control(self) -> IPv4Address:
        """The control plane."""
        return self.network[(32 << 8) + 2]

    @property
    def dns(self) -> IPv4Address:
        return self.services[10]

    @property
    def api(self) -> IPv4Address:
        """The API server as pods know it: the service `kubernetes`."""
        return self.services[1]

    @property
    def server(self) -> str:
        return f"https://{self.control}:{API_PORT}"

    @property
    def bridge(self) -> str:
        return f"hl{self.index}"

    @property
    def control_interface(self) -> str:
        return f"hl{self.index}c"

    @property
    def nft_table(self) -> str:
        return f"hostler_{self.index}"

    @property
    def state(self) -> Path:
        return CLUSTERS / self.name

    @property
    def run(self) -> Path:
        return RUN / self.name

    @property
    def control_namespace(self) -> Path:
        return self.run / "control" / "net"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def bin(self) -> Path:
        return self.state / "bin"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def volumes(self) -> Path:
        """Folders behind claims; at the same path in every node."""
        return self.state / "volumes"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def cgroup(self) -> str:
        return f"{CGROUP}/{self.name}"

    @property
    def system_cgroup(self) -> str:
        """Of all programs; they are in groups below it."""
        return f"{self.cgroup}/system"

    @property
    def control_cgroup(self) -> str:
        """Of the supervisor and the control plane."""
        return f"{self.system_cgroup}/control"

    def config(self, component: str) -> Path:
        """The kubeconfig of a component."""
        return self.pki / f"{component}.kubeconfig"


def network(index: int) -> IPv4Network:
    return IPv4Network(f"10.{128 + index}.0.0/16")


def checked_name(name: str) -> str:
    """The name, if a cluster can have it."""
    if not NAME.fullmatch(name):
        raise ClusterError(
            f"--name {name}: up to 20 of a-z, 0-9 and -; the first must be a letter, and the last must not be -"
        )
    return name


def checked_size(size: int) -> int:
    if not 0 <= size <= MOST_NODES:
        raise ClusterError(f"--nodes {size}: from 0 (a control plane only) to {MOST_NODES}")
    return size
