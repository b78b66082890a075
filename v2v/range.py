"""Where a transfer over HTTP stands, and whether an answer goes on from there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")
LONGEST = 256  # characters of a validator


@dataclass(frozen=True)
class Mark:
    """`offset` bytes were read of what the server calls `validator`; `total` is None as long as it does not tell."""

    offset: int = 0
    validator: str = ""
    total: int | None = None

    def after(self, more: int) -> "Mark":
        return replace(self, offset=self.offset + more)

    def headers(self) -> dict[str, str]:
        """What asks for the rest; for all of it, if it is another thing by now."""
        if self.offset == 0:
            return {}
        condition = {"If-Range": self.validator} if self.validator else {}
        return {"Range": f"bytes={self.offset}-"} | condition

    @property
    def durable(self) -> bool:
        """Another process may go on from here: it can tell whether the source is still the same."""
        return self.offset > 0 and bool(self.validator)


@dataclass(frozen=True)
class Part:
    """What an answer brings: all bytes from `start` on, of `total`."""

    start: int
    total: int | None
    validator: str

    def continues(self, mark: Mark) -> bool:
        """The same thing, from where we stand."""
        same = self.validator == mark.validator and self.total == mark.total
        return same and self.start == mark.offset


def part(status: int, headers: Mapping[str, str]) -> Part:
    """The answer by its status (200 or 206) and headers; what does not make sense brings nothing that continues."""
    validator = strong(headers.get("ETag", "")) or headers.get("Last-Modified", "")[:LONGEST]
    if status != 206:
        length = headers.get("Content-Length", "")
        return Part(0, int(length) if length.isdigit() and len(length) < 20 else None, validator)
    found = CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if found is None:
        return Part(-1, None, validator)
    start, _, total = found.groups()
    return Part(int(start), None if total == "*" else int(total), validator)


def strong(etag: str) -> str:
    """Only a strong ETag promises equal bytes."""
    return etag if etag.startswith('"') and len(etag) <= LONGEST else ""
