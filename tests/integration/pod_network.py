"""Real network namespaces: a node's bridge, a pod on it, another pod, and a guest.

The guest is a namespace whose end of a veth pair sits on the pod's bridge, beside the tap device that QEMU would open.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from launcher.agent import netns

PROGRAMS = ("ip", "nft", "nsenter", "busybox")


def missing() -> str:
    """Why no such world can be made here; empty if it can."""
    if os.geteuid() != 0:
        return "needs root to make network namespaces"
    absent = [name for name in PROGRAMS if not shutil.which(name)]
    return f"not installed: {', '.join(absent)}" if absent else ""


NODE, POD, OTHER, GUEST = (f"hst-{os.getpid()}-{name}" for name in ("node", "pod", "other", "guest"))
POD_MAC, GUEST_MAC = "0a:58:0a:58:00:05", "52:54:00:12:34:56"
UDHCPC = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add $ip/$mask dev $interface && ip link set $interface mtu $mtu
[ -z "$staticroutes" ] || { set -- $staticroutes; while [ -n "$1" ]; do ip route add $1 via $2; shift 2; done; }
[ -n "$staticroutes" ] || ip route add default via $router
env > $HOSTLER_TEST_ENV
"""


def run(*command: str, within: str = "", check: bool = True, env: dict[str, str] | None = None) -> str:
    inside = ("nsenter", f"--net=/run/netns/{within}") if within else ()
    done = subprocess.run([*inside, *command], capture_output=True, text=True, check=False, env=env, timeout=60)
    if check and done.returncode:
        pytest.fail(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout if check else str(done.returncode)


def pings(source: str, address: str, tries: int = 5) -> bool:
    command = ("busybox", "ping", "-c", "1", "-W", "2", address)
    return any(run(*command, within=source, check=False) == "0" for _ in range(tries))


@dataclass
class World:
    """The pod's namespace, and a folder for what the guest's DHCP client is told."""

    namespace: int
    folder: Path

    def plug_guest(self, mac: str) -> None:
        """What QEMU does when it opens the tap device."""
        run("ip", "link", "add", "card", "netns", GUEST, "type", "veth", "peer", "name", "plug", "netns", POD)
        run("ip", "link", "set", "card", "address", mac, "up", within=GUEST)
        run("ip", "link", "set", "plug", "master", "k6t-eth0", "up", within=POD)

    def ask_dhcp(self) -> dict[str, str]:
        """Run udhcpc in the guest: the lease as its script sees it."""
        script, told = self.folder / "script", self.folder / "told"
        script.write_text(UDHCPC)
        script.chmod(0o755)
        env = os.environ | {"HOSTLER_TEST_ENV": str(told)}
        options = [word for option in ("search", "mtu", "staticroutes", "dns") for word in ("-O", option)]
        command = ["busybox", "udhcpc", "-i", "card", "-n", "-q", "-f", "-t", "20", "-T", "1", "-s", str(script)]
        run(*command, *options, within=GUEST, env=env)
        return dict(line.split("=", 1) for line in told.read_text().splitlines() if "=" in line)


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Enter a namespace with this thread, and come back."""
    with Path("/proc/thread-self/ns/net").open() as home, Path(f"/run/netns/{name}").open() as there:
        netns.enter(there.fileno())
        try:
            yield
        finally:
            netns.enter(home.fileno())


@contextmanager
def namespaces(*names: str) -> Iterator[None]:
    try:
        for name in names:
            run("ip", "netns", "add", name)
            run("ip", "link", "set", "lo", "up", within=name)
        yield
    finally:
        for name in names:
            run("ip", "netns", "del", name, check=False)


def plug_pod(pod: str, port: str, address: str, mac: str) -> None:
    """What a CNI plugin does."""
    run("ip", "link", "add", port, "netns", NODE, "type", "veth", "peer", "name", "eth0", "netns", pod)
    run("ip", "link", "set", port, "master", "cni0", "up", within=NODE)
    run("ip", "link", "set", "eth0", "address", mac, "mtu", "1450", "up", within=pod)
    run("ip", "address", "add", f"{address}/24", "dev", "eth0", within=pod)
    run("ip", "route", "add", "default", "via", "10.88.0.1", within=pod)


@contextmanager
def world(folder: Path) -> Iterator[World]:
    with namespaces(NODE, POD, OTHER, GUEST):
        run("ip", "link", "add", "cni0", "type", "bridge", within=NODE)
        run("ip", "address", "add", "10.88.0.1/24", "dev", "cni0", within=NODE)
        run("ip", "link", "set", "cni0", "up", within=NODE)
        plug_pod(POD, "pod", "10.88.0.5", POD_MAC)
        plug_pod(OTHER, "other", "10.88.0.6", "0a:58:0a:58:00:06")
        namespace = os.open(f"/run/netns/{POD}", os.O_RDONLY)
        try:
            yield World(namespace, folder)
        finally:
            os.close(namespace)


@contextmanager
def listening(port: int) -> Iterator[None]:
    """The kernel accepts for a program in the guest that never looks."""
    with inside(GUEST), socket.create_server(("0.0.0.0", port)):
        yield


def connects(source: str, address: str, port: int) -> bool:
    with inside(source):
        try:
            socket.create_connection((address, port), timeout=3).close()
        except OSError:
            return False
        return True
