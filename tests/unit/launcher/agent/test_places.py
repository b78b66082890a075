import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.agent import places
from launcher.agent.places import Intruder

UID = "5a9fc181-957e-4c32-9e5a-2de5e9673531"


@pytest.mark.parametrize(
    "cgroups",
    [
        pytest.param(f"0::/kubepods/burstable/pod{UID}/3f2a", id="cgroupfs"),
        pytest.param(f"0::/../../pod{UID}/3f2a", id="seen from another cgroup namespace"),
        pytest.param(
            f"0::/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/cri-containerd-3f2a.scope", id="systemd"
        ),
        pytest.param(f"9:name=systemd:/x\n8:pids:/kubepods/pod{UID}/3f2a\n0::/", id="version 1"),
        pytest.param(
            f"0::/kubepods/pod{UID}/c/pod00000000-0000-0000-0000-000000000000", id="a cgroup made inside the pod"
        ),
    ],
)
def test_pod_of(cgroups: str) -> None:
    assert places.pod_of(cgroups) == UID


@pytest.mark.parametrize("cgroups", ["", "0::/", "0::/system.slice/sshd.service", f"0::/pods/{UID}", f"0::/pod{UID}0"])
def test_no_pod(cgroups: str) -> None:
    assert places.pod_of(cgroups) is None


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A pods directory with one pod; its private volume has no socket yet."""
    (tmp_path / "pods" / UID / "volumes/kubernetes.io~empty-dir/private/libvirt").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield tmp_path / "pods"
    assert len(list(Path("/proc/self/fd").iterdir())) == before, "a descriptor is left open"


def private(tree: Path) -> Path:
    return tree / UID / "volumes/kubernetes.io~empty-dir/private"


def test_a_pod_that_is_not_there_yet(tree: Path) -> None:
    assert places.find(tree, "00000000-0000-0000-0000-000000000000") is None
    assert places.find(tree, UID) is None


def test_a_socket_that_nobody_listens_on_is_waited_for(tree: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        bind(sock, private(tree) / "libvirt" / "libvirt-sock")
        assert places.find(tree, UID) is None


def test_a_socket_of_another_process(tree: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        bind(sock, private(tree) / "libvirt" / "libvirt-sock")
        sock.listen()
        with pytest.raises(Intruder, match="belongs to a process of pod None"):
            places.find(tree, UID)


def test_what_is_not_a_socket(tree: Path) -> None:
    (private(tree) / "libvirt/libvirt-sock").touch()
    with pytest.raises(Intruder, match="not a socket"):
        places.find(tree, UID)


@pytest.mark.parametrize("step", ["libvirt", "libvirt/libvirt-sock"])
def test_links_are_not_followed(tree: Path, step: str) -> None:
    """CVE-2026-7374: a link in the socket's place led to any socket of the node."""
    place = private(tree) / step
    if place.is_dir():
        place.rmdir()
    place.symlink_to(tree.parent / "secret")
    with pytest.raises(Intruder, match="symbolic link"):
        places.find(tree, UID)


def test_a_file_in_a_folders_place(tree: Path) -> None:
    (private(tree) / "libvirt").rmdir()
    (private(tree) / "libvirt").touch()
    with pytest.raises(Intruder, match="not a directory"):
        places.find(tree, UID)


@pytest.mark.parametrize("uid", ["..", "", "a/b", "."])
def test_a_uid_that_leads_elsewhere(tree: Path, uid: str) -> None:
    with pytest.raises(Intruder, match="not the name of a file"):
        places.find(tree, uid)


def test_read_small(tree: Path) -> None:
    (tree / "resolv.conf").write_text("nameserver 10.96.0.10\n" * 10_000)
    (tree / "link").symlink_to("resolv.conf")
    root = os.open(tree, os.O_PATH)
    try:
        assert len(places.read_small(root, "resolv.conf")) == 65536
        assert places.read_small(root, "missing") == ""
        for other in ("link", UID):
            with pytest.raises(Intruder):
                places.read_small(root, other)
    finally:
        os.close(root)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make device nodes")
def test_a_device_is_given_to_the_launcher(tree: Path) -> None:
    null = tree / "null"
    os.mknod(null, 0o020600, os.makedev(1, 3))
    (tree / "file").touch(0o600)
    (tree / "link").symlink_to("file")
    root = os.open(tree, os.O_PATH)
    try:
        places.give_device(root, "null")
        places.give_device(root, "file")
        places.give_device(root, "missing")
        with pytest.raises(Intruder):
            places.give_device(root, "link")
    finally:
        os.close(root)
    assert (null.stat().st_uid, null.stat().st_mode & 0o777) == (107, 0o600)
    assert (tree / "file").stat().st_uid == 0


def bind(sock: socket.socket, path: Path) -> None:
    """By a short name: pytest's folders are longer than a socket's path may be."""
    folder = os.open(path.parent, os.O_PATH)
    try:
        sock.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
