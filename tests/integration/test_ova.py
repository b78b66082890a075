"""OVA files as QEMU writes their disks, over a real web server."""

import hashlib
import shutil
import subprocess
import tarfile

import pytest

from hostler.runtime.disk_report import Report
from hostler.runtime.errors import Terminal
from tests.integration.vcenter import MIB, content
from tests.integration.webserver import Site, serving
from tests.unit.v2v.test_ova import described
from v2v import sources_vmware, vmware
from v2v.importpod import Job as ImportJob
from v2v.job import Http, Job

SIZE = 24 * MIB

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed (qemu-utils)")


@pytest.fixture(scope="module")
def ova(tmp_path_factory):
    """An OVA with one disk, as VMware lays it out."""
    folder = tmp_path_factory.mktemp("ova")
    (folder / "disk.raw").write_bytes(content(SIZE))
    vmdk = folder / "legacy-disk1.vmdk"
    make = ["qemu-img", "convert", "-q", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
    subprocess.run([*make, folder / "disk.raw", vmdk], check=True)
    (folder / "legacy.ovf").write_bytes(described(capacity=str(SIZE // MIB)))
    with tarfile.open(folder / "legacy.ova", "w", format=tarfile.USTAR_FORMAT) as archive:
        for name in ("legacy.ovf", "legacy-disk1.vmdk"):
            archive.add(folder / name, name)
    return (folder / "legacy.ova").read_bytes()


def look(url):
    return sources_vmware.look(ImportJob(work="look", namespace="n", name="o", uid="u", url=url, ova=True), ("", ""))


def member(url, target, monkeypatch, name="legacy-disk1.vmdk"):
    target.mkdir(exist_ok=True)
    monkeypatch.setattr(Job, "target", property(lambda _: target))
    return vmware.OvaMember(Job(uid="u", kind="import", size=SIZE, http=Http(url=f"{url}#{name}")), Report())


def test_the_machine_is_found_without_reading_the_disk(ova):
    with serving(Site(ova)) as site:
        product, machines, count = look(f"{site.url}")
    assert (product, count) == ("OVA", 1)
    assert (machines[0].name, machines[0].memory_mib) == ("legacy", 512)
    assert [(disk.file, disk.bytes) for disk in machines[0].disks] == [("legacy-disk1.vmdk", SIZE)]


def test_a_disk_is_unpacked_as_it_comes(ova, tmp_path, monkeypatch):
    with serving(Site(ova, drops=[len(ova) // 3, len(ova) // 3])) as site:
        work = member(site.url, tmp_path / "volume", monkeypatch)
        work.make()
    copy = tmp_path / "volume" / "disk.img"
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == hashlib.sha256(content(SIZE)).hexdigest()
    assert copy.stat().st_blocks * 512 < 16 * MIB, "zeros take no room"
    assert len(site.seen) == 3, "the broken connections were taken up where they ended"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda data: data[: len(data) // 2] + bytes(len(data) // 2), "SourceCorrupt", id="overwritten"),
        pytest.param(lambda data: data[: len(data) // 2], "SourceCorrupt", id="cut"),
        pytest.param(lambda data: b"x" * 2000, "SourceCorrupt", id="no archive"),
    ],
)
def test_damaged_files(ova, tmp_path, monkeypatch, change, reason):
    with serving(Site(change(ova))) as site, pytest.raises(Terminal) as said:
        member(site.url, tmp_path / "volume", monkeypatch).make()
    assert said.value.reason == reason


def test_a_member_that_is_not_there(ova, tmp_path, monkeypatch):
    with serving(Site(ova)) as site, pytest.raises(Terminal, match=r"the archive has no .other\.vmdk"):
        member(site.url, tmp_path / "volume", monkeypatch, "other.vmdk").make()
