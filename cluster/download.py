"""Official release downloads, checked against the checksum that the release has beside them."""

import hashlib
import http.client
import re
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from cluster.catalog import Release
from cluster.errors import ClusterError

CONNECT_SECONDS = 5
CHUNK = 1 << 20
LARGEST = 1 << 30  # bytes of a release; the largest known has 120 MB
LARGEST_CHECKSUMS = 1 << 20

T = TypeVar("T")

_unreachable: dict[str, str] = {}  # hosts that did not answer in this run, and why: they are not asked again


class Unreachable(ClusterError):
    """The network says no: another way may be open."""


class Broken(Unreachable):
    """An answer had begun and did not come to its end: worth a second try."""


class Corrupt(ClusterError):
    """What came is not what the release's checksum says; never to be used."""


def fetch(release: Release, dest: Path) -> None:
    """Write the release's program to `dest`; Unreachable if it cannot be had, Corrupt if it is not the right one."""
    expected = checksum(_twice(_read, release.checksums).decode(errors="replace"), release.file)
    with TemporaryDirectory(dir=dest.parent) as scratch:
        whole = Path(scratch) / "download"
        found = _twice(lambda url: _save(url, whole), release.url)
        if found != expected:
            raise Corrupt(f"{release.url} has SHA-256 {found}, but {release.checksums} says {expected}")
        (_extract(whole, release.member, Path(scratch) / "program") if release.member else whole).replace(dest)


def _twice(get: Callable[[str], T], url: str) -> T:
    """What breaks off is asked for once more."""
    try:
        return get(url)
    except Broken:
        return get(url)


def checksum(text: str, file: str) -> str:
    """The SHA-256 of `file` in a checksum file: the only hash, or that of the line with the file's name."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    hashes = {words[-1].removeprefix("*").rpartition("/")[2]: words[0].lower() for words in lines if len(words) > 1}
    found = lines[0][0].lower() if len(lines) == 1 and len(lines[0]) == 1 else hashes.get(file, "")
    if not re.fullmatch(r"[0-9a-f]{64}", found):
        raise Corrupt(f"the checksum file has no SHA-256 of {file}")
    return found


def _open(url: str) -> http.client.HTTPResponse:
    host = urllib.parse.urlsplit(url).netloc
    if host in _unreachable:
        raise Unreachable(f"{host} did not answer before: {_unreachable[host]}")
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(url, timeout=CONNECT_SECONDS)  # noqa: S310 - the catalog's
    except urllib.error.HTTPError as error:
        error.close()
        raise Unreachable(f"{url}: HTTP {error.code}") from error
    except (urllib.error.URLError, TimeoutError) as error:
        _unreachable[host] = str(getattr(error, "reason", error))
        raise Unreachable(f"{url}: {_unreachable[host]}") from error
    except (OSError, http.client.HTTPException) as error:
        raise Broken(f"{url} broke off: {_why(error)}") from error
    return answer


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__


def _read(url: str) -> bytes:
    data = b""
    for chunk in _chunks(url):
        data += chunk
        if len(data) > LARGEST_CHECKSUMS:
            raise Corrupt(f"{url} is too long for a checksum file")
    return data


def _save(url: str, dest: Path) -> str:
    """Stream to a file; its SHA-256."""
    digest, size = hashlib.sha256(), 0
    with dest.open("wb") as file:
        for chunk in _chunks(url):
            size += len(chunk)
            if size > LARGEST:
                raise Corrupt(f"{url} is larger than {LARGEST >> 20} MiB")
            digest.update(chunk)
            file.write(chunk)  # a full disk is not the network's fault: its error goes through
    return digest.hexdigest()


def _chunks(url: str) -> Iterator[bytes]:
    """What the server sends; Broken if that stops before its end."""
    with _open(url) as answer:
        while chunk := _next(answer, url):
            yield chunk
        if answer.length:  # http.client takes an early end for the end
            raise Broken(f"{url} broke off: {answer.length} bytes are missing")


def _next(answer: http.client.HTTPResponse, url: str) -> bytes:
    try:
        return answer.read(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise Broken(f"{url} broke off: {_why(error)}") from error


def _extract(archive: Path, member: str, dest: Path) -> Path:
    """Write one regular file of a tar archive to `dest`."""
    try:
        with tarfile.open(archive) as tar:
            source = tar.extractfile(tar.getmember(member))
            if source is None:
                raise Corrupt(f"{member} in the archive is not a file")
            with source, dest.open("wb") as file:
                while chunk := source.read(CHUNK):
                    file.write(chunk)
    except (KeyError, tarfile.TarError) as error:
        raise Corrupt(f"the archive has no {member}: {error}") from error
    return dest
