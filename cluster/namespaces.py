"""The namespaces of the control plane and of the nodes, pinned so that they outlive the processes in them.

In its mount namespace a node sees the usual places (/var/lib/kubelet, /run/containerd, ...) as its own: what runs on
it need not know that it shares the host. Its mounts do not leak to the host; the host's later mounts reach it.
"""

import json
import os
import shlex
from pathlib import Path

from cluster import host, layout
from cluster.layout import Cluster, Node

# usual place -> folder of the node's state
PLACES = {
    "/var/lib/kubelet": "kubelet",
    "/var/lib/containerd": "containerd",
    "/var/lib/cni": "cni",
    "/etc/cni/net.d": "net.d",
    "/etc/containerd": "containerd.d",
    "/var/log/pods": "logs/pods",
    "/var/log/containers": "logs/containers",
}
# file of the host -> file of the node's state, where the host has it
FILES = {"/etc/resolv.conf": "resolv.conf", "/etc/machine-id": "machine-id"}
KINDS = {"mnt": "mount", "uts": "uts", "net": "net"}
DONE = "done"
MADE = ".made.json"  # folders of the host that we made as mount points


def pin_control(cluster: Cluster) -> None:
    """A network namespace for the control plane."""
    _pinboard(cluster)
    pin = cluster.control_namespace
    pin.parent.mkdir(exist_ok=True)
    pin.touch()
    host.run("unshare", f"--net={pin}", "true")


def pin_node(node: Node) -> None:
    """The namespaces of a node, whole or not at all."""
    unpin(node.run)
    node.run.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        (node.run / kind).touch()
    _make_places(node)
    pins = [f"--{option}={node.run / kind}" for kind, option in KINDS.items()]
    # slave: a file system that the host unmounts is not held busy by us
    host.run("unshare", *pins, "--propagation", "slave", "sh", "-ec", script(node))
    (node.run / DONE).touch()


def is_whole(node: Node) -> bool:
    return (node.run / DONE).exists() and all(is_pinned(node.run / kind) for kind in KINDS)


def is_pinned(pin: Path) -> bool:
    """Path.is_mount would not do: it knows folders only."""
    return os.path.ismount(pin)


def enter(node: Node) -> list[str]:
    """The words before a program's that let it run on the node."""
    return ["nsenter", f"--mount={node.run}/mnt", f"--uts={node.run}/uts", f"--net={node.run}/net", "--"]


def enter_control(cluster: Cluster) -> list[str]:
    return ["nsenter", f"--net={cluster.control_namespace}", "--"]


def script(node: Node) -> str:
    """What turns fresh namespaces into a node."""
    lines = [
        f"umount -l {layout.RUN}/* 2>/dev/null || true",  # the pins: a namespace that holds itself never ends
        "mount -t tmpfs -o mode=755 tmpfs /run",
        "mkdir -p /run/lock /run/containerd /run/netns",
        # a boot of its own: whoever asks for its ID, the kubelet for one, sees a new one when the node starts anew
        "cat /proc/sys/kernel/random/uuid > /run/boot_id",
        "mount --bind /run/boot_id /proc/sys/kernel/random/boot_id",
        *(_bind(node.state / folder, place) for place, folder in PLACES.items()),
    ]
    for file, name in FILES.items():
        target = Path(file).resolve()
        if target.exists():
            place = shlex.quote(str(target))  # what a link pointed to below /run is gone, and made anew here
            lines += [f"mkdir -p $(dirname {place})", f"test -e {place} || touch {place}"]
            lines.append(_bind(node.state / name, str(target)))
    # containerd and kubelet see each other's mounts, and pods those that they may see
    lines += ["mount --make-rshared /", f"echo {node.name} > /proc/sys/kernel/hostname"]
    return "\n".join(lines)


def _bind(source: Path, place: str) -> str:
    return f"mount --bind {shlex.quote(str(source))} {shlex.quote(place)}"


def _pinboard(cluster: Cluster) -> None:
    """A file system of our own that is shared with nobody, else the kernel refuses to pin a mount namespace on it."""
    cluster.run.mkdir(parents=True, exist_ok=True)
    if not cluster.run.is_mount():
        host.run("mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", cluster.run)
        host.run("mount", "--make-private", cluster.run)


def _make_places(node: Node) -> None:
    for folder in PLACES.values():
        (node.state / folder).mkdir(parents=True, exist_ok=True)
    record = layout.CLUSTERS / MADE
    made = json.loads(record.read_text()) if record.exists() else []
    for place in PLACES:
        missing = [path for path in (Path(place), *Path(place).parents) if not path.exists()]
        made += [str(path) for path in reversed(missing)]
        Path(place).mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(made))


def remove_places() -> None:
    """Remove the mount points that we made, unless somebody uses them now; no cluster is left."""
    record = layout.CLUSTERS / MADE
    if not record.exists():
        return
    for place in reversed(json.loads(record.read_text())):
        path = Path(place)
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    record.unlink()


def unpin(folder: Path) -> None:
    """Let the namespaces go; they end with the last process in them."""
    for kind in KINDS:
        pin = folder / kind
        while is_pinned(pin):
            host.run("umount", pin)
        pin.unlink(missing_ok=True)
    (folder / DONE).unlink(missing_ok=True)


def unpin_all(cluster: Cluster) -> None:
    if cluster.run.is_dir():
        for folder in cluster.run.iterdir():
            unpin(folder)
            folder.rmdir()
        if cluster.run.is_mount():
            host.run("umount", cluster.run)
        cluster.run.rmdir()
    for folder in (layout.RUN, layout.RUN.parent):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
