"""Block volumes: a real device that had somebody else's bytes on it."""

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostler.runtime.disk_report import Report
from hostler.runtime.errors import Terminal
from tests.integration.test_disks_http import qcow2
from tests.integration.webserver import Site, serving
from v2v import clone, job, target
from v2v.clone import Clone
from v2v.importing import Import
from v2v.job import Http, Job
from v2v.work import Blank

MIB = 1 << 20
SIZE = 8 * MIB
DISK = random.Random(1).randbytes(2 * MIB) + bytes(3 * MIB) + random.Random(2).randbytes(MIB)


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A loop device full of what an earlier tenant left."""
    image = tmp_path / "image"
    image.write_bytes(b"\xff" * SIZE)
    found = subprocess.run(["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(f"no loop devices here: {found.stderr.strip()}")
    path = Path(found.stdout.strip())
    monkeypatch.setattr(job, "TARGET_DEVICE", path)
    try:
        yield path
    finally:
        subprocess.run(["losetup", "--detach", str(path)], check=True)


def read(device: Path) -> bytes:
    return device.read_bytes()


@pytest.mark.parametrize("holes", [True, False], ids=["punched", "written"])
@pytest.mark.parametrize("packed", [False, True], ids=["raw", "qcow2"])
def test_import(tmp_path: Path, device: Path, monkeypatch: pytest.MonkeyPatch, holes: bool, packed: bool) -> None:
    """What is zero in the disk is zero on the device, also where the device knows no holes."""
    if not holes:
        monkeypatch.setattr(target, "punch", lambda *_: False)
    with serving(Site(qcow2(tmp_path, DISK) if packed else DISK)) as site:
        Import(Job(uid="u", kind="import", size=0, device=True, http=Http(url=site.url)), Report(), tmp_path).make()
    assert read(device) == DISK + bytes(SIZE - len(DISK))


def test_blank(device: Path) -> None:
    Blank(Job(uid="u", kind="blank", size=0, device=True), Report()).make()
    assert read(device) == bytes(SIZE)


def test_clone(tmp_path: Path, device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "disk.img").write_bytes(DISK)
    monkeypatch.setattr(job, "SOURCE", tmp_path)
    Clone(Job(uid="u", kind="clone", size=0, device=True), Report()).make()
    assert read(device) == DISK + bytes(SIZE - len(DISK))


def test_too_small(tmp_path: Path, device: Path) -> None:
    with serving(Site(bytes(SIZE + 1))) as site, pytest.raises(Terminal, match="the disk needs more than"):
        Import(Job(uid="u", kind="import", size=0, device=True, http=Http(url=site.url)), Report(), tmp_path).make()


@pytest.mark.parametrize("kind", ["link", "nothing"])
def test_a_clone_of_what_is_no_disk(tmp_path: Path, kind: str) -> None:
    if kind == "link":
        (tmp_path / "disk.img").symlink_to("/etc/passwd")
    with pytest.raises(Terminal, match="the claim has no disk"):
        clone.open_source(tmp_path / "disk.img")
