"""Archives of images: what is in them, and that the same content gives the same bytes."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from cluster.oci import Config, Layer, add_files, write_archive, write_image, write_layer

REF = "docker.io/hostler/thing:1"


def read(archive: Path) -> dict[str, bytes]:
    """Every file of an archive by its path."""
    with tarfile.open(archive) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}  # type: ignore[union-attr]


def blob(files: dict[str, bytes], descriptor: dict) -> bytes:
    """The content that a descriptor names, checked as a runtime checks it."""
    data = files[f"blobs/sha256/{descriptor['digest'].removeprefix('sha256:')}"]
    assert len(data) == descriptor["size"]
    assert hashlib.sha256(data).hexdigest() == descriptor["digest"].removeprefix("sha256:")
    return data


def layer_entries(archive: Path) -> dict[str, tarfile.TarInfo]:
    files = read(archive)
    manifest = json.loads(blob(files, json.loads(files["index.json"])["manifests"][0]))
    [layer] = manifest["layers"]
    with tarfile.open(fileobj=io.BytesIO(blob(files, layer))) as tar:
        return {entry.name: entry for entry in tar}


def test_every_digest_leads_to_its_content(tmp_path):
    archive = write_image(tmp_path / "a.tar", REF, {"/bin/x": b"hello"}, entrypoint=["/bin/x"], cmd=["-v"], user="107")
    files = read(archive)
    [image] = json.loads(files["index.json"])["manifests"]
    assert image["annotations"] == {"io.containerd.image.name": REF, "org.opencontainers.image.ref.name": REF}
    manifest = json.loads(blob(files, image))
    config = json.loads(blob(files, manifest["config"]))
    assert config["config"] == {"Entrypoint": ["/bin/x"], "Cmd": ["-v"], "User": "107"}
    [layer] = manifest["layers"]
    unzipped = gzip.decompress(blob(files, layer))
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(unzipped).hexdigest()}"]


def test_same_content_same_bytes(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"x" * 100_000)
    first = write_image(tmp_path / "1.tar", REF, {"/b": source, "/a": b"1"}, env={"A": "b"}).read_bytes()
    source.touch()
    second = write_image(tmp_path / "2.tar", REF, {"/a": b"1", "/b": source}, env={"A": "b"}).read_bytes()
    assert first == second
    assert first != write_image(tmp_path / "3.tar", REF, {"/a": b"2", "/b": source}, env={"A": "b"}).read_bytes()


def test_entries(tmp_path):
    program = tmp_path / "program"
    program.write_bytes(b"#!/bin/sh\n")
    program.chmod(0o700)
    files = {"/usr/bin/program": program, "disk/image": b"d", "/etc/secret": b"s"}
    entries = layer_entries(write_image(tmp_path / "a.tar", REF, files, modes={"/etc/secret": 0o600}))
    assert {name: oct(entry.mode) for name, entry in entries.items()} == {
        "usr": "0o755",
        "usr/bin": "0o755",
        "usr/bin/program": "0o755",
        "etc": "0o755",
        "etc/secret": "0o600",
        "disk": "0o755",
        "disk/image": "0o644",
    }
    assert {(entry.uid, entry.gid, entry.mtime) for entry in entries.values()} == {(0, 0, 0)}


@pytest.mark.parametrize(("compress", "media_type"), [(True, "tar+gzip"), (False, "tar")])
def test_layers_keep_their_order(tmp_path, compress, media_type):
    def layer(name: str) -> Layer:
        return write_layer(tmp_path / name, lambda tar: add_files(tar, {f"/{name}": b""}, {}), compress=compress)

    layers = [layer("z"), layer("a")]
    files = read(write_archive(tmp_path / "a.tar", REF, layers, Config(workdir="/z", labels={"l": "1"})))
    manifest = json.loads(blob(files, json.loads(files["index.json"])["manifests"][0]))
    assert [entry["digest"] for entry in manifest["layers"]] == [entry.digest for entry in layers]
    assert {entry["mediaType"].rpartition("v1.")[2] for entry in manifest["layers"]} == {media_type}
    config = json.loads(blob(files, manifest["config"]))
    assert config["rootfs"]["diff_ids"] == [entry.diff_id for entry in layers]
    assert config["config"] == {"Labels": {"l": "1"}, "WorkingDir": "/z"}


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_image(tmp_path / "a.tar", REF, {"/x": tmp_path / "missing"})
    assert list(tmp_path.iterdir()) == []
