"""The pause image: our own few lines of C, compiled on this host, nothing else in it."""

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from cluster.oci import write_image

REF = "docker.io/hostler/pause:1"
SOURCE = Path(__file__).parent.parent / "images" / "pause" / "pause.c"


def build(dest: Path) -> Path:
    """Compile the pause program and write its image archive to `dest`."""
    with TemporaryDirectory() as scratch:
        program = Path(scratch) / "pause"
        subprocess.run(["gcc", "-static", "-Os", "-s", "-Wall", "-o", program, SOURCE], check=True)
        return write_image(dest, REF, {"/pause": program}, entrypoint=["/pause"], user="65535:65535")
