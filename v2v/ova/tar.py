"""The members of a tar as they stream by: nothing is unpacked to a name that the archive chooses."""

import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hostler.runtime.errors import Terminal

BLOCK = 512
MEMBERS = 256  # an OVA has a handful
REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE)


class Stream:
    """Bytes that come in pieces, taken in the amounts that are wanted."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""
        self.position = 0

    def some(self, most: int) -> bytes:
        """Up to `most` bytes; none at the end."""
        if not self._rest:
            self._rest = next(self._chunks, b"")
        piece, self._rest = self._rest[:most], self._rest[most:]
        self.position += len(piece)
        return piece

    def ended(self) -> bool:
        """Nothing more comes."""
        self._rest = self._rest or next(self._chunks, b"")
        return not self._rest

    def exactly(self, count: int) -> bytes:
        """`count` bytes, which must be few; Terminal if there are not so many."""
        return b"".join(self.pieces(count))

    def pieces(self, count: int) -> Iterator[bytes]:
        """`count` bytes, piece by piece."""
        while count:
            piece = self.some(count)
            if not piece:
                raise Terminal("SourceCorrupt", f"the file ends in the middle, at byte {self.position}")
            count -= len(piece)
            yield piece

    def skip(self, count: int) -> None:
        for _ in self.pieces(count):
            pass


@dataclass(frozen=True)
class Member:
    """A file in the archive; its bytes are next in the stream."""

    name: str
    size: int
    offset: int  # of its first byte in the archive


def members(stream: Stream) -> Iterator[Member]:
    """Each regular member; what of it is not read by the next turn is passed over."""
    for _ in range(MEMBERS):
        header = stream.exactly(BLOCK)
        if not header.strip(b"\0"):
            return
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "replace")
        except tarfile.HeaderError as error:
            raise Terminal("SourceCorrupt", f"the file is not a tar archive: {error}") from error
        if info.size < 0:
            raise Terminal("SourceCorrupt", "a member of the archive has a negative size")
        begin = stream.position
        if info.type in REGULAR:
            yield Member(info.name, info.size, begin)
        stream.skip(begin + info.size + -info.size % BLOCK - stream.position)
    raise Terminal("SourceCorrupt", f"the archive has more than {MEMBERS} members: this is no OVA")
