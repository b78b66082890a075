"""Builds a program from its Go modules; everything that goes into it is pinned by a go.sum of ours."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from cluster.catalog import Program
from cluster.errors import ClusterError

MODULES = Path(__file__).parent / "go"
OLDEST = (1, 21)  # from this Go on it fetches the newer one that a module asks for by itself


def recipe(program: Program) -> str:
    """Eight digits that change with anything that the built program depends on."""
    digest = hashlib.sha256(repr((program.package, program.tags, program.link, program.cgo)).encode())
    for path in _sources(program):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def build(program: Program, dest: Path) -> None:
    """Compile the program to `dest`; ClusterError says what is missing, or what the compiler said."""
    require_go()
    if program.cgo:
        _require_c()
    with tempfile.TemporaryDirectory() as scratch:
        for path in _sources(program):
            shutil.copy(path, scratch)
        done = subprocess.run(
            command(program, dest), cwd=scratch, env=_environment(program), capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        said = "\n".join(done.stderr.strip().splitlines()[-15:])
        raise ClusterError(f"building {program.name} {program.version} failed:\n{said}")


def _sources(program: Program) -> list[Path]:
    """The pins, and where the package is one of ours ("."), its code."""
    return sorted((MODULES / program.module).iterdir())


def command(program: Program, dest: Path) -> list[str]:
    flags = " ".join(["-s", "-w", *(f"-X {variable}" for variable in program.link)])
    tags = ["-tags", program.tags] if program.tags else []
    # -mod=readonly: a build never changes what is pinned
    return [
        "go",
        "build",
        "-mod=readonly",
        "-buildvcs=false",
        *tags,
        "-ldflags",
        flags,
        "-o",
        str(dest),
        program.package,
    ]


def _environment(program: Program) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("GOFLAGS", "GOOS", "GOARCH", "GOWORK")}
    return kept | {"CGO_ENABLED": "1" if program.cgo else "0", "GOWORK": "off"}


def require_go() -> None:
    """ClusterError unless there is a Go that can build the programs."""
    go = shutil.which("go")
    if go is None:
        raise ClusterError(
            f"no Go to build the programs with: install Go {OLDEST[0]}.{OLDEST[1]} or newer (https://go.dev/dl), "
            "or give a folder with the programs (--programs, HOSTLER_PROGRAMS)"
        )
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"go(\d+)\.(\d+)", said)
    if found and (int(found[1]), int(found[2])) < OLDEST:
        raise ClusterError(f"{go} is {said.strip()}: Go {OLDEST[0]}.{OLDEST[1]} or newer is needed (https://go.dev/dl)")


def _require_c() -> None:
    if shutil.which("gcc") is None or shutil.which("pkg-config") is None:
        raise ClusterError("runc needs a C compiler: apt-get install gcc libc6-dev pkg-config libseccomp-dev")
    if subprocess.run(["pkg-config", "--exists", "libseccomp"], check=False).returncode != 0:
        raise ClusterError("runc needs libseccomp: apt-get install libseccomp-dev")
