"""What an attachment pod offers is opened only if it is a disk on a volume."""

import os
from pathlib import Path

import pytest

from launcher.agent import attached
from launcher.agent.places import Intruder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path.joinpath(*attached.FOLDER)
    folder.mkdir(parents=True)
    return tmp_path


def opened(root: Path, *, block: bool = False) -> int:
    handle = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        return attached.opened(handle, block=block, read_only=False)
    finally:
        os.close(handle)


def image(root: Path) -> Path:
    return root.joinpath(*attached.FOLDER, "disk.img")


def test_a_file_that_is_not_on_a_volume(root: Path) -> None:
    image(root).write_bytes(b"x")
    with pytest.raises(Intruder, match="not on a volume"):
        opened(root)


def test_a_link_is_not_followed(root: Path) -> None:
    image(root).symlink_to("/etc/shadow")
    with pytest.raises(Intruder, match="symbolic link"):
        opened(root)


def test_a_linked_folder_is_not_followed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "disk.img").write_bytes(b"")
    image(root).parent.rmdir()
    image(root).parent.symlink_to(other)
    with pytest.raises(Intruder):
        opened(root)


def test_a_pipe_is_no_disk(root: Path) -> None:
    os.mkfifo(image(root))
    with pytest.raises(Intruder, match="not a regular file"):
        opened(root)


def test_a_file_is_no_device(root: Path) -> None:
    (root / "dev").mkdir()
    (root / "dev" / "hotplug").write_bytes(b"")
    with pytest.raises(Intruder, match="not a block device"):
        opened(root, block=True)


def test_nothing_yet(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        opened(root)


def test_a_disk_that_is_being_made_is_not_there_yet(root: Path) -> None:
    image(root).touch()
    with pytest.raises(FileNotFoundError):
        opened(root)


def test_no_such_pod() -> None:
    assert attached.open_disk("00000000-0000-4000-8000-000000000000", block=False, read_only=False) is None
