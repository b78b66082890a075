"""The images of Hostler: built here from Debian's packages, only when what they are made of changed.

    scripts/images [NAME...] [--out DIR] [--output text|json]

Prints each image's reference and archive; load one with `vmctl cluster load`, `docker load` or `podman load`.
"""

import argparse
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cluster import durable, image_inputs, image_pause
from cluster.errors import ClusterError
from cluster.failure import told
from cluster.image_builder import TOOLS, Builder, require
from hostler.runtime.errors import Terminal

REPOSITORY = "docker.io/hostler"
ENOUGH = 15_000  # MB of steps of earlier builds; then all of them are thrown away, and the next build starts anew
KEPT = 3  # archives of each image, so that going back and forth between two versions rebuilds neither


@dataclass(frozen=True)
class Image:
    """What an image is made of, its Containerfile's folder first; without a `tag` its tag is the digest of that."""

    name: str
    sources: tuple[str, ...]
    tag: str = ""
    target: str = ""  # stage of the Containerfile; the last one if it is not said

    def ref(self, digest: str) -> str:
        return f"{REPOSITORY}/{self.name}:{self.tag or digest}"


IMAGES = {
    image.name: image
    for image in (
        Image(
            "hostler",
            (
                "images/hostler",
                "hostler",
                "controllers",
                "fencing",
                "gateway",
                "launcher",
                "migration",
                "v2v",
                "pyproject.toml",
                "uv.lock",
            ),
        ),
        Image("hostler-launcher", ("images/hostler-launcher", "launcher/pod")),
        Image("hostler-v2v", ("images/hostler-v2v", "hostler", "v2v", "pyproject.toml", "uv.lock"), tag="dev"),
        Image("legacy", ("images/legacy",), tag="1"),
        Image("tiny", ("images/tiny",), tag="1"),
        Image("tiny-next", ("images/tiny",), tag="1", target="next"),
        Image("debian", ("images/debian",), tag="1"),
        Image("pause", ("images/pause",), tag="1"),
    )
}


@dataclass(frozen=True)
class Built:
    """An image's reference and the archive that brings it."""

    ref: str
    tar: Path


def build(names: Sequence[str], out: Path | None = None, *, fresh: bool = False) -> dict[str, Built]:
    """Build the named images where something changed; `fresh` with today's packages, whether it did or not."""
    unknown = [name for name in names if name not in IMAGES]
    if unknown:
        raise Terminal("UnknownImage", f"no image {unknown[0]!r}: there are {', '.join(IMAGES)}")
    if more := set(names) - {"pause"}:
        require(*TOOLS)
    cache = cache_folder()
    out = out or cache / "archives"
    for folder in (cache / "store", cache / "logs", out):
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        if more:
            _tidy(cache)
        base = _base(cache, fresh=fresh) if more else ""
        return {name: _build(IMAGES[name], base, cache, out, fresh=fresh) for name in names}


def cache_folder() -> Path:
    """Where images, their steps and the logs of their builds are kept."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "hostler" / "images"


def _tidy(cache: Path) -> None:
    """Every edit leaves a step in the store that no later build takes up: they may not fill the disk."""
    with _logged(cache, "tidy") as builder:
        builder.clear()
    used = int(subprocess.run(["du", "-smx", cache / "store"], capture_output=True, check=True).stdout.split()[0])
    if used > ENOUGH:
        _say(f"the store of earlier builds has grown to {used / 1000:.0f} GB: emptying it")
        with _logged(cache, "tidy") as builder:
            builder.empty()


def _base(cache: Path, *, fresh: bool) -> str:
    with _logged(cache, "base") as builder:
        if not fresh and (known := builder.base()):
            return known
        _say("debian:trixie-slim: building")
        return builder.make_base()


def _build(image: Image, base: str, cache: Path, out: Path, *, fresh: bool) -> Built:
    with TemporaryDirectory(prefix="hostler-image.") as scratch:
        context = Path(scratch)
        image_inputs.lay_out(image.sources, context)
        digest = image_inputs.digest(context, base)
        built = Built(image.ref(digest), out / f"{image.name}-{digest}.tar")
        if durable.whole(built.tar) and not fresh:
            built.tar.touch()  # the last used are kept
            _say(f"{image.name}: up to date")
            return built
        started = time.monotonic()
        _say(f"{image.name}: building")
        _make(image, built, context, cache, fresh=fresh)
        size = built.tar.stat().st_size / 1e6
        _say(f"{image.name}: built in {time.monotonic() - started:.1f} s, {size:.0f} MB")
    _forget_old(out, image.name)
    return built


def _make(image: Image, built: Built, context: Path, cache: Path, *, fresh: bool) -> None:
    if image.name == "pause":
        image_pause.build(built.tar)
        return
    with _logged(cache, image.name) as builder:
        containerfile = context / image.sources[0] / "Containerfile"
        builder.build(containerfile, context, built.ref, target=image.target, fresh=fresh)
        builder.save(built.ref, built.tar)
        builder.drop(f"{REPOSITORY}/{image.name}", keep=built.ref)


@contextmanager
def _logged(cache: Path, name: str) -> Iterator[Builder]:
    """A builder that writes a log, whose end is shown if it fails."""
    path = cache / "logs" / f"{name}.log"
    try:
        with path.open("wb", buffering=0) as log:
            yield Builder(cache / "store", log)
    except subprocess.CalledProcessError as error:
        end = "\n".join(path.read_text(errors="replace").splitlines()[-20:])
        raise Terminal("BuildFailed", f"{end}\n{error.cmd[0]} failed; all of it is in {path}") from error


def _forget_old(out: Path, name: str) -> None:
    """Remove archives of `name` that were not used for longest."""
    digest = "[0-9a-f]" * 12
    archives = sorted(out.glob(f"{name}-{digest}.tar"), key=lambda path: path.stat().st_mtime, reverse=True)
    for archive in archives[KEPT:]:
        archive.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One build at a time: builds share the store, and this machine."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another build of images to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0 when all is built, 1 when a build failed, 2 for a wrong name."""
    parser = argparse.ArgumentParser(
        prog="scripts/images", description="Build Hostler's images where something changed."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(IMAGES)}; default: all")
    parser.add_argument("--out", type=Path, help="folder for the archives; default: below ~/.cache/hostler")
    parser.add_argument("--fresh", action="store_true", help="build all anew, with the packages that Debian has today")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    options = parser.parse_args(arguments)
    try:
        built = build(options.names or list(IMAGES), options.out, fresh=options.fresh)
    except Terminal as error:
        print(f"scripts/images: {error}", file=sys.stderr)
        return 2 if error.reason == "UnknownImage" else 1
    except (ClusterError, OSError, subprocess.CalledProcessError) as error:
        print(f"scripts/images: {told(error)}", file=sys.stderr)
        return 1
    if options.output == "json":
        print(json.dumps({name: {"ref": image.ref, "tar": str(image.tar)} for name, image in built.items()}, indent=2))
    else:
        for image in built.values():
            print(f"{image.ref:60} {image.tar}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
