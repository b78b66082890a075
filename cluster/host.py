"""Programs of the host, run for their effect or their answer."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from cluster import proxy
from cluster.errors import ClusterError


def run(*argv: str | Path, stdin: str | None = None, timeout: float | None = None) -> str:
    """The program's output; ClusterError with what it said if it fails."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words, input=stdin, capture_output=True, text=True, check=False, timeout=timeout,
            env=proxy.direct(os.environ),
        )  # fmt: skip
    except FileNotFoundError as error:
        raise ClusterError(f"{words[0]} is not installed on this host") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"{' '.join(words)}: no end within {timeout} s") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise ClusterError(f"{' '.join(words)}: {' | '.join(said[-5:]) or f'exit {done.returncode}'}")
    return done.stdout


def succeeds(*argv: str | Path) -> bool:
    try:
        run(*argv)
    except ClusterError:
        return False
    return True


def put(path: Path, text: str) -> None:
    """Write a file unless it says so already: some programs start anew when theirs is written."""
    if not path.exists() or path.read_text() != text:
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(text)
        fresh.replace(path)


def ip(commands: Sequence[str], namespace: Path | None = None) -> None:
    """Several commands of ip(8) at once, in a network namespace if one is given."""
    if commands:
        enter = ["nsenter", f"--net={namespace}", "--"] if namespace else []
        run(*enter, "ip", "-batch", "-", stdin="\n".join(commands) + "\n")
