"""Disk images, made and examined by a real qemu-img."""

import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from launcher.pod import images
from launcher.pod.errors import PrepareError

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="not installed: qemu-img (Debian: qemu-utils)")

MIB = 1 << 20


def qemu_img(*arguments: str | Path) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


def described(path: Path) -> dict[str, object]:
    answer = subprocess.run(["qemu-img", "info", "--output=json", str(path)], check=True, capture_output=True).stdout
    return dict(json.loads(answer))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A containerDisk's image with a folder for its disk."""
    (tmp_path / "image/disk").mkdir(parents=True)
    return tmp_path / "image"


def test_the_only_file_is_the_disk(image: Path) -> None:
    (image / "disk/debian.raw").touch()
    (image / "disk/folder").mkdir()
    assert images.only_disk(image, "root") == "disk/debian.raw"


@pytest.mark.parametrize("names", [[], ["a", "b"]])
def test_not_one_file(image: Path, names: list[str]) -> None:
    for name in names:
        (image / "disk" / name).touch()
    with pytest.raises(PrepareError, match=f"volume root: /disk holds {len(names)} files; name one"):
        images.only_disk(image, "root")


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match="no /disk folder"):
        images.only_disk(tmp_path, "root")


@pytest.mark.parametrize("path", ["../secret", "/../secret", "out", "disk/../../secret", "loop"])
def test_nothing_leaves_the_image(image: Path, path: str) -> None:
    image.with_name("secret").write_text("x")
    (image / "out").symlink_to(image.with_name("secret"))
    (image / "loop").symlink_to("/etc/passwd")
    with pytest.raises(PrepareError, match="leaves the image"):
        images.regular(image, path, "root")


def test_links_inside_the_image_are_fine(image: Path) -> None:
    (image / "disk/v1.raw").touch()
    (image / "latest").symlink_to("disk/v1.raw")
    assert images.regular(image, "/latest", "root") == image / "disk/v1.raw"


def test_a_device_is_no_file(image: Path) -> None:
    os.mkfifo(image / "pipe")
    with pytest.raises(PrepareError, match="no file pipe"):
        images.regular(image, "pipe", "root")


def test_overlay_leaves_its_base_alone(tmp_path: Path) -> None:
    base = tmp_path / "base.raw"
    base.write_bytes(b"boot" + bytes(MIB))
    images.overlay(base, tmp_path / "overlay", "root")
    found = described(tmp_path / "overlay")
    assert (found["format"], found["backing-filename"], found["backing-filename-format"]) == ("qcow2", str(base), "raw")
    assert found["virtual-size"] == MIB + 512


def test_overlay_over_qcow2(tmp_path: Path) -> None:
    qemu_img("create", "-f", "qcow2", tmp_path / "base", "3M")
    images.overlay(tmp_path / "base", tmp_path / "overlay", "root")
    assert described(tmp_path / "overlay")["backing-filename-format"] == "qcow2"


@pytest.mark.parametrize("kind", ["vmdk", "vdi", "vhdx", "qed"])
def test_other_formats_are_refused(tmp_path: Path, kind: str) -> None:
    qemu_img("create", "-f", kind, tmp_path / "base", "3M")
    with pytest.raises(PrepareError, match=f"volume root: the disk is in {kind} format; hostler takes raw and qcow2"):
        images.image_format(tmp_path / "base", "root")


def test_packed_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(b"\x1f\x8b\x08\0")
    with pytest.raises(PrepareError, match="gzip"):
        images.image_format(tmp_path / "base", "root")


def test_an_image_with_a_backing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(MIB))
    qemu_img("create", "-f", "qcow2", "-F", "raw", "-b", tmp_path / "secret", tmp_path / "base")
    with pytest.raises(PrepareError, match="has a backing file; flatten it"):
        images.image_format(tmp_path / "base", "root")


def test_an_image_with_a_data_file_is_refused(tmp_path: Path) -> None:
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={tmp_path / 'data'}", tmp_path / "base", "3M")
    with pytest.raises(PrepareError, match="data in another file"):
        images.image_format(tmp_path / "base", "root")


def test_an_image_that_lies_is_refused(tmp_path: Path) -> None:
    """A qcow2 header with a first-level table of 16 GiB."""
    qemu_img("create", "-f", "qcow2", tmp_path / "base", "3M")
    with (tmp_path / "base").open("r+b") as file:
        file.seek(36)
        file.write(struct.pack(">I", 0x7FFFFFFF))
    with pytest.raises(PrepareError, match="volume root: qemu-img info failed"):
        images.image_format(tmp_path / "base", "root")


def test_qemu_img_may_not_take_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "SECONDS", 1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PrepareError, match="took more than 1 s"):
        images.info(tmp_path / "pipe", "root")


def test_empty_disk(tmp_path: Path) -> None:
    images.empty(tmp_path / "empty", 5 * MIB, "scratch")
    found = described(tmp_path / "empty")
    assert (found["format"], found["virtual-size"]) == ("qcow2", 5 * MIB)


def test_a_claim_gets_its_disk_once(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    images.claim(disk, 5 * MIB, "data")
    assert disk.stat().st_size == 5 * MIB
    assert disk.stat().st_blocks == 0
    disk.write_bytes(b"precious")
    images.claim(disk, 5 * MIB, "data")
    assert disk.read_bytes() == b"precious"


def test_a_disk_whose_making_was_cut_short_is_made(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.touch()
    disk.with_name("seen").hardlink_to(disk)  # by another pod that found it at the same time
    images.claim(disk, 5 * MIB, "data")
    assert disk.stat().st_size == disk.with_name("seen").stat().st_size == 5 * MIB


def test_a_disk_that_another_pod_has_made_meanwhile_is_kept(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(b"precious")
    images.sparse(disk, 5 * MIB, "data")
    assert disk.read_bytes() == b"precious"


def test_a_disk_that_has_become_a_link_is_not_followed(tmp_path: Path) -> None:
    tmp_path.joinpath("secret").touch()
    tmp_path.joinpath("disk.img").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        images.sparse(tmp_path / "disk.img", MIB, "data")
    assert not tmp_path.joinpath("secret").stat().st_size


def test_a_link_on_a_claim_is_refused(tmp_path: Path) -> None:
    (tmp_path / "disk.img").symlink_to("/etc/passwd")
    with pytest.raises(PrepareError, match="not a regular file"):
        images.claim(tmp_path / "disk.img", MIB, "data")


def test_a_claim_that_is_too_small(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match=r"volume data: the claim has \d+ bytes free, its disk needs"):
        images.claim(tmp_path / "disk.img", 1 << 60, "data")
    assert not (tmp_path / "disk.img").exists()


def test_a_claim_that_is_still_too_small(tmp_path: Path) -> None:
    (tmp_path / "disk.img").touch()
    with pytest.raises(PrepareError, match="bytes free, its disk needs"):
        images.claim(tmp_path / "disk.img", 1 << 60, "data")
