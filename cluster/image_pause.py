"""The pause image: our own few lines of C, compiled on this host, nothing else in it."""

from pathlib import Path
from tempfile import TemporaryDirectory

from cluster import host
from cluster.errors import ClusterError
from cluster.oci import write_image

REF = "docker.io/hostler/pause:1"
SOURCE = Path(__file__).parent.parent / "images" / "pause" / "pause.c"


def build(dest: Path) -> Path:
    """Compile the pause program and write its image archive to `dest`."""
    require_static_libc()
    with TemporaryDirectory() as scratch:
        program = Path(scratch) / "pause"
        host.run("gcc", "-static", "-Os", "-s", "-Wall", "-o", program, SOURCE)
        return write_image(dest, REF, {"/pause": program}, entrypoint=["/pause"], user="65535:65535")


def require_static_libc() -> None:
    """Some have a C compiler without it: Debian brings both, Fedora does not."""
    if "/" not in host.run("gcc", "-print-file-name=libc.a"):  # gcc says a path only of what is there
        raise ClusterError("no static C library: apt-get install libc6-dev (on Fedora: dnf install glibc-static)")
