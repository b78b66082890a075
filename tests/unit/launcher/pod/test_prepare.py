"""From the request, as the controllers write it, to files."""

import shutil
import subprocess
from pathlib import Path

import pytest

from hostler.api import launcher
from launcher.pod.errors import PrepareError
from launcher.pod.places import Places
from launcher.pod.prepare import prepare

lacking = [name for name in ("qemu-img", "xorriso", "prlimit") if not shutil.which(name)]
pytestmark = pytest.mark.skipif(bool(lacking), reason=f"not installed: {', '.join(lacking)}")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = Places(str(tmp_path))
    Path(found.private).mkdir(parents=True)
    return found


def ask(*disks: object, boot: launcher.Boot | None = None) -> str:
    return launcher.Prepare(domain="default_web", grace_seconds=30, disks=disks, boot=boot).json_text()  # type: ignore


def unpack(iso: Path, to: Path) -> dict[str, bytes]:
    subprocess.run(
        ["xorriso", "-osirrox", "on", "-indev", str(iso), "-extract", "/", str(to)], check=True, capture_output=True
    )
    return {str(file.relative_to(to)): file.read_bytes() for file in to.rglob("*") if file.is_file()}


def label(iso: Path) -> str:
    return iso.read_bytes()[0x8028:0x8048].decode().strip()


def test_every_kind_of_disk(places: Places) -> None:
    image = Path(places.images, "root/disk")
    image.mkdir(parents=True)
    (image / "x.raw").write_bytes(bytes(4096))
    Path(places.claims, "data").mkdir(parents=True)
    request = ask(
        launcher.Overlay(volume="root"),
        launcher.EmptyDisk(volume="scratch", bytes=1 << 20),
        launcher.ClaimDisk(volume="data", bytes=1 << 20),
        launcher.CloudInit(volume="cloud", label="cidata", instance_id="i", hostname="web"),
    )
    assert prepare(request, places) == ("default_web", 30)
    assert sorted(file.name for file in Path(places.disks).iterdir()) == ["cloud", "root", "scratch"]
    assert Path(places.claims, "data/disk.img").stat().st_size == 1 << 20
    assert Path(places.serial_log).is_fifo()


def test_no_cloud(places: Places, tmp_path: Path) -> None:
    disk = launcher.CloudInit(
        volume="c",
        label="cidata",
        instance_id="u",
        hostname='w"1',
        user_data=b"\x1f\x8bany",
        network_data=b"version: 2",
    )
    prepare(ask(disk), places)
    iso = Path(places.disks, "c")
    assert label(iso) == "cidata"
    assert unpack(iso, tmp_path / "out") == {
        "meta-data": b'{"instance-id": "u", "local-hostname": "w\\"1"}',
        "user-data": b"\x1f\x8bany",
        "network-config": b"version: 2",
    }


def test_config_drive_from_secrets(places: Places, tmp_path: Path) -> None:
    secrets = Path(places.secrets, "c")
    secrets.mkdir(parents=True)
    (secrets / "userData").write_bytes(b"#cloud-config")
    (secrets / "networkdata").write_bytes(b"{}")
    disk = launcher.CloudInit(
        volume="c", label="config-2", instance_id="u", hostname="w", secrets=("userdata", "networkdata")
    )
    prepare(ask(disk), places)
    iso = Path(places.disks, "c")
    assert label(iso) == "config-2"
    assert unpack(iso, tmp_path / "out") == {
        "openstack/latest/meta_data.json": b'{"instance_id": "u", "uuid": "u", "hostname": "w"}',
        "openstack/latest/user_data": b"#cloud-config",
        "openstack/latest/network_data.json": b"{}",
    }


def test_a_secret_without_the_key(places: Places) -> None:
    disk = launcher.CloudInit(volume="c", label="cidata", instance_id="u", hostname="w", secrets=("userdata",))
    with pytest.raises(PrepareError, match="volume c: the Secret has no key userdata"):
        prepare(ask(disk), places)


def test_a_kernel_that_is_not_there(places: Places) -> None:
    with pytest.raises(PrepareError, match="kernel-boot: the image has no file /boot/vmlinuz"):
        prepare(ask(boot=launcher.Boot(kernel="/boot/vmlinuz")), places)


def test_configuration(places: Places) -> None:
    hosts = set()
    for _ in range(2):
        prepare(ask(), places)
        text = Path(places.config, "libvirt/libvirtd.conf").read_text()
        hosts.add(next(line for line in text.splitlines() if line.startswith("host_uuid")))
    assert len(hosts) == 2, "two libvirtds with one host_uuid refuse to migrate to one another"
    assert 'security_driver = "none"' in Path(places.config, "libvirt/qemu.conf").read_text()


def test_the_last_run_is_forgotten(places: Places) -> None:
    log = Path(places.domain_log("default_web"))
    log.parent.mkdir(parents=True)
    log.write_text("2026-11-23 21:40:23.324+0000: shutting down, reason=shutdown\n")
    prepare(ask(), places)
    assert not log.exists()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="none"),
        pytest.param("[]", id="a list"),
        pytest.param('{"domain": "d"}', id="no grace"),
        pytest.param('{"domain": "d", "graceSeconds": 1, "disks": [{}]}', id="a disk without a name"),
        pytest.param('{"domain": "d", "graceSeconds": 1, "disks": [{"volume": "../x"}]}', id="a name that leads away"),
    ],
)
def test_not_a_request(places: Places, text: str) -> None:
    with pytest.raises(PrepareError, match="not a request"):
        prepare(text, places)


def test_a_kind_of_tomorrow(places: Places) -> None:
    text = '{"domain": "d", "graceSeconds": 1, "disks": [{"kind": "tape", "volume": "x"}]}'
    with pytest.raises(PrepareError, match="volume x: this launcher cannot make a disk of kind tape"):
        prepare(text, places)
