"""A stream-optimised VMDK unpacked as it streams by: header, then compressed grains in the order of the disk.

QEMU reads this format, too, but wants the whole file first, and follows names that a VMDK may contain.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hostler.runtime.errors import Terminal
from v2v.ova.tar import Stream

SECTOR = 512
MAGIC = b"KDMV"
HEADER = struct.Struct("<4sIIQQQQIQQQB4sH")
GRAIN = struct.Struct("<QI")  # sector of the disk, bytes of compressed data
COMPRESSED, MARKERS = 1 << 16, 1 << 17
DEFLATE = 1
LARGEST_GRAIN = 2048  # sectors
LARGEST_OVERHEAD = 1 << 21  # sectors: 1 GiB, the tables of a disk of many terabytes
LARGEST_DISK = 64 << 40  # bytes
TABLES = {1, 2, 3}  # grain table, grain directory, footer: not needed to read from start to end
AT_END = (
    1 << 64
) - 1  # where the tables are in what VMware writes; QEMU has them at the front, and no marker at the end
ZEROS = bytes(1 << 20)


@dataclass(frozen=True)
class Header:
    """What the first sector says, in sectors."""

    capacity: int
    grain: int
    overhead: int
    marked_end: bool


def raw(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """All bytes of the disk, zeros included, in order."""
    stream = Stream(chunks)
    header = read_header(stream.exactly(SECTOR))
    stream.skip((header.overhead - 1) * SECTOR)
    done = 0
    for start, data in grains(stream, header):
        if start < done:
            raise corrupt(f"its grains are not in order (sector {start // SECTOR} after {done // SECTOR})")
        yield from zeros(start - done)
        yield data
        done = start + len(data)
    yield from zeros(header.capacity * SECTOR - done)


def read_header(sector: bytes) -> Header:
    """Terminal for what is no stream-optimised VMDK."""
    found = HEADER.unpack_from(sector)
    magic, _version, flags, capacity, grain, tables, overhead, algorithm = (
        found[at] for at in (0, 1, 2, 3, 4, 9, 10, 13)
    )
    if magic != MAGIC:
        raise Terminal("FormatNotSupported", "the disk in the OVA is no VMDK")
    if not (flags & COMPRESSED and flags & MARKERS and algorithm == DEFLATE):
        text = "the VMDK is not stream-optimised; export it again, or: qemu-img convert -o subformat=streamOptimized"
        raise Terminal("FormatNotSupported", text)
    if not 1 <= grain <= LARGEST_GRAIN or not 1 <= overhead <= LARGEST_OVERHEAD:
        raise corrupt("its header makes no sense")
    if not 1 <= capacity * SECTOR <= LARGEST_DISK:
        raise corrupt(f"it claims to be a disk of {capacity * SECTOR} bytes")
    return Header(capacity, grain, overhead, tables == AT_END)


def grains(stream: Stream, header: Header) -> Iterator[tuple[int, bytes]]:
    """(first byte on the disk, content) of every grain."""
    while header.marked_end or not stream.ended():
        marker = stream.exactly(SECTOR)
        value, size = GRAIN.unpack_from(marker)
        if size:
            yield value * SECTOR, grain(stream, marker, header)
            continue
        kind = int.from_bytes(marker[12:16], "little")
        if kind == 0:
            return
        if kind not in TABLES or value > LARGEST_OVERHEAD:
            raise corrupt(f"an unknown marker {kind}")
        stream.skip(value * SECTOR)


def grain(stream: Stream, marker: bytes, header: Header) -> bytes:
    """The content of one grain, never more than a grain may have, or than the disk has there."""
    sector, size = GRAIN.unpack_from(marker)
    room = min(header.grain, header.capacity - sector) * SECTOR
    if room <= 0 or size > 2 * header.grain * SECTOR:
        raise corrupt(f"a grain outside of the disk, or too large, at sector {sector}")
    packed = marker[GRAIN.size :]
    if size > len(packed):
        rest = size - len(packed)
        packed += stream.exactly(rest + -rest % SECTOR)
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(packed[:size], header.grain * SECTOR)
    except zlib.error as error:
        raise corrupt(f"the grain at sector {sector} cannot be unpacked: {error}") from error
    if len(data) < room:
        raise corrupt(f"the grain at sector {sector} is not whole")
    return data[:room]


def zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield ZEROS[: min(count, len(ZEROS))]
        count -= len(ZEROS)


def corrupt(why: str) -> Terminal:
    return Terminal("SourceCorrupt", f"the VMDK is damaged: {why}")
