"""Makes a cluster, or what is missing of one; every step leaves alone what is right already."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster import (
    addons,
    catalog,
    cgroups,
    control,
    diagnosis,
    host,
    journal,
    kubeconfig,
    load,
    namespaces,
    network,
    node,
    pki,
    power,
    programs,
    proxy,
    readiness,
    registry,
    retire,
    routing,
    seed,
    spec,
    supervisor,
)
from cluster.errors import ClusterError
from cluster.layout import Cluster
from cluster.preflight import preflight
from cluster.progress import Progress

API_SECONDS = 90
HOPELESS = 4  # starts of the API server
NODE_SECONDS = 120
SUPERVISOR_SECONDS = 60  # it may have all programs to stop first


def up(name: str, size: int, folder: Path | None, progress: Progress, archives: Sequence[Path] = ()) -> Cluster:
    """A cluster of that name with that many nodes, Ready and with DNS, and with images from `archives` on them.

    Safe to run again, also after a failure.
    """
    preflight(name, size)
    with registry.locked(name):
        with progress.stage("programs"):
            found = programs.find([*catalog.CONTROL, *(catalog.NODE if size else ())], folder, progress.say)
        cluster = registry.claim(name, size)
        if size:
            archives = [*addons.archives(found["coredns"], catalog.COREDNS), *archives]
            with progress.stage("images for the nodes"):
                plant(cluster, archives, found)
        with progress.stage("certificates, namespaces, network"):
            configure(cluster, found)
            connect(cluster)
        with progress.stage("control plane"):
            start(cluster)
            wait_for_api(cluster)
            addons.apply(cluster, catalog.COREDNS, node.nameservers())
        if surplus := retire.surplus(cluster):
            with progress.stage(f"removing {', '.join(one.name for one in surplus)}"):
                retire.remove(surplus)
        if size:
            finish_nodes(cluster, archives, progress)
    return cluster


def plant(cluster: Cluster, archives: Sequence[Path], found: dict[str, Path]) -> None:
    """Give nodes that are new their images before they start."""
    if new := [one for one in cluster.nodes if not seed.planted(one)]:
        ready_made = seed.make(archives, found)
        for one in new:
            seed.plant(ready_made, one)


def finish_nodes(cluster: Cluster, archives: Sequence[Path], progress: Progress) -> None:
    """Wait until pods run; nodes that were there before get the images that they lack."""
    with progress.stage("nodes ready"):
        routing.require_way(cluster)
        with diagnosis.explained(cluster):
            wait("containerd on every node", lambda: _running(cluster, "containerd-"), NODE_SECONDS)
        load.load(cluster, archives)
        with diagnosis.explained(cluster, lambda: _silent_kubelet(cluster)):
            wait("every node", lambda: not _unregistered(cluster), NODE_SECONDS)
            kubectl(cluster, "wait", "--for=condition=Ready", "node", *(one.name for one in cluster.nodes))
    with progress.stage("DNS"):
        kubectl(cluster, "rollout", "status", "-n", "kube-system", "deployment/coredns")


def configure(cluster: Cluster, found: dict[str, Path]) -> None:
    """Every file that a program of the cluster reads, and the list of the programs."""
    for folder in (cluster.logs, cluster.volumes):
        folder.mkdir(exist_ok=True)
    programs.links(found, cluster.bin)
    pki.issue(cluster)
    kubeconfig.write_all(cluster)
    for one in cluster.nodes:
        node.configure(one, share=1 / cluster.size)
    proxy.keep(cluster)
    power.reset(cluster)  # who was switched off starts, too
    spec.save(cluster.state / supervisor.PROGRAMS, power.wanted(cluster))


def connect(cluster: Cluster) -> None:
    """Namespaces, cgroups and the network. What still runs in namespaces that nobody can enter any more is ended."""
    if not namespaces.is_pinned(cluster.control_namespace):
        cgroups.kill(cluster.cgroup)
        network.remove(cluster.control_interface)
        namespaces.pin_control(cluster)
    for one in cluster.nodes:
        cgroups.create(one.cgroup)
        cgroups.create(one.system_cgroup)
        if not namespaces.is_whole(one):
            cgroups.kill(one.system_cgroup)
            cgroups.kill(one.cgroup)
            network.remove(one.interface)
            namespaces.pin_node(one)
    network.connect(cluster)


def start(cluster: Cluster) -> None:
    """A supervisor that follows the list of programs as it is now."""
    record = cluster.state / supervisor.JOURNAL
    if (me := journal.read(record).supervisor).alive:
        os.kill(me.pid, signal.SIGHUP)
    else:
        with (cluster.logs / f"{diagnosis.SUPERVISOR}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "cluster.supervisor", cluster.name],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
            )  # fmt: skip
        process.returncode = 0  # it is meant to outlive us
    wanted = spec.digest(cluster.state / supervisor.PROGRAMS)

    def follows() -> bool:
        page = journal.read(record)
        return page.supervisor.alive and page.carried_out == wanted

    try:
        wait("the supervisor", follows, SUPERVISOR_SECONDS)
    except ClusterError as error:
        raise ClusterError("\n".join([str(error), *diagnosis.last_words(cluster, diagnosis.SUPERVISOR)])) from error


def wait_for_api(cluster: Cluster) -> None:
    """Wait until it answers; no longer if it only dies again and again."""
    ready = control.ready_api(cluster)
    before = _starts(cluster, control.APISERVER)

    def answers() -> bool:
        if _starts(cluster, control.APISERVER) - before > HOPELESS:
            raise ClusterError("the API server dies again and again")
        return readiness.answers(ready.url, ready.ca)

    with diagnosis.explained(cluster, lambda: control.APISERVER):
        wait("the API server", answers, API_SECONDS)


def _starts(cluster: Cluster, program: str) -> int:
    entry = journal.read(cluster.state / supervisor.JOURNAL).entries.get(program)
    return entry.starts if entry else 0


def _unregistered(cluster: Cluster) -> list[str]:
    """Nodes whose kubelets have not made their Node objects: kubectl waits for no object that is not there."""
    words = (cluster.bin / "kubectl", f"--kubeconfig={cluster.kubeconfig}", "get", "nodes", "-o", "name")
    there = host.run(*words).split()
    return [one.name for one in cluster.nodes if f"node/{one.name}" not in there]


def _silent_kubelet(cluster: Cluster) -> str:
    return next((f"kubelet-{name}" for name in _unregistered(cluster)), "")


def kubectl(cluster: Cluster, *words: str) -> str:
    """kubectl as the administrator; waits no longer than a node may take."""
    program, config = cluster.bin / "kubectl", f"--kubeconfig={cluster.kubeconfig}"
    return host.run(program, config, *words, f"--timeout={NODE_SECONDS}s")


def wait(what: str, true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} is not there after {seconds:.0f} s")
        time.sleep(0.1)


def _running(cluster: Cluster, prefix: str) -> bool:
    entries = journal.read(cluster.state / supervisor.JOURNAL).entries
    return all((e := entries.get(f"{prefix}{n.name}")) is not None and e.state == "running" for n in cluster.nodes)
