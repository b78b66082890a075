"""OCI image archives: what `ctr images import`, `docker load` and `podman load` take, written without any of them.

The same content gives the same bytes: entries are sorted and times are fixed, so a digest tells whether it changed.
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import IO, Any

from cluster import durable

ARCHITECTURE = "amd64"  # the only one that our QEMU, kernels and guests are built for
EPOCH = "1970-01-01T00:00:00Z"
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
PLAIN = "application/vnd.oci.image.layer.v1.tar"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
BUFFER = 1 << 20

Sink = IO[bytes] | io.RawIOBase | gzip.GzipFile


@dataclass(frozen=True)
class Config:
    """How a container of the image starts, when its pod does not say otherwise."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    user: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    workdir: str = ""

    def document(self, diff_ids: Sequence[str]) -> dict[str, Any]:
        """The image's config as OCI spells it; what is empty is left out."""
        how = {
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.cmd),
            "User": self.user,
            "Env": [f"{name}={value}" for name, value in self.env.items()],
            "Labels": dict(self.labels),
            "WorkingDir": self.workdir,
        }
        return {
            "created": EPOCH,
            "architecture": ARCHITECTURE,
            "os": "linux",
            "config": {key: value for key, value in how.items() if value},
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        }


@dataclass(frozen=True)
class Layer:
    """One tar of files as it lies on the disk, and the digests that name it."""

    blob: Path
    digest: str  # sha256:... of the blob
    diff_id: str  # sha256:... of the tar inside
    media_type: str

    def document(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.blob.stat().st_size}


def write_image(  # noqa: PLR0913 - each is one word of the image
    dest: Path,
    ref: str,
    files: Mapping[str, Path | bytes],
    *,
    entrypoint: Sequence[str] = (),
    cmd: Sequence[str] = (),
    user: str = "",
    env: Mapping[str, str] | None = None,
    modes: Mapping[str, int] | None = None,
    compress: bool = True,
) -> Path:
    """Write an image of one layer: `files` by their path inside, root's, 0755 if the source is executable, else 0644.

    `modes` overrides by path inside. `compress=False` is for content that is compressed already.
    """
    dest.parent.mkdir(parents=True, exist_ok=True)
    config = Config(entrypoint=tuple(entrypoint), cmd=tuple(cmd), user=user, env=env or {})
    with TemporaryDirectory(dir=dest.parent) as scratch:
        blob = Path(scratch) / "layer"
        layer = write_layer(blob, lambda tar: add_files(tar, files, modes or {}), compress=compress)
        return write_archive(dest, ref, [layer], config)


def write_archive(dest: Path, ref: str, layers: Sequence[Layer], config: Config) -> Path:
    """Write the archive of an image, lowest layer first; `ref` is the exact name that it gets when imported."""
    config_blob = _json(config.document([layer.diff_id for layer in layers]))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor(CONFIG, config_blob),
        "layers": [layer.document() for layer in layers],
    }
    manifest_blob = _json(manifest)
    names = {"io.containerd.image.name": ref, "org.opencontainers.image.ref.name": ref}
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [_descriptor(MANIFEST, manifest_blob) | {"annotations": names}],
    }
    blobs: dict[str, Path | bytes] = {_digest(blob): blob for blob in (config_blob, manifest_blob)}
    blobs |= {layer.digest: layer.blob for layer in layers}
    content: dict[str, Path | bytes] = {f"blobs/sha256/{digest[7:]}": blob for digest, blob in blobs.items()}
    content |= {"index.json": _json(index), "oci-layout": _json({"imageLayoutVersion": "1.0.0"})}
    with _replacing(dest) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        add_files(tar, content, dict.fromkeys(content, 0o644))
    return dest


def write_layer(blob: Path, fill: Callable[[tarfile.TarFile], None], *, compress: bool = True) -> Layer:
    """Write one layer with what `fill` adds to it; gzip's lowest level, since archives stay on this machine."""
    with blob.open("wb") as file:
        outer = _Hashing(file)
        if compress:
            with gzip.GzipFile("", "wb", compresslevel=1, fileobj=outer, mtime=0) as zipped:
                diff_id = _fill(zipped, fill)
        else:
            diff_id = _fill(outer, fill)
    return Layer(blob, outer.digest, diff_id, GZIP if compress else PLAIN)


def add_files(tar: tarfile.TarFile, files: Mapping[str, Path | bytes], modes: Mapping[str, int]) -> None:
    """Add `files` in the order of their paths, each folder before what is in it."""
    by_path = {str(PurePosixPath("/") / path).lstrip("/"): (path, content) for path, content in files.items()}
    for folder in _folders(by_path):
        tar.addfile(_entry(folder, 0o755, tarfile.DIRTYPE))
    for path, (given, content) in sorted(by_path.items()):
        mode = modes.get(given, _mode(content))
        if isinstance(content, bytes):
            tar.addfile(_entry(path, mode, size=len(content)), io.BytesIO(content))
            continue
        with content.open("rb") as source:
            tar.addfile(_entry(path, mode, size=content.stat().st_size), source)


def _folders(paths: Mapping[str, Any]) -> list[str]:
    parents = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    return sorted(parents - {"."})


def _mode(content: Path | bytes) -> int:
    executable = isinstance(content, Path) and content.stat().st_mode & 0o100
    return 0o755 if executable else 0o644


def _entry(path: str, mode: int, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.mode, entry.type, entry.size = mode, kind, size  # times and owners are 0 in a new entry
    return entry


def _fill(file: Sink, fill: Callable[[tarfile.TarFile], None]) -> str:
    inner = _Hashing(file)
    with tarfile.open(fileobj=inner, mode="w|", bufsize=BUFFER, format=tarfile.PAX_FORMAT) as tar:
        fill(tar)
    return inner.digest


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _descriptor(media_type: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


class _Hashing(io.RawIOBase):
    """A file to write to that knows the digest of what was written."""

    def __init__(self, file: Sink) -> None:
        super().__init__()
        self._file = file
        self._sha = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # any buffer
        self._sha.update(data)
        self._file.write(data)
        return len(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._sha.hexdigest()}"


@contextmanager
def _replacing(dest: Path) -> Iterator[IO[bytes]]:
    """A file that appears at `dest` only when it is whole."""
    dest.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=dest.parent, prefix=f".{dest.name}.", delete=False) as file:
        try:
            yield file
        except BaseException:
            Path(file.name).unlink()
            raise
    Path(file.name).chmod(0o644)
    durable.replace(Path(file.name), dest)
