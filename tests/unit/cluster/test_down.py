"""What is found of a cluster that is to go."""

import json
import os

from cluster import down, logfile


def test_loops_over_our_files_only(tmp_path):
    (ours := tmp_path / "ours").touch()
    (other := tmp_path / "other").touch()
    listing = {"loopdevices": [loop("/dev/loop0", other), loop("/dev/loop1", ours), loop("/dev/loop2", ours)]}
    assert down.loops(json.loads(json.dumps(listing)), [ours.stat()]) == ["/dev/loop1", "/dev/loop2"]
    assert down.loops({}, [ours.stat()]) == []


def loop(name: str, file) -> dict[str, object]:
    about = file.stat()
    # losetup pads the numbers of the device
    device = f"  {os.major(about.st_dev)}:{os.minor(about.st_dev)}  "
    return {"name": name, "back-ino": about.st_ino, "back-maj:min": device}


def test_mounts_below():
    assert "/proc" in down.mounts_below(down.Path("/"))
    assert down.mounts_below(down.Path("/proc/nothing")) == []


def test_a_log_is_kept_short_while_it_is_written(tmp_path):
    path = tmp_path / "it.log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 10)
        logfile.trim(path, largest=20)
        writer.write(b"new\n")
        logfile.trim(path, largest=20)
    assert path.read_text() == "new\n"
    assert logfile.tail(path, 3) == ["old", "old", "new"]
    assert logfile.tail(path, 0) == []
    assert logfile.tail(path, 100) == ["old"] * 10 + ["new"]


def test_following_a_log_that_is_trimmed(tmp_path):
    path = tmp_path / "it.log"
    path.write_bytes(b"one\n")
    pieces = logfile.follow(path, 4)
    assert next(pieces) == b""
    with path.open("ab") as writer:
        writer.write(b"two\n")
    assert next(pieces) == b"two\n"
    path.write_bytes(b"x\n")
    assert next(pieces) == b"x\n"
