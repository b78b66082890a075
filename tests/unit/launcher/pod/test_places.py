"""The pod has no copy of hostler.api.launcher, so it repeats what that says: here they are compared."""

import ast
import sys
from pathlib import Path

import pytest

from hostler.api import launcher
from launcher import pod
from launcher.pod.outcome import RESULT_ROOM
from launcher.pod.places import Places

PLACES = Places()
MODULES = sorted(Path(pod.__file__).parent.glob("*.py"))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (PLACES.private, launcher.PRIVATE),
        (PLACES.disks, launcher.DISKS),
        (PLACES.images, launcher.IMAGES),
        (PLACES.claims, launcher.CLAIMS),
        (PLACES.secrets, launcher.SECRETS),
        (PLACES.serial_log, launcher.SERIAL_LOG),
        (PLACES.exit_fifo, launcher.EXIT_FIFO),
        (PLACES.result_fifo, launcher.RESULT_FIFO),
        (RESULT_ROOM, launcher.RESULT_LIMIT),
        (PLACES.socket, launcher.LIBVIRT_SOCKET),
        (PLACES.termination_log, launcher.TERMINATION_LOG),
    ],
)
def test_the_same_place(ours: str | int, theirs: str | int) -> None:
    assert ours == theirs


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_only_the_standard_library(module: Path) -> None:
    """The launcher image has Debian's minimal Python, which lacks these besides all packages."""
    lacking = {"shutil", "uuid", "asyncio", "ctypes", "sqlite3", "multiprocessing", "xml", "html", "http", "unittest"}
    for node in ast.walk(ast.parse(module.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        for name in {name.split(".")[0] for name in names}:
            assert name in sys.stdlib_module_names - lacking
