"""A node's power: off ends all that runs on it at once, on is a new boot. And the other ways in which nodes are lost.

A node here is a group of processes on this host, so its machine's switch is: end them, with the pods and the guests
in them, and keep the supervisor from starting them again. What crashes is still powered; what freezes is still there.
"""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from cluster import bmcs, cgroups, control, host, journal, namespaces, network, node, spec, supervisor
from cluster.errors import ClusterError
from cluster.layout import Cluster, Node
from cluster.spec import Spec

HALTED = "halted"  # file of the node's state: it does not run, and why
OFF, CRASHED, HALTING = "off", "crashed", "halting"
FOLLOW_SECONDS = 30
CUT = "hostler_cut"  # table of nftables in the node's network


def wanted(cluster: Cluster) -> list[Spec]:
    """The programs that are to run now: a node that is down has none, but its BMC does."""
    running = (each for each in cluster.nodes if not _halted(each))
    return [
        *control.programs(cluster),
        *bmcs.programs(cluster),
        *(program for each in running for program in node.programs(each)),
    ]


def is_on(one: Node) -> bool:
    """Whether there is power, which is not to say that the node works."""
    return _halted(one) != OFF


def off(one: Node) -> None:
    """Pull the plug: when this returns nothing of the node runs, and nothing will until `on`."""
    _halt(one, OFF)


def crash(one: Node) -> None:
    """As a kernel panic: nothing runs and no wire answers, but there is power."""
    _halt(one, CRASHED)


def on(one: Node) -> None:
    """Start the node, with a new boot ID and all of its memory gone; nothing if it runs."""
    with _locked(one.cluster):
        if not _halted(one):
            return
        _kill(one)
        for group in (one.cgroup, one.system_cgroup):
            cgroups.create(group)
        namespaces.unpin(one.run)
        network.remove(one.interface)
        namespaces.pin_node(one)
        network.plug(one)
        (one.state / HALTED).unlink()
        follow(one.cluster)


def freeze(one: Node) -> None:
    """Nothing of it moves, but its network's kernel half still answers: a machine that hangs."""
    for group in (one.system_cgroup, one.cgroup):
        cgroups.freeze(group)


def thaw(one: Node) -> None:
    for group in (one.system_cgroup, one.cgroup):
        cgroups.thaw(group)


def cut(one: Node) -> None:
    """Cut it off the control plane, and from nothing else."""
    there = one.cluster.control
    chains = "".join(
        f"chain {hook} {{ type filter hook {hook} priority 0; ip saddr {there} drop; ip daddr {there} drop; }}\n"
        for hook in ("input", "forward", "output")
    )
    enter = ("nsenter", f"--net={one.run / 'net'}", "--")
    host.run(*enter, "nft", "-f", "-", stdin=f"table ip {CUT}\ndelete table ip {CUT}\ntable ip {CUT} {{\n{chains}}}\n")


def mend(one: Node) -> None:
    """Undo `cut`."""
    host.run("nsenter", f"--net={one.run / 'net'}", "--", "nft", f"add table ip {CUT}; delete table ip {CUT}")


def reset(cluster: Cluster) -> None:
    """Nodes that are down are to be made anew by `up`; those that are frozen go on."""
    for each in cluster.nodes:
        if _halted(each):
            _kill(each)
            namespaces.unpin(each.run)
            network.remove(each.interface)
            (each.state / HALTED).unlink()
        else:
            thaw(each)


def follow(cluster: Cluster) -> None:
    """Have the supervisor run what is wanted now."""
    path = cluster.state / supervisor.PROGRAMS
    spec.save(path, wanted(cluster))
    _tell(cluster)
    _wait_followed(cluster)


def _halt(one: Node, how: str) -> None:
    with _locked(one.cluster):
        halted = _halted(one)
        if halted in (OFF, how):
            return
        if halted != CRASHED:
            host.put(one.state / HALTED, HALTING)
            # the wire goes first: the last thing that is heard of it was said before
            host.run("ip", "link", "set", one.interface, "down")
            spec.save(one.cluster.state / supervisor.PROGRAMS, wanted(one.cluster))
            _kill(one)  # at once, not by the supervisor, who asks programs to end
            _tell(one.cluster)
            _wait_followed(one.cluster)
        _kill(one)  # what the supervisor may have started in between
        host.put(one.state / HALTED, how)


def _kill(one: Node) -> None:
    for group in (one.system_cgroup, one.cgroup):
        cgroups.kill(group)


def _halted(one: Node) -> str:
    file = one.state / HALTED
    return file.read_text() if file.exists() else ""


def _tell(cluster: Cluster) -> None:
    me = journal.read(cluster.state / supervisor.JOURNAL).supervisor
    if not me.alive:
        raise ClusterError(f"cluster {cluster.name} is not up: `vmctl cluster up --name {cluster.name}` mends it")
    os.kill(me.pid, signal.SIGHUP)


def _wait_followed(cluster: Cluster) -> None:
    digest = spec.digest(cluster.state / supervisor.PROGRAMS)
    deadline = time.monotonic() + FOLLOW_SECONDS
    while journal.read(cluster.state / supervisor.JOURNAL).carried_out != digest:
        if time.monotonic() > deadline:
            raise ClusterError(f"the supervisor has not followed after {FOLLOW_SECONDS} s")
        time.sleep(0.05)


@contextmanager
def _locked(cluster: Cluster) -> Iterator[None]:
    """One at a time: two switches share the list of programs."""
    with (cluster.state / ".power.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
