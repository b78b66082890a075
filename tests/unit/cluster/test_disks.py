"""The files behind volumes: real ones; loop devices are told, not made."""

import os

import pytest

from cluster import disks

TOO_LARGE = 1 << 62  # for any file system


@pytest.fixture(autouse=True)
def loops(tmp_path, monkeypatch):
    """The commands that losetup was given; what it attaches is `loop0`."""
    said = []

    def run(*words):
        said.append(" ".join(map(str, words)).replace(f"{tmp_path}/", ""))
        return "/dev/loop0\n" if "--find" in words else ""

    (tmp_path / "loop0").touch()
    monkeypatch.setattr(disks, "LOOP", tmp_path)
    monkeypatch.setattr(disks.host, "run", run)
    monkeypatch.setattr(disks.os, "mknod", lambda path, *_: path.touch())
    return said


def test_a_file_that_cannot_be_made_is_never_taken_for_a_disk(tmp_path):
    for _ in range(2):
        with pytest.raises(OSError, match="too large"):
            disks.make_device(tmp_path / "volume", TOO_LARGE)
    disks.make_device(tmp_path / "volume", 4096)
    assert (tmp_path / "volume" / disks.IMAGE).stat().st_size == 4096


def test_an_empty_file_of_an_older_version_gets_its_size(tmp_path, loops, monkeypatch):
    (image := tmp_path / disks.IMAGE).touch()
    monkeypatch.setattr(disks, "attached", lambda path: "/dev/loop7" if path.stat().st_size == 0 else "")
    disks.make_device(tmp_path, 4096)
    assert image.stat().st_size == 4096
    assert loops == ["losetup --detach /dev/loop7", f"losetup --find --show {disks.IMAGE}"]


@pytest.mark.parametrize("size", [0, 4096, 8192])
def test_a_disk_that_is_there_stays(tmp_path, size):
    (image := tmp_path / disks.IMAGE).write_bytes(b"x" * 4096)
    before = image.stat().st_ino
    disks.make_device(tmp_path, size)
    assert (image.stat().st_ino, image.read_bytes()) == (before, b"x" * 4096)


def test_nobody_else_reads_a_disk(tmp_path):
    old = os.umask(0o022)
    try:
        disks.make_device(tmp_path, 4096)
    finally:
        os.umask(old)
    assert (tmp_path / disks.IMAGE).stat().st_mode & 0o777 == 0o600
