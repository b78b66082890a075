"""Imports from web servers that are good, slow, forgetful, lying or hostile; real qemu-img."""

import gzip
import hashlib
import lzma
import random
import subprocess
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hostler.runtime.disk_report import Report
from hostler.runtime.errors import Terminal
from tests.integration.webserver import Site, serving
from v2v import http, importing
from v2v import job as jobs
from v2v.importing import Import
from v2v.job import Http, Job
from v2v.work import Interrupted

MIB = 1 << 20
SIZE = 8 * MIB
# data, a hole, data that does not fill a block
DISK = random.Random(1).randbytes(2 * MIB) + bytes(3 * MIB) + random.Random(2).randbytes(MIB + 513)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PAUSES", (0.01,))
    monkeypatch.setattr(http.HttpSource.__init__, "__defaults__", (None, None, (0.01,)))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The volume."""
    (tmp_path / "volume").mkdir()
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(jobs, "TARGET", tmp_path / "volume")
    return tmp_path


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site(DISK)) as one:
        yield one


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def work(site: Site, place: Path, known: Report | None = None, size: int = SIZE, **more: Any) -> Import:
    job = Job(uid="u", kind="import", size=size, http=Http(**{"url": site.url, **more}))
    return Import(job, known or Report(), place / "scratch")


def disk(place: Path) -> bytes:
    return (place / "volume" / "disk.img").read_bytes()


def whole(place: Path, content: bytes = DISK, size: int = SIZE) -> bool:
    return disk(place) == content + bytes(size - len(content))


def qcow2(tmp_path: Path, content: bytes, *options: str) -> bytes:
    raw, image = tmp_path / "raw", tmp_path / "qcow2"
    raw.write_bytes(content)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", *options, str(raw), str(image)], check=True)
    return image.read_bytes()


@pytest.mark.parametrize(
    "pack",
    [
        pytest.param(lambda _, data: data, id="raw"),
        pytest.param(lambda _, data: gzip.compress(data, 1), id="gz"),
        pytest.param(lambda _, data: lzma.compress(data, preset=0), id="xz"),
        pytest.param(qcow2, id="qcow2"),
        pytest.param(lambda tmp, data: qcow2(tmp, data, "-c"), id="compressed qcow2"),
        pytest.param(lambda tmp, data: gzip.compress(qcow2(tmp, data), 1), id="qcow2 in gz"),
    ],
)
def test_formats(site: Site, place: Path, pack: Callable[[Path, bytes], bytes]) -> None:
    site.content = pack(place, DISK)
    one = work(site, place, checksum=sha256(site.content))
    one.make()
    padded = DISK + bytes(-len(DISK) % 512)
    assert whole(place, padded)
    assert one.said.percent == 100
    holes = SIZE - (place / "volume" / "disk.img").stat().st_blocks * 512
    assert holes >= 4 * MIB
    assert list((place / "scratch").iterdir()) == []


@pytest.mark.parametrize("packed", [False, True], ids=["raw", "gz"])
def test_memory_is_bounded(site: Site, place: Path, packed: bool) -> None:
    """A few pieces of 1 MiB, whatever the disk's size."""
    disk = random.Random(4).randbytes(MIB) * 48
    site.content = gzip.compress(disk, 1) if packed else disk
    one = work(site, place, size=len(disk), checksum=sha256(site.content))
    tracemalloc.start()
    try:
        one.make()
        assert tracemalloc.get_traced_memory()[1] < 12 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256", "sha512"])
def test_checksums(site: Site, place: Path, name: str) -> None:
    right = hashlib.new(name, DISK).hexdigest()
    work(site, place, checksum=f"{name}:{right.upper()}").make()
    with pytest.raises(Terminal) as error:
        work(site, place, checksum=f"{name}:{'0' * len(right)}").make()
    assert error.value.reason == "ChecksumMismatch"
    assert right in error.value.message


def test_a_hostile_qcow2_with_a_wrong_checksum_reaches_no_program(
    site: Site, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.content = qcow2(place, DISK)
    monkeypatch.setattr("v2v.filling.run", lambda *_: pytest.fail("qemu-img was run"))
    with pytest.raises(Terminal, match="expected 0000"):
        work(site, place, checksum="md5:" + "0" * 32).make()


def test_breaks_off_and_goes_on(site: Site, place: Path) -> None:
    site.drops = [MIB, 100, 2 * MIB]
    work(site, place, checksum=sha256(DISK)).make()
    assert whole(place)
    asked = [each.get("Range") for each in site.seen]
    assert len(asked) == 4
    assert asked[0] is None
    assert all(each and each.startswith("bytes=") for each in asked[1:])
    assert {each.get("If-Range") for each in site.seen[1:]} == {'"v1"'}


def test_packed_bytes_go_on_as_well(site: Site, place: Path) -> None:
    site.content = gzip.compress(DISK, 1)
    site.drops = [MIB, 100_000]
    work(site, place, checksum=sha256(site.content)).make()
    assert whole(place)


def test_breaks_off_where_there_are_no_ranges(site: Site, place: Path) -> None:
    site.ranges = False
    site.drops = [MIB]
    work(site, place).make()
    assert whole(place)


def test_breaks_off_for_ever(site: Site, place: Path) -> None:
    site.ranges = False
    site.drops = [MIB] * 20
    with pytest.raises(Interrupted, match=r"cannot be read on from byte 1048576 \(3 tries\)"):
        work(site, place).make()


def test_promises_more_than_it_has(site: Site, place: Path) -> None:
    site.length = len(DISK) + 100
    with pytest.raises(Interrupted):
        work(site, place).make()


def test_promises_less_than_it_has(site: Site, place: Path) -> None:
    site.length = MIB
    with pytest.raises(Terminal, match="expected"):
        work(site, place, checksum=sha256(DISK)).make()


def test_changes_in_the_middle(site: Site, place: Path) -> None:
    """The old beginning and the new end never make one disk."""
    site.drops = [3 * MIB]
    one = work(site, place)
    new = random.Random(3).randbytes(len(DISK) - 5)
    original = importing.Import._counted

    def counted(self: Import, stream: Any, source: Any) -> Iterator[bytes]:
        for piece in original(self, stream, source):
            site.content, site.etag = new, '"v2"'
            yield piece

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importing.Import, "_counted", counted)
        one.make()
    assert whole(place, new)


def test_another_worker_goes_on(site: Site, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the middle: what was told to be safe is not read again."""
    monkeypatch.setattr(importing, "SYNC_BYTES", MIB)
    site.drops = [4 * MIB] + [0] * 20
    first = work(site, place, checksum=sha256(DISK))
    with pytest.raises(Interrupted):
        first.make()
    assert first.said.raw
    assert first.said.offset >= 3 * MIB
    with (place / "volume" / "disk.img").open("r+b") as file:  # what came after the last word may be anything
        file.seek(first.said.offset)
        file.write(b"half a write")
    site.drops, site.seen = [], []
    work(site, place, known=Report.model_validate_json(first.said.model_dump_json()), checksum=sha256(DISK)).make()
    assert whole(place)
    assert [each.get("Range") for each in site.seen] == [f"bytes={first.said.offset}-"]


def test_the_mark_outlives_a_worker_that_does_not_get_that_far(
    site: Site, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "SYNC_BYTES", MIB)
    site.drops = [4 * MIB] + [0] * 40
    first = work(site, place, checksum=sha256(DISK))
    with pytest.raises(Interrupted):
        first.make()
    second = work(site, place, known=first.said, checksum=sha256(DISK))
    with pytest.raises(Interrupted):
        second.make()
    site.drops, site.seen = [], []
    work(site, place, known=second.said, checksum=sha256(DISK)).make()
    assert whole(place)
    assert [each.get("Range") for each in site.seen] == [f"bytes={first.said.offset}-"]


def test_another_worker_finds_another_source(site: Site, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "SYNC_BYTES", MIB)
    site.drops = [4 * MIB] + [0] * 20
    first = work(site, place)
    with pytest.raises(Interrupted):
        first.make()
    site.drops = []
    site.content, site.etag = bytes(MIB) + b"new", '"v2"'
    work(site, place, known=first.said).make()
    assert whole(place, site.content)


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        pytest.param({"statuses": [404]}, "SourceRefused", "answered 404", id="404"),
        pytest.param({"statuses": [403]}, "SourceRefused", "answered 403", id="403"),
        pytest.param({"login": "me:secret"}, "SourceRefused", "answered 401", id="401"),
        pytest.param({"redirect": "/disk"}, "TooManyRedirects", "redirects more than 5 times", id="redirect loop"),
        pytest.param({"redirect": "file:///etc/passwd"}, "RedirectRefused", "not on the web", id="redirect to a file"),
        pytest.param({"content": bytes(SIZE + 1)}, "VolumeTooSmall", "requests.storage", id="too large"),
        pytest.param({"content": gzip.compress(bytes(20 * SIZE))}, "VolumeTooSmall", "requests.storage", id="a bomb"),
        pytest.param({"content": gzip.compress(DISK)[:-9]}, "SourceCorrupt", "ends in the middle", id="cut gz"),
        pytest.param({"content": b"KDMV" + bytes(1000)}, "FormatNotSupported", "the source is vmdk", id="vmdk"),
        pytest.param({"content": b"QFI\xfb" + b"\xff" * 2000}, "ImageInvalid", "cannot be read", id="broken qcow2"),
    ],
)
def test_what_cannot_be(site: Site, place: Path, change: dict[str, Any], reason: str, message: str) -> None:
    for name, value in change.items():
        setattr(site, name, value)
    with pytest.raises(Terminal) as error:
        work(site, place).make()
    assert error.value.reason == reason
    assert message in error.value.message


@pytest.mark.parametrize("statuses", [[503], [500, 429], [408]])
def test_what_passes(site: Site, place: Path, statuses: list[int]) -> None:
    site.statuses = statuses
    work(site, place).make()
    assert whole(place)


def test_nobody_there(place: Path) -> None:
    with pytest.raises(Interrupted, match=r"http://127\.0\.0\.1:1/disk: .*refused"):
        work(Site(b"", url="http://127.0.0.1:1/disk"), place).make()


def test_login_and_headers(site: Site, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "accessKeyId").write_text("me\n")
    (place / "secretKey").write_text("secret\n")
    monkeypatch.setattr(importing, "CREDENTIALS", place)
    site.login = "me:secret"
    work(site, place, credentials=True, headers=("X-Key: abc",)).make()
    assert whole(place)
    assert site.seen[0]["X-Key"] == "abc"
    with serving(Site(b"", redirect=site.url)) as other:  # what is for one server is not told to the next
        with pytest.raises(Terminal, match="401"):
            work(other, place, credentials=True, headers=("X-Key: abc",)).make()
        assert "X-Key" not in site.seen[-1]


@pytest.mark.parametrize("header", ["no colon", ": no name", "X: a\r\nY: b"])
def test_headers_that_are_none(site: Site, place: Path, header: str) -> None:
    with pytest.raises(Terminal, match="extraHeaders"):
        work(site, place, headers=(header,)).make()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["-b", "/etc/passwd", "-F", "raw"], "backing file", id="backing file"),
        pytest.param(["-o", "data_file=data.raw"], "data in another file", id="data file"),
        pytest.param([], "the disk is 1099511627776 bytes", id="size bomb"),
    ],
)
def test_hostile_qcow2(site: Site, place: Path, options: list[str], message: str) -> None:
    image = place / "evil.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, str(image), "1T"], check=True, cwd=place)
    site.content = image.read_bytes()
    with pytest.raises(Terminal, match=message):
        work(site, place).make()
