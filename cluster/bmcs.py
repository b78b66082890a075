"""The emulated BMCs of a cluster: one a node, at an address of the host that every pod reaches."""

import json
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import host
from cluster.errors import ClusterError
from cluster.layout import Cluster, Node
from cluster.spec import Ready, Spec

RECORD = "bmc.json"  # of the cluster's state: the password; without it there are no BMCs
FAULT = "bmc-fault"  # of the node's state
USER = "admin"
FIRST_PORT = 6230
SECRET = "hostler-bmc"  # noqa: S105 - a name
FAULTS = {
    "honest": "does what it says",
    "liar": "says that it switched, and does not",
    "stuck": "says that it will switch, and does not",
    "slow": "takes 6 seconds for every command",
    "mute": "does not answer",
    "flaky": "is busy at every second look",
}


@dataclass(frozen=True)
class Bmc:
    """Where the BMC of a node is."""

    node: Node

    @property
    def address(self) -> str:
        return str(self.node.cluster.gateway)

    @property
    def port(self) -> int:
        return FIRST_PORT + self.node.number

    @property
    def fault(self) -> str:
        file = self.node.state / FAULT
        return file.read_text() if file.exists() else "honest"


def password(cluster: Cluster) -> str | None:
    """None: this cluster has no BMCs."""
    file = cluster.state / RECORD
    return str(json.loads(file.read_text())["password"]) if file.exists() else None


def enable(cluster: Cluster) -> None:
    """Give every node one, if they have none."""
    file = cluster.state / RECORD
    if not file.exists():
        file.touch(mode=0o600)
        # 16 characters: what the longest password of IPMI 1.5 still allows
        file.write_text(json.dumps({"password": secrets.token_hex(8)}))


def set_fault(node: Node, fault: str) -> None:
    if fault not in FAULTS:
        raise ClusterError(f"--fault {node.name}={fault}: one of {', '.join(FAULTS)}")
    host.put(node.state / FAULT, fault)


def programs(cluster: Cluster) -> list[Spec]:
    if password(cluster) is None:
        return []
    return [
        Spec(f"bmc-{each.name}", (sys.executable, "-m", "cluster.bmc", cluster.name, each.name), ready=Ready())
        for each in cluster.nodes
    ]


def manifests(cluster: Cluster, namespace: str, after: str) -> list[dict[str, Any]]:
    """What tells Hostler of the BMCs: a Secret, and a NodeFencing for each node."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": namespace},
        "stringData": {"password": password(cluster)},
    }
    return [secret, *(_node_fencing(Bmc(each), after) for each in cluster.nodes)]


def _node_fencing(bmc: Bmc, after: str) -> dict[str, Any]:
    device = {
        "name": "bmc",
        "agent": "fence_ipmilan",
        "parameters": {"ip": bmc.address, "ipport": str(bmc.port), "lanplus": "1", "username": USER},
        "secretRef": {"name": SECRET},
    }
    return {
        "apiVersion": "hostler.io/v1alpha1",
        "kind": "NodeFencing",
        "metadata": {"name": bmc.node.name},
        "spec": {"levels": [{"devices": [device]}], "afterFencing": after},
    }


def log(cluster: Cluster, node: Node) -> Path:
    return cluster.logs / f"bmc-{node.name}.log"
