"""Image archives: what they bring, and what a node has already."""

import io
import json
import tarfile

import pytest

from cluster import load
from cluster.errors import ClusterError
from cluster.oci import write_image


def archive(path, index: object) -> None:
    data = json.dumps(index).encode()
    with tarfile.open(path, "w") as tar:
        entry = tarfile.TarInfo("index.json")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))


def test_an_image_of_ours(tmp_path):
    path = write_image(tmp_path / "it.tar", "docker.io/test/it:1", {"/file": b"content"})
    image = load.read(path)
    assert (image.ref, image.path) == ("docker.io/test/it:1", path)
    assert image.digest.startswith("sha256:")


def test_another_tools_image(tmp_path):
    annotations = {"org.opencontainers.image.ref.name": "docker.io/test/it:2"}
    archive(tmp_path / "it.tar", {"manifests": [{"digest": "sha256:1", "annotations": annotations}]})
    assert load.read(tmp_path / "it.tar").ref == "docker.io/test/it:2"


@pytest.mark.parametrize(
    "index",
    [
        pytest.param({}, id="no manifests"),
        pytest.param({"manifests": []}, id="no image"),
        pytest.param({"manifests": [{"digest": "x", "annotations": {}}]}, id="no name"),
        pytest.param({"manifests": [{}, {}]}, id="two images"),
        pytest.param([], id="no index"),
    ],
)
def test_what_is_no_image_is_told(tmp_path, index):
    archive(tmp_path / "it.tar", index)
    with pytest.raises(ClusterError, match=r"it\.tar is not an OCI image archive with one named image"):
        load.read(tmp_path / "it.tar")


def test_no_file_is_told(tmp_path):
    with pytest.raises(ClusterError, match=r"absent\.tar"):
        load.read(tmp_path / "absent.tar")


def test_what_is_there():
    table = """REF TYPE DIGEST SIZE PLATFORMS LABELS
docker.io/hostler/tiny:1 application/vnd.oci.image.manifest.v1+json sha256:aa 1.2 MiB linux/amd64 -
docker.io/hostler/pause:1 application/vnd.oci.image.manifest.v1+json sha256:bb 300 KiB linux/amd64 -
"""
    assert load.present(table) == {"docker.io/hostler/tiny:1": "sha256:aa", "docker.io/hostler/pause:1": "sha256:bb"}
