"""Images ready for new nodes: imported once into a store of their own, of which each node gets a copy made of links.

An import unpacks everything and takes seconds a node; a copy takes none, since what a layer has never changes.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from cluster import host, images, load, namespaces
from cluster.errors import ClusterError
from cluster.layout import Node
from cluster.load import NAMESPACE, Image

START_SECONDS = 30
KEPT = 2  # seeds: the one in use and the one before
STORE = "store"


def make(archives: Sequence[Path], programs: Mapping[str, Path]) -> Path:
    """The seed with these images; it is made if there is none yet."""
    brought = [load.read(path) for path in archives]
    folder = images.cache_folder() / "seeds"
    folder.mkdir(parents=True, exist_ok=True)
    seed = folder / key(brought, programs["containerd"])
    with _locked(folder / ".lock"):
        if not seed.exists():
            with TemporaryDirectory(dir=folder, prefix=".new-") as scratch:
                _import(brought, programs, Path(scratch))
                # tens of thousands of files, which a power cut could leave empty
                host.run("sync", "--file-system", Path(scratch) / STORE)
                (Path(scratch) / STORE).rename(seed)
        os.utime(seed)
        _forget_old(folder)
    return seed


def key(brought: Sequence[Image], containerd: Path) -> str:
    """The same for the same images and the same containerd."""
    names = sorted(f"{image.ref}@{image.digest}" for image in brought)
    return hashlib.sha256("\n".join([str(containerd.resolve()), *names]).encode()).hexdigest()[:16]


def planted(node: Node) -> bool:
    """Whether it has a store already; that one stays as it is."""
    return _store(node).exists()


def plant(seed: Path, node: Node) -> None:
    """Give a new node its images."""
    node.state.mkdir(parents=True, exist_ok=True)
    fresh = node.state / ".containerd.new"
    shutil.rmtree(fresh, ignore_errors=True)
    copy(seed, fresh)
    fresh.rename(_store(node))


def _store(node: Node) -> Path:
    return node.state / namespaces.PLACES["/var/lib/containerd"]


def copy(seed: Path, dest: Path) -> None:
    """A store with the same content, that takes no room of its own if it is on the same disk."""
    same_disk = seed.stat().st_dev == dest.parent.stat().st_dev
    host.run("cp", "--archive", "--link" if same_disk else "--reflink=auto", seed, dest)
    for database in dest.glob("*/*.db"):  # the only files that are ever written to
        own = database.with_suffix(".own")
        shutil.copy2(database, own)
        own.replace(database)


def _import(brought: Sequence[Image], programs: Mapping[str, Path], scratch: Path) -> None:
    """Run a containerd that does nothing else, on a copy of the last seed if there is one, and import what it lacks."""
    if (earlier := _seeds(scratch.parent)) != []:
        copy(earlier[-1], scratch / STORE)
    with TemporaryDirectory(prefix="hostler-seed.", dir="/tmp") as short:  # the path of a socket has 108 bytes
        socket = Path(short) / "s"
        config = scratch / "config.toml"
        config.write_text(configuration(scratch / STORE, scratch / "state", socket))
        with _running([programs["containerd"], f"--config={config}"], scratch / "log", socket):
            ctr = (programs["ctr"], "--address", socket, "--namespace", NAMESPACE, "images")
            there = load.present(host.run(*ctr, "list"))
            wanted = {image.ref: image.digest for image in brought}
            for ref in there.keys() - wanted.keys():
                host.run(*ctr, "remove", "--sync", ref)
            for image in brought:
                if there.get(image.ref) != image.digest:
                    host.run(*ctr, "import", "--digests=false", image.path, timeout=600)


def configuration(store: Path, state: Path, socket: Path) -> str:
    return f"""version = 3
root = "{store}"
state = "{state}"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.nri.v1.nri"]

[grpc]
address = "{socket}"
"""


@contextmanager
def _running(command: Sequence[str | Path], log: Path, socket: Path) -> Iterator[None]:
    with log.open("wb") as out:
        # what it mounts while it unpacks is nobody's business
        process = subprocess.Popen(["unshare", "--mount", *command], stdout=out, stderr=out)
        try:
            deadline = time.monotonic() + START_SECONDS
            while not socket.is_socket():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise ClusterError("containerd did not start: " + "\n".join(log.read_text().splitlines()[-5:]))
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait()


def _forget_old(folder: Path) -> None:
    for seed in _seeds(folder)[:-KEPT]:
        shutil.rmtree(seed)


def _seeds(folder: Path) -> list[Path]:
    """Those that are whole, the last used at the end."""
    whole = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(whole, key=lambda path: path.stat().st_mtime)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
