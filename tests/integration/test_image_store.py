"""The store of image builds, with the real buildah."""

import os
import shutil
from pathlib import Path

import pytest

from cluster import images
from cluster.image_builder import Builder

pytestmark = pytest.mark.skipif(shutil.which("buildah") is None or os.geteuid() != 0, reason="needs buildah, and root")


@pytest.mark.parametrize(("enough", "left"), [(10**9, ["localhost/some:1"]), (-1, [])])
def test_a_store_that_has_grown_too_large_is_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enough: int, left: list[str]
) -> None:
    cache = tmp_path / "images"
    for folder in ("store", "logs"):
        (cache / folder).mkdir(parents=True)
    with (tmp_path / "log").open("wb", buffering=0) as log:
        builder = Builder(cache / "store", log)
        container = builder._buildah("from", "scratch")
        builder._buildah("commit", "--quiet", container, "localhost/some:1")
        builder._buildah("rm", container)
        monkeypatch.setattr(images, "ENOUGH", enough)
        images._tidy(cache)
        assert builder._buildah("images", "--format", "{{.Name}}:{{.Tag}}").split() == left
