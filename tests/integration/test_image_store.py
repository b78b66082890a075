"""The store of image builds, with the real buildah."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import images
from cluster.image_builder import Builder

pytestmark = pytest.mark.skipif(shutil.which("buildah") is None or os.geteuid() != 0, reason="needs buildah, and root")


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[Builder]:
    for folder in ("store", "logs"):
        (tmp_path / "images" / folder).mkdir(parents=True)
    with (tmp_path / "log").open("wb", buffering=0) as log:
        yield Builder(tmp_path / "images" / "store", log)


def test_what_a_killed_build_left_is_removed(tmp_path: Path, builder: Builder) -> None:
    """Its container, and the mount of that."""
    container = builder._buildah("from", "scratch")
    place = builder._buildah("mount", container)
    assert os.path.ismount(place)
    images._tidy(tmp_path / "images")
    assert builder._buildah("containers", "--quiet") == ""
    assert not os.path.ismount(place)


@pytest.mark.parametrize(("enough", "left"), [(10**9, ["localhost/some:1"]), (-1, [])])
def test_a_store_that_has_grown_too_large_is_emptied(
    tmp_path: Path, builder: Builder, monkeypatch: pytest.MonkeyPatch, enough: int, left: list[str]
) -> None:
    container = builder._buildah("from", "scratch")
    builder._buildah("commit", "--quiet", container, "localhost/some:1")
    builder._buildah("rm", container)
    monkeypatch.setattr(images, "ENOUGH", enough)
    images._tidy(tmp_path / "images")
    assert builder._buildah("images", "--format", "{{.Name}}:{{.Tag}}").split() == left
