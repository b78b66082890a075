"""Which clusters this host has: one folder each, with an index that no other cluster has."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Any

from cluster import durable, layout
from cluster.errors import ClusterError
from cluster.layout import Cluster

RECORD = "cluster.json"
EVERYTHING = ".all"  # the lock of what the clusters share
NEW_SIZE = 2  # nodes


def clusters() -> list[Cluster]:
    """Those that exist, whole or half-made, by name. One whose record is damaged is told of, and left out."""
    found = []
    for path in records():
        try:
            found.append(_read(path))
        except ClusterError as error:
            _warn(f"warning: {error}")
    return found


def records() -> list[Path]:
    """Of all clusters that exist, of damaged ones, too."""
    return sorted(layout.CLUSTERS.glob(f"*/{RECORD}"))


def get(name: str) -> Cluster:
    """ClusterError if there is none of that name."""
    folder = layout.CLUSTERS / layout.checked_name(name)
    if folder.is_dir() and not os.access(folder, os.X_OK):
        raise ClusterError(f"cluster {name} is root's: only root may look at it")
    if (found := known(name)) is None:
        there = ", ".join(cluster.name for cluster in clusters()) or "none"
        raise ClusterError(f"no cluster named {name} (there is: {there}); `vmctl cluster up --name {name}` makes it")
    return found


def known(name: str) -> Cluster | None:
    """The cluster of that name; None if there is none, ClusterError if its record is damaged."""
    path = layout.CLUSTERS / layout.checked_name(name) / RECORD
    return _read(path) if path.exists() else None


def of_kubeconfig(path: Path) -> Cluster | None:
    """The cluster of this host that the kubeconfig is of, if it is one's own."""
    return next((each for each in clusters() if each.kubeconfig.resolve() == path.resolve()), None)


def size_of(name: str) -> int:
    """How many nodes it has, or is to have if it is new."""
    return next((cluster.size for cluster in clusters() if cluster.name == name), NEW_SIZE)


def claim(name: str, size: int) -> Cluster:
    """The cluster of that name with that many nodes: a new one gets an index and addresses that nobody uses."""
    with locked(EVERYTHING):
        if existing := known(name):
            cluster = replace(existing, size=size)
        else:
            taken = {cluster.index for cluster in clusters()}
            cluster = Cluster(name, free_index(taken, host_networks()), size)
        _write(cluster)
    return cluster


def free_index(taken: set[int], networks: dict[IPv4Network, str]) -> int:
    """The first index that no cluster has and whose addresses the host does not use otherwise."""
    for index in range(layout.INDEXES):
        ours = layout.network(index)
        if index not in taken and not any(ours.overlaps(other) for other in networks):
            return index
    raise ClusterError(_why_none(networks))


def _why_none(networks: dict[IPv4Network, str]) -> str:
    every = layout.EVERY_NETWORK
    others = [
        f"{network} ({interface})"
        for network, interface in networks.items()
        if network.overlaps(every) and not layout.BRIDGE.fullmatch(interface)
    ]
    if not others:
        return f"all of {every} is in use by clusters: remove one first"
    return (
        f"no addresses are left for a cluster, which needs a /16 of {every}: the host has routes to "
        f"{', '.join(others)}. Take that away (a VPN?) while the cluster is made; it may come back afterwards, "
        "since the cluster's own routes are narrower"
    )


def host_networks() -> dict[IPv4Network, str]:
    """Destinations that the host's routes know, but for the default; with the interface of each."""
    said = subprocess.run(["ip", "-json", "-4", "route"], capture_output=True, text=True, check=True).stdout
    return networks_of(json.loads(said or "[]"))


def networks_of(routes: list[dict[str, Any]]) -> dict[IPv4Network, str]:
    known = [route for route in routes if route["dst"][:1].isdigit()]
    # a route that goes nowhere (blackhole, unreachable) has a type in place of an interface
    found = {ip_network(route["dst"], strict=False): route.get("dev") or route.get("type", "") for route in known}
    return {net: where for net, where in found.items() if isinstance(net, IPv4Network) and net.prefixlen > 0}


@contextmanager
def locked(name: str) -> Iterator[None]:
    """One at a time: `up` and `down` of a cluster, or the giving of an index."""
    layout.CLUSTERS.mkdir(parents=True, exist_ok=True)
    with (layout.CLUSTERS / f".{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if name != EVERYTHING:
                raise ClusterError(f"another `vmctl cluster up` or `down` of {name} is at work") from None
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> Cluster:
    try:
        record = json.loads(path.read_text())
        return Cluster(path.parent.name, int(record["index"]), int(record["nodes"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ClusterError(f"{path} is damaged ({error}); remove the folder {path.parent}") from error


@cache
def _warn(line: str) -> None:
    """Once in a run."""
    print(line, file=sys.stderr)


def _write(cluster: Cluster) -> None:
    cluster.state.mkdir(parents=True, exist_ok=True)
    # keys, logs and guests' disks: nobody else walks in; what runs in pods has mounts, which do not lead through here
    cluster.state.chmod(0o700)
    fresh = cluster.state / f".{RECORD}"
    fresh.write_text(json.dumps({"index": cluster.index, "nodes": cluster.size}))
    durable.replace(fresh, cluster.state / RECORD)
