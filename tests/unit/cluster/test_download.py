"""Release downloads from a real server on loopback: the right bytes or none."""

import hashlib
import http.server
import io
import socket
import struct
import tarfile
import threading
import time
from pathlib import Path

import pytest

from cluster import download
from cluster.catalog import PROGRAMS, Release
from cluster.download import Corrupt, Unreachable

PROGRAM = b"#!/bin/sh\necho I am the program\n"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def archive(**members: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(f"release/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return file.getvalue()


TAR = archive(program=PROGRAM, other=b"x")
FILES = {
    "/program": PROGRAM,
    "/program.sha256": digest(PROGRAM).encode(),
    "/wrong.sha256": digest(b"other").encode(),
    "/r.tar.gz": TAR,
    "/SUMS": f"{digest(b'other')}  other.tar.gz\n{digest(TAR)}  r.tar.gz\n".encode(),
    "/page": b"<html>moved</html>",
}

FLAKY = ("/early", "/early.sha256", "/reset", "/reset.sha256")  # they break off
FILES |= {path: FILES["/program.sha256" if path.endswith("256") else "/program"] for path in FLAKY}
DEAD = ("/dead", "/dead-reset.sha256")  # these always do
FILES |= {"/dead.sha256": FILES["/program.sha256"]}
BREAKS = {1: (*FLAKY, *DEAD), 2: DEAD}  # how often it was asked for -> what breaks off then


@pytest.fixture
def server(monkeypatch):
    """Its URL, and the paths that it was asked for."""
    monkeypatch.setattr(download, "_unreachable", {})
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path in BREAKS.get(asked.count(self.path), ()):
                self.break_off()
                return
            data = FILES.get(self.path)
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def break_off(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"some")
            if "reset" in self.path:
                # closed like this it ends with a reset
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.wfile.flush()
                time.sleep(0.1)
                self.connection.close()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("file", "sums", "member"),
    [
        pytest.param("program", "program.sha256", "", id="a program and its hash"),
        pytest.param("r.tar.gz", "SUMS", "release/program", id="an archive and a list of hashes"),
    ],
)
def test_good_releases(server, tmp_path, file, sums, member):
    url, _ = server
    download.fetch(Release(f"{url}/{file}", f"{url}/{sums}", member), tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == PROGRAM
    assert [path.name for path in tmp_path.iterdir()] == ["it"], "no scraps"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        pytest.param(("program", "wrong.sha256", ""), "has SHA-256", id="not what the checksum says"),
        pytest.param(("r.tar.gz", "page", "release/program"), "no SHA-256", id="a page instead of checksums"),
        pytest.param(("program", "SUMS", ""), "no SHA-256 of program", id="not in the list"),
        pytest.param(("r.tar.gz", "SUMS", "release/absent"), "no release/absent", id="not in the archive"),
    ],
)
def test_bad_releases_are_never_used(server, tmp_path, names, said):
    url, _ = server
    file, sums, member = names
    with pytest.raises(Corrupt, match=said):
        download.fetch(Release(f"{url}/{file}", f"{url}/{sums}", member), tmp_path / "it")
    assert list(tmp_path.iterdir()) == []


def test_a_release_that_is_not_there_is_unreachable(server, tmp_path):
    url, _ = server
    with pytest.raises(Unreachable, match="HTTP 404"):
        download.fetch(Release(f"{url}/none", f"{url}/none.sha256"), tmp_path / "it")
    download.fetch(Release(f"{url}/program", f"{url}/program.sha256"), tmp_path / "it")


@pytest.mark.parametrize("file", ["early", "reset"])
def test_what_breaks_off_is_tried_once_more(server, tmp_path, monkeypatch, file):
    url, asked = server
    for sums in ("program", file):
        asked.clear()
        download.fetch(Release(f"{url}/{file}", f"{url}/{sums}.sha256"), tmp_path / "it")
        assert (tmp_path / "it").read_bytes() == PROGRAM


@pytest.mark.parametrize(("file", "sums"), [("dead", "dead"), ("program", "dead-reset")])
def test_what_breaks_off_twice_is_unreachable(server, tmp_path, file, sums):
    url, asked = server
    release = Release(f"{url}/{file}", f"{url}/{sums}.sha256")
    with pytest.raises(Unreachable, match=r"broke off: ([0-9]+ bytes are missing|\[Errno 104\])"):
        download.fetch(release, tmp_path / "it")
    assert len(asked) == (3 if file == "dead" else 2)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_not_taken_for_the_network(server, tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    url, _ = server
    with pytest.raises(OSError, match="No space left"):
        download._save(f"{url}/program", Path("/dev/full"))


def test_a_host_that_does_not_answer_is_asked_once(server, tmp_path):
    _, asked = server
    release = Release("http://127.0.0.1:1/it", "http://127.0.0.1:1/it.sha256")
    with pytest.raises(Unreachable):
        download.fetch(release, tmp_path / "it")
    with pytest.raises(Unreachable, match=r"did not answer before: .*refused"):
        download.fetch(release, tmp_path / "it")
    assert asked == []


def test_too_much_is_cut_off(server, tmp_path, monkeypatch):
    url, _ = server
    monkeypatch.setattr(download, "LARGEST", 10)
    with pytest.raises(Corrupt, match="larger than"):
        download.fetch(Release(f"{url}/program", f"{url}/program.sha256"), tmp_path / "it")


def test_every_release_of_the_catalogue_is_of_the_pinned_version_over_https():
    for program in PROGRAMS.values():
        if program.release is not None:
            for url in (program.release.url, program.release.checksums):
                assert url.startswith("https://")
                assert program.number in url
