"""Removes a cluster: afterwards nothing on the host tells that it was there."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

from cluster import (
    cgroups,
    disks,
    host,
    journal,
    kubeconfig,
    layout,
    namespaces,
    network,
    registry,
    routing,
    supervisor,
)
from cluster.errors import ClusterError
from cluster.layout import Cluster
from cluster.preflight import require_root
from cluster.progress import Progress


def down(name: str, progress: Progress) -> None:
    """Remove the cluster of that name. Safe to run again; what cannot be removed is told, after all else is gone."""
    require_root()
    cluster = registry.get(name)
    with registry.locked(name):
        steps: dict[str, list[Callable[[Cluster], None]]] = {
            "processes": [stop],
            "namespaces and network": [namespaces.unpin_all, network.disconnect],
            "volumes and cgroups": [detach_loops, remove_cgroups],
            "files": [kubeconfig.remove_from_users, remove_files],
        }
        for stage, actions in steps.items():
            with progress.stage(stage):
                for action in actions:
                    action(cluster)
    with registry.locked(registry.EVERYTHING):
        if not registry.records():
            remove_traces(progress)


def stop(cluster: Cluster) -> None:
    """End the supervisor first, for it would start again what dies; then all at once: their data goes too."""
    me = journal.read(cluster.state / supervisor.JOURNAL).supervisor
    if me.alive:
        os.kill(me.pid, signal.SIGKILL)
    cgroups.kill(cluster.cgroup)


def detach_loops(cluster: Cluster) -> None:
    """Detach the loop devices of our volumes, those that a kubelet laid over them first."""
    columns = "NAME,BACK-INO,BACK-MAJ:MIN"
    listing = json.loads(host.run("losetup", "--json", "--list", "--output", columns) or "{}")
    for file in (disks.DEVICE, disks.IMAGE):
        # by inode: a kubelet's has a name that only its node's mount namespace knows
        for device in loops(listing, [path.stat() for path in cluster.volumes.glob(f"*/{file}")]):
            host.run("losetup", "--detach", device)


def loops(listing: dict[str, list[dict[str, str | int]]], files: Iterable[os.stat_result]) -> list[str]:
    """Loop devices over any of the files."""
    ours = {(f"{os.major(stat.st_dev)}:{os.minor(stat.st_dev)}", stat.st_ino) for stat in files}
    found = listing.get("loopdevices", [])
    return [str(loop["name"]) for loop in found if (str(loop["back-maj:min"]).strip(), loop["back-ino"]) in ours]


def remove_cgroups(cluster: Cluster) -> None:
    cgroups.remove(cluster.cgroup)
    cgroups.remove_empty(layout.CGROUP)


def remove_files(cluster: Cluster) -> None:
    """The state of the cluster; the record that it exists goes last, so that a failure can be tried again."""
    for place in sorted(mounts_below(cluster.state), reverse=True):
        host.run("umount", place)
    content = [path for path in cluster.state.iterdir() if path.name != registry.RECORD]
    # rm is several times as fast as Python where images have tens of thousands of files
    host.run("rm", "-rf", "--one-file-system", "--", *content)
    shutil.rmtree(cluster.state)
    (layout.CLUSTERS / f".{cluster.name}.lock").unlink(missing_ok=True)


def mounts_below(folder: Path) -> list[str]:
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [place for place in places if Path(place).is_relative_to(folder)]


def remove_traces(progress: Progress) -> None:
    """What all clusters shared."""
    namespaces.remove_places()
    if why := routing.restore():
        progress.say(why)
    leftovers = list(layout.CLUSTERS.iterdir())
    if any(path.is_dir() for path in leftovers):
        raise ClusterError(f"{layout.CLUSTERS} has folders that belong to no cluster: look at them and remove them")
    for path in leftovers:
        path.unlink()
    layout.CLUSTERS.rmdir()
    if not any(layout.CLUSTERS.parent.iterdir()):
        layout.CLUSTERS.parent.rmdir()
