"""The datastores over HTTPS: /folder/PATH?dcPath=...&dsName=..., with Range, as a vCenter serves them."""

import base64
import binascii
import re
import secrets
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from v2v.simulator.world import World

RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class Part:
    """Bytes `first` to `last` (included) of a file of `size` bytes."""

    path: Path
    first: int
    last: int
    size: int
    whole: bool

    @property
    def headers(self) -> dict[str, str]:
        changed = formatdate(self.path.stat().st_mtime, usegmt=True)
        length = str(self.last - self.first + 1)
        headers = {"Accept-Ranges": "bytes", "Content-Length": length, "Last-Modified": changed}
        if not self.whole:
            headers["Content-Range"] = f"bytes {self.first}-{self.last}/{self.size}"
        return headers


class Refused(Exception):
    """An HTTP status to answer with."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def allowed(world: World, cookie: str | None, authorization: str) -> bool:
    """A session's cookie, or the user's name and password."""
    if cookie in world.sessions:
        return True
    kind, _, value = authorization.partition(" ")
    if kind.lower() != "basic":
        return False
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    return secrets.compare_digest(f"{user}:{password}", f"{world.user}:{world.password}")


def part(world: World, url: str, wanted: str | None) -> Part:
    """What a request asks for; raises Refused."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    store, center = query.get("dsName", [""])[0], query.get("dcPath", [""])[0]
    if center != world.inventory.datacenter:
        raise Refused(404, f"no datacenter {center!r}")
    name = unquote(parts.path).removeprefix("/folder/")
    known = {(disk.datastore, disk.file): world.path(disk) for each in world.inventory.machines for disk in each.disks}
    path = known.get((store, name))
    if path is None or not path.is_file():
        raise Refused(404, f"no file [{store}] {name}")
    size = path.stat().st_size
    if wanted is None:
        return Part(path, 0, size - 1, size, whole=True)
    match = RANGE.fullmatch(wanted)
    first = int(match[1]) if match else size
    if match is None or first >= size:
        raise Refused(416, f"cannot serve {wanted}")
    return Part(path, first, min(int(match[2] or size), size - 1), size, whole=False)
