"""What is kept has reached the disk before it gets its name."""

import os

import pytest

from cluster import download, durable, images, kubeconfig, layout, pki, programs, registry
from cluster.layout import Cluster
from cluster.oci import write_image


@pytest.fixture
def flushed(monkeypatch):
    """The inodes that were told to reach the disk."""
    seen: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda handle: seen.add(os.fstat(handle).st_ino))
    return seen


def test_all_of_a_folder_is_flushed_before_it_gets_its_name(tmp_path, flushed):
    deep = tmp_path / "fresh" / "deep"
    deep.mkdir(parents=True)
    (deep / "one").write_text("1")
    (deep / "link").symlink_to("nowhere")
    durable.replace(tmp_path / "fresh", tmp_path / "dest")
    assert flushed == {(tmp_path / "dest" / "deep" / "one").stat().st_ino}


def test_what_a_cluster_keeps_is_flushed(tmp_path, monkeypatch, flushed):
    monkeypatch.setattr(layout, "CLUSTERS", tmp_path / "clusters")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(download, "fetch", lambda release, dest: dest.write_text("downloaded"))
    pki.issue(cluster := Cluster("a", 0, 1))
    registry._write(cluster)
    kubeconfig.write_all(cluster)
    kept = [path for path in cluster.state.rglob("*") if path.is_file()]
    kept += [programs.locate("etcd"), write_image(tmp_path / "a.tar", "docker.io/hostler/a:1", {})]
    assert [path.name for path in kept if path.stat().st_ino not in flushed] == []


def test_an_empty_program_is_had_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(download, "fetch", lambda release, dest: dest.write_text("downloaded"))
    programs.locate("etcd").write_text("")
    assert programs.locate("etcd").read_text() == "downloaded"


def test_an_empty_archive_is_built_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tar = images.build(["pause"], tmp_path / "out")["pause"].tar
    before = tar.read_bytes()
    tar.write_bytes(b"")
    images.build(["pause"], tmp_path / "out")
    assert tar.read_bytes() == before
