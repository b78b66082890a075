"""Puts image archives into the containerd of every node: no registry is needed."""

import json
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cluster import host, namespaces
from cluster.errors import ClusterError
from cluster.layout import Cluster, Node

NAMESPACE = "k8s.io"  # containerd's, where the kubelet looks
NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")  # the second is what buildah writes
LARGEST_INDEX = 1 << 20


@dataclass(frozen=True)
class Image:
    """One archive: the name that the image gets, and the digest that tells whether a node has it."""

    path: Path
    ref: str
    digest: str


def load(cluster: Cluster, archives: Sequence[Path]) -> list[str]:
    """Import what a node does not have yet, into all nodes at once; lines that tell what was done."""
    images = [read(path.absolute()) for path in archives]
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda node: _load(node, images), cluster.nodes))
    return [line for lines in done for line in lines]


def read(path: Path) -> Image:
    """What an OCI archive says of itself; ClusterError if it is none."""
    try:
        with tarfile.open(path) as tar:
            file = tar.extractfile(member := tar.getmember("index.json"))
            if file is None or member.size > LARGEST_INDEX:
                raise ClusterError(f"{path}: index.json is not what an OCI image archive has")
            (manifest,) = json.load(file)["manifests"]
        ref = next(manifest["annotations"][name] for name in NAMES if name in manifest["annotations"])
        return Image(path, ref, manifest["digest"])
    except (OSError, tarfile.TarError, KeyError, ValueError, TypeError, StopIteration) as error:
        raise ClusterError(f"{path} is not an OCI image archive with one named image: {error}") from error


def _load(node: Node, images: list[Image]) -> list[str]:
    there = present(host.run(*_ctr(node), "images", "list"))
    lines = []
    for image in images:
        if there.get(image.ref) == image.digest:
            lines.append(f"{node.name}: {image.ref} is there")
            continue
        host.run(*_ctr(node), "images", "import", "--digests=false", image.path, timeout=600)
        lines.append(f"{node.name}: {image.ref} loaded")
    return lines


def present(table: str) -> dict[str, str]:
    """Image name -> digest, from what `ctr images list` prints."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return {row[0]: row[2] for row in rows if len(row) > 2}


def _ctr(node: Node) -> list[str]:
    return [*namespaces.enter(node), str(node.cluster.bin / "ctr"), "--namespace", NAMESPACE]
