"""What is missing is told before anything is downloaded or built."""

import os
from types import SimpleNamespace

import pytest

from cluster import down, image_pause, images, layout, node, preflight, programs, registry, routing, up
from cluster.errors import ClusterError
from cluster.progress import Progress
from hostler.cli import up as command
from hostler.runtime.errors import Terminal


def tool(folder, name, says=""):
    folder.mkdir(exist_ok=True)
    (path := folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host on which a cluster can be made; what downloads or builds must not be reached."""
    monkeypatch.setattr(layout, "CLUSTERS", tmp_path / "clusters")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="x86_64"))
    for name in ("ip", "nft", "nsenter", "losetup", "buildah", "mmdebstrap"):
        tool(tmp_path / "bin", name)
    tool(tmp_path / "bin", "gcc", says="/usr/lib/libc.a")
    monkeypatch.setattr(node, "plugins", lambda: tmp_path)
    (tmp_path / "bridge").mkdir()
    monkeypatch.setattr(routing, "BRIDGE_SETTINGS", tmp_path / "bridge")
    monkeypatch.setattr(programs, "find", lambda *given: pytest.fail("programs are found"))
    monkeypatch.setattr(images, "build", lambda *given: pytest.fail("images are built"))
    return tmp_path


def test_a_good_host_is_taken(host):
    preflight.preflight("a", 2, images=True)


@pytest.mark.parametrize(
    ("name", "breaks", "said"),
    [
        pytest.param("a", lambda m, host: m.setattr(os, "geteuid", lambda: 1000), "needs root", id="root"),
        pytest.param("A_b", lambda m, host: None, "--name A_b", id="name"),
        pytest.param("a", lambda m, host: registry.claim("a", 1).state.joinpath(registry.RECORD).write_text(""),
                     "damaged", id="record"),
        pytest.param("a", lambda m, host: m.setattr(os, "uname", lambda: SimpleNamespace(machine="aarch64")),
                     "this machine is aarch64: .* x86_64 only", id="machine"),
        pytest.param("a", lambda m, host: (host / "bin" / "nft").unlink(), "apt-get install nftables", id="tool"),
        pytest.param("a", lambda m, host: tool(host / "bin", "gcc", says="libc.a"), "no static C library", id="libc"),
        pytest.param("a", lambda m, host: (host / "bridge").rmdir(), "no br_netfilter", id="kernel"),
    ],
)  # fmt: skip
def test_what_is_missing_is_told_first(host, monkeypatch, name, breaks, said):
    monkeypatch.setattr(registry, "host_networks", list)
    breaks(monkeypatch, host)
    with pytest.raises(ClusterError, match=said):
        up.up(name, 2, None, Progress())
    with pytest.raises(ClusterError, match=said):
        command.up(name, nodes=2)


def test_only_who_builds_our_images_needs_their_tools(host):
    (host / "bin" / "buildah").unlink()
    with pytest.raises(Terminal, match="apt-get install buildah"):
        command.up("a", nodes=2)
    preflight.preflight("a", 2)


def test_a_control_plane_alone_needs_no_bridge_filter(host):
    (host / "bridge").rmdir()
    preflight.preflight("a", 0)


def test_down_says_that_it_needs_root(host, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ClusterError, match="needs root"):
        down.down("a", Progress())


def test_a_pause_that_does_not_compile_is_told_with_what_gcc_said(tmp_path, monkeypatch):
    tool(tmp_path / "bin", "gcc")
    (tmp_path / "bin" / "gcc").write_text(
        "#!/bin/sh\n[ $# = 1 ] && echo /libc.a && exit\necho 'cannot find -lc' >&2; exit 1\n"
    )
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(ClusterError, match=r"gcc -static .*cannot find -lc"):
        image_pause.build(tmp_path / "pause.tar")
