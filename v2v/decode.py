"""Unpacks streams piece by piece: no piece is larger than PIECE, whatever the packed data says."""

import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from hostler.runtime.errors import Terminal
from v2v.formats import HEAD, Packing, packing

PIECE = 1 << 20  # bytes
XZ_MEMORY = 160 << 20  # bytes that a stream may ask for; `xz -9` asks for 65 MiB
LAYERS = 2  # a .gz in an .xz is odd but honest; more is a game

Chunks = Iterable[bytes]


def unpack(chunks: Chunks) -> tuple[bytes, Iterator[bytes]]:
    """(first bytes, all bytes) of what is in the stream, unpacked as often as it was packed."""
    head, stream = peek(chunks)
    for _ in range(LAYERS):
        kind = packing(head)
        if kind is None:
            return head, stream
        head, stream = peek(DECODERS[kind](stream))
    if kind := packing(head):
        raise Terminal("FormatNotSupported", f"the source is packed more than {LAYERS} times (now {kind})")
    return head, stream


def peek(chunks: Chunks) -> tuple[bytes, Iterator[bytes]]:
    """The first HEAD bytes (fewer if there are no more), and the whole stream again."""
    source = iter(chunks)
    first = b""
    for chunk in source:
        first += chunk
        if len(first) >= HEAD:
            break
    return first[:HEAD], chain([first] if first else [], source)


def gunzip(chunks: Chunks) -> Iterator[bytes]:
    """Members follow each other; zeros after the last are padding."""
    decoder = None
    for data in chunks:
        while True:
            if decoder is None:
                data = data.lstrip(b"\0")  # noqa: PLW2901
                if not data:
                    break
                decoder = zlib.decompressobj(wbits=31)
            piece = guarded("gzip", decoder.decompress, data, PIECE)
            if piece:
                yield piece
            if decoder.eof:
                data, decoder = decoder.unused_data, None  # noqa: PLW2901
                continue
            data = decoder.unconsumed_tail  # noqa: PLW2901
            if not data and len(piece) < PIECE:
                break
    if decoder is not None:
        raise ended_early("gzip")


def unxz(chunks: Chunks) -> Iterator[bytes]:
    """Streams follow each other; zeros between and after them are padding."""
    decoder = None
    for data in chunks:
        while True:
            if decoder is None:
                data = data.lstrip(b"\0")  # noqa: PLW2901
                if not data:
                    break
                decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
            piece = guarded("xz", decoder.decompress, data, PIECE)
            if piece:
                yield piece
            data = b""  # noqa: PLW2901
            if decoder.eof:
                data, decoder = decoder.unused_data, None  # noqa: PLW2901
            elif decoder.needs_input:
                break
    if decoder is not None:
        raise ended_early("xz")


def guarded(what: str, decode: Callable[..., bytes], *arguments: object) -> bytes:
    """What a decoder says, in words for the user when it cannot go on."""
    try:
        return decode(*arguments)
    except (zlib.error, lzma.LZMAError, MemoryError) as error:
        raise Terminal("SourceCorrupt", f"the {what} data cannot be unpacked: {error}") from error


def ended_early(what: str) -> Terminal:
    return Terminal("SourceCorrupt", f"the {what} data ends in the middle")


DECODERS: dict[Packing, Callable[[Chunks], Iterator[bytes]]] = {"gz": gunzip, "xz": unxz}
