"""What the system or a program refused, in one line."""

import errno
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from cluster import failure
from cluster.errors import ClusterError
from cluster.failure import told


def failed(*words: str) -> Exception:
    with pytest.raises(subprocess.CalledProcessError) as info:
        subprocess.run(words, check=True, capture_output=True)
    return info.value


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(ClusterError("as it is"), "as it is", id="ours"),
        pytest.param(FileNotFoundError(2, "No such file or directory", "/x"), "/x: No such file or directory", id="x"),
        pytest.param(TimeoutError(), "TimeoutError", id="without a word"),
        pytest.param(failed("sh", "-c", "echo no >&2; exit 3"), "sh -c echo no >&2; exit 3 failed (exit code 3)\nno",
                     id="a program"),
        pytest.param(failed("sh", "-c", "kill $$"), "sh -c kill $$ failed (signal 15)", id="a program that is ended"),
    ],
)  # fmt: skip
def test_told(error, said):
    assert told(error) == said


def test_who_is_not_root_is_told_that_this_may_be_why(monkeypatch):
    error = PermissionError(errno.EACCES, "Permission denied", "/x")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert told(error) == "/x: Permission denied"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert told(error) == "/x: Permission denied (this may need root)"


def test_which_disk_is_full(tmp_path, monkeypatch):
    file = tmp_path / "not" / "there"
    said = told(OSError(errno.ENOSPC, "No space left on device", str(file)))
    assert said.startswith(f"no space left on the disk of {tmp_path} (mounted at /")


def test_a_write_does_not_tell_its_file_then_the_fullest_disk_is_meant(tmp_path, monkeypatch):
    (tmp_path / "clusters").mkdir()
    (tmp_path / "clusters-of-others").mkdir()
    monkeypatch.setattr(failure.layout, "CLUSTERS", tmp_path / "clusters")
    free = {tmp_path / "clusters": 2_000_000}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free.get(path, 1 << 40)))
    said = told(OSError(errno.ENOSPC, "No space left on device"))
    assert said.startswith(f"no space left on the disk of {tmp_path / 'clusters'} (mounted at ")
    assert said.endswith(", 2 MB are free now)")


@pytest.mark.parametrize("error", ["PermissionError(13, 'Permission denied', '/x')", "CalledProcessError(1, ['a'])"])
def test_vmctl_ends_with_one_line(error):
    code = (
        "import sys; from subprocess import CalledProcessError; from hostler.cli import main\n"
        f"def app(): raise {error}\n"
        "main.app = app; main.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
