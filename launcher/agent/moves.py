"""libvirt's calls for a live migration, for `Hypervisor.control`: small functions of its own object of a domain."""

import re
from dataclasses import dataclass
from typing import Any

import libvirt

from hostler.api import launcher
from launcher.agent.migration.dialogue import Job
from launcher.agent.migration.pki import TARGET

LONGEST = 7 * 86400.0  # seconds for the call: who drives the move ends it, long before
SAFE_LIVE = 9_000_000  # QEMU's version as libvirt writes it: before 9, a live move of an emulated guest corrupts memory
MEMORY_PORT, DISKS_PORT = launcher.MIGRATION_PORTS


@dataclass(frozen=True)
class Route:
    """Where a guest goes, and how."""

    libvirt: str  # path of a socket, in the source pod, that leads to the target's libvirtd
    address: str  # of the target pod
    disks: tuple[str, ...] = ()  # targets (vda) of the disks that must be copied
    bandwidth: int = 0  # MiB a second; 0: no limit
    live: bool = True
    auto_converge: bool = False


def perform(domain: Any, route: Route) -> None:
    """Move the guest; returns when it is complete at the target, stopped there, and has ended here.

    UNSAFE: libvirt cannot know that a claim is shared, we do. PAUSED: who may run it is not libvirt's to say.
    """
    flags = libvirt.VIR_MIGRATE_PEER2PEER | libvirt.VIR_MIGRATE_UNSAFE | libvirt.VIR_MIGRATE_PAUSED
    flags |= libvirt.VIR_MIGRATE_TLS
    parameters: dict[str, Any] = {
        libvirt.VIR_MIGRATE_PARAM_URI: f"tcp://{route.address}:{MEMORY_PORT}",
        libvirt.VIR_MIGRATE_PARAM_LISTEN_ADDRESS: "0.0.0.0",  # noqa: S104 - of the pod; TLS says who may
        libvirt.VIR_MIGRATE_PARAM_TLS_DESTINATION: TARGET,
    }
    if route.live:
        flags |= libvirt.VIR_MIGRATE_LIVE
    if route.auto_converge and route.live:
        flags |= libvirt.VIR_MIGRATE_AUTO_CONVERGE
    if route.bandwidth:
        parameters[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = route.bandwidth
    if route.disks:
        flags |= libvirt.VIR_MIGRATE_NON_SHARED_DISK
        parameters[libvirt.VIR_MIGRATE_PARAM_MIGRATE_DISKS] = list(route.disks)
        parameters[libvirt.VIR_MIGRATE_PARAM_DISKS_PORT] = DISKS_PORT
    domain.migrateToURI3(f"qemu+unix:///session?socket={route.libvirt}", parameters, flags)


def job(domain: Any) -> Job | None:
    """How far it is; None if no move is going on."""
    said: dict[str, Any] = domain.jobStats()
    if said.get("type", libvirt.VIR_DOMAIN_JOB_NONE) == libvirt.VIR_DOMAIN_JOB_NONE:
        return None
    return Job(*(int(said.get(f"data_{name}", 0)) for name in ("total", "processed", "remaining")))


def live_is_safe(domain: Any) -> bool:
    """Whether this QEMU copies a guest that runs without spoiling its memory."""
    emulated = re.search(r"<domain type=['\"]qemu['\"]", domain.XMLDesc(0)[:512])
    return not emulated or domain.connect().getVersion() >= SAFE_LIVE


def abort(domain: Any) -> None:
    """End it; the domain stays."""
    domain.abortJob()
