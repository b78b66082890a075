"""Copies of a store of images: content is shared, databases are not."""

from pathlib import Path

import pytest

from cluster import layout, seed
from cluster.layout import Cluster
from cluster.load import Image


@pytest.fixture
def store(tmp_path) -> Path:
    """What containerd keeps, in small."""
    folder = tmp_path / "seed"
    files = {
        "io.containerd.metadata.v1.bolt/meta.db": "metadata",
        "io.containerd.snapshotter.v1.overlayfs/metadata.db": "snapshots",
        "io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs/var/lib/some.db": "a guest's file",
        "io.containerd.content.v1.content/blobs/sha256/aa": "layer",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def shared(one: Path, other: Path) -> dict[str, bool]:
    files = [path.relative_to(one) for path in one.rglob("*") if path.is_file()]
    return {str(file).split("/", 1)[1]: (one / file).samefile(other / file) for file in files}


def test_only_what_never_changes_is_shared(store, tmp_path):
    seed.copy(store, tmp_path / "copy")
    assert shared(store, tmp_path / "copy") == {
        "meta.db": False,
        "metadata.db": False,
        "snapshots/1/fs/var/lib/some.db": True,
        "blobs/sha256/aa": True,
    }


def test_a_node_has_a_store_of_its_own(store, tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "CLUSTERS", tmp_path / "clusters")
    one, other = Cluster("a", 0, 2).nodes
    assert not seed.planted(one)
    for node in (one, other):
        seed.plant(store, node)
    assert seed.planted(one)
    database = "containerd/io.containerd.metadata.v1.bolt/meta.db"
    (one.state / database).write_text("pods have run")
    assert (other.state / database).read_text() == "metadata"
    assert [path.name for path in one.state.iterdir()] == ["containerd"], "no scraps"


def test_a_copy_that_was_cut_off_is_made_anew(store, tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "CLUSTERS", tmp_path / "clusters")
    (node,) = Cluster("a", 0, 1).nodes
    (node.state / ".containerd.new" / "half").mkdir(parents=True)
    seed.plant(store, node)
    assert sorted(path.name for path in (node.state / "containerd").iterdir()) == sorted(
        path.name for path in store.iterdir()
    )


def test_the_key_follows_the_images_and_containerd(tmp_path):
    a, b = Image(tmp_path / "a.tar", "a:1", "sha256:1"), Image(tmp_path / "b.tar", "b:1", "sha256:2")
    program = tmp_path / "containerd"
    keys = [
        seed.key([a, b], program),
        seed.key([a], program),
        seed.key([a, Image(b.path, b.ref, "sha256:3")], program),
        seed.key([a, b], tmp_path / "other"),
    ]
    assert len(set(keys)) == 4
    assert seed.key([b, a], program) == keys[0], "in any order"


def test_a_seed_reaches_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(seed, "_import", lambda brought, programs, scratch: (scratch / seed.STORE).mkdir())
    flushed: list[str] = []

    def run(*words: str | Path) -> None:
        flushed.extend(map(str, words[:2]))
        assert Path(words[2]).is_dir()

    monkeypatch.setattr(seed.host, "run", run)
    assert seed.make([], {"containerd": tmp_path / "containerd"}).is_dir()
    assert flushed == ["sync", "--file-system"]
