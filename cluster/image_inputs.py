"""What an image is built from: its sources laid out for the builder, and the digest that names what comes of them."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc")


def lay_out(sources: Sequence[str], context: Path, root: Path = ROOT) -> None:
    """Copy `sources` (paths below `root`) to `context`, with fixed times and modes: only content can differ."""
    for source in sources:
        origin, copy = root / source, context / source
        if origin.is_dir():
            shutil.copytree(origin, copy, ignore=IGNORED)
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(origin, copy)
    for path in [context, *context.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (0, 0))


def digest(context: Path, *more: str) -> str:
    """12 hexadecimal digits of everything below `context` and of `more`."""
    sha = hashlib.sha256("\0".join(more).encode())
    for path in sorted(context.rglob("*")):
        if path.is_file():
            mode, content = path.stat().st_mode & 0o777, path.read_bytes()
            sha.update(f"\0{path.relative_to(context)}\0{mode:o}\0{len(content)}\0".encode() + content)
    return sha.hexdigest()[:12]
