"""What is said waits for nobody, and takes no more room than it should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.pod import logs
from launcher.pod.ending import last_reason, read_tail

END = b"2026-11-23 21:40:23.324+0000: shutting down, reason=shutdown\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "default_web.log"


def blocks(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_a_long_log_gives_up_the_room_of_its_beginning(log: Path) -> None:
    log.write_bytes(b"x" * (logs.MOST + 4096) + END)
    before = read_tail(str(log))
    with log.open("ab", buffering=0) as libvirt:
        logs.trim(str(log))
        assert read_tail(str(log)) == before
        assert blocks(log) <= logs.KEPT + 8192
        libvirt.write(b"\n" + END.replace(b"shutdown", b"crashed"))
    assert last_reason(read_tail(str(log))) == "crashed"


def test_what_was_given_up_does_not_count_again(log: Path) -> None:
    log.write_bytes(b"x" * (logs.MOST + 4096))
    logs.trim(str(log))
    with log.open("ab") as qemu:
        qemu.write(b"y" * (logs.MOST // 2))
    before = blocks(log)
    logs.trim(str(log))
    assert blocks(log) == before


@pytest.mark.parametrize("kind", ["short", "absent", "link", "fifo"])
def test_what_is_left_alone(log: Path, kind: str) -> None:
    long = log.with_name("long")
    long.write_bytes(b"x" * (logs.MOST + 4096))
    match kind:
        case "short":
            log.write_bytes(b"x" * logs.KEPT * 2)
        case "link":
            log.symlink_to(long)
        case "fifo":
            os.mkfifo(log)
    before = blocks(long), log.exists() and blocks(log)
    logs.trim(str(log))
    assert (blocks(long), log.exists() and blocks(log)) == before


def test_saying_waits_for_no_reader(tmp_path: Path) -> None:
    """All of PID 1, which has nothing to prepare, while nobody reads its standard error."""
    (tmp_path / "dev").mkdir()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    while True:
        try:
            os.write(writer, bytes(65536))
        except BlockingIOError:
            break
    os.set_blocking(writer, True)
    code = f"from launcher.pod import pid1, places; pid1.Places = lambda: places.Places({str(tmp_path)!r}); pid1.main()"
    done = subprocess.run([sys.executable, "-c", code], stderr=writer, env={}, timeout=20, check=False)
    for handle in (reader, writer):
        os.close(handle)
    assert done.returncode == 64
    assert "PrepareFailed" in (tmp_path / "dev/termination-log").read_text()
