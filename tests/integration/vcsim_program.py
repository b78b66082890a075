"""vcsim, VMware's own simulator, built once into the cache; run as a module, it does that ahead of the tests."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "v0.46.3"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hostler" / "vcsim"
SECONDS = 900  # for the build, on a machine that has other things to do


class Unavailable(Exception):
    """Why there is none."""


def program() -> Path:
    """Where it is; built from the Go module proxy if it is not there yet, by one at a time."""
    path = CACHE / "vcsim"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            build()
    return path


def build() -> None:
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise Unavailable("vcsim is not built: there is no Go compiler (golang-go)")
    done = subprocess.run(
        [go, "install", "-p", "1", f"github.com/vmware/govmomi/vcsim@{VERSION}"],
        env=os.environ | {"GOBIN": str(CACHE)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        raise Unavailable(f"vcsim cannot be built: {done.stderr[-300:]}")


if __name__ == "__main__":
    try:
        print(program())
    except (Unavailable, subprocess.TimeoutExpired) as error:
        sys.exit(str(error))
