"""Streams of any shape are unpacked to what was packed; broken ones say so; none takes memory."""

import gzip
import lzma
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler.runtime.errors import Terminal
from v2v import decode
from v2v.decode import PIECE, gunzip, unpack, unxz

PACK = {"gz": gzip.compress, "xz": lzma.compress}
UNPACK = {"gz": gunzip, "xz": unxz}
KINDS = pytest.mark.parametrize("kind", ["gz", "xz"])


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """In pieces of these sizes, and the rest."""
    for size in sizes:
        if data:
            yield data[:size]
            data = data[size:]
    if data:
        yield data


@KINDS
@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=4), sizes=st.lists(st.integers(1, 50)))
def test_any_pieces_of_any_members(kind: str, parts: list[bytes], sizes: list[int]) -> None:
    packed = b"".join(map(PACK[kind], parts))
    assert b"".join(UNPACK[kind](cut(packed, sizes))) == b"".join(parts)


@KINDS
@given(data=st.binary(min_size=1, max_size=300), lost=st.integers(1, 20))
def test_what_ends_in_the_middle(kind: str, data: bytes, lost: int) -> None:
    packed = PACK[kind](data)
    with pytest.raises(Terminal) as error:
        list(UNPACK[kind]([packed[: -min(lost, len(packed) - 1)]]))
    assert error.value.reason == "SourceCorrupt"


@KINDS
def test_padding_is_no_data(kind: str) -> None:
    assert b"".join(UNPACK[kind]([PACK[kind](b"disk"), bytes(512), bytes(512)])) == b"disk"


@KINDS
def test_garbage_after_the_end(kind: str) -> None:
    with pytest.raises(Terminal, match=r"cannot be unpacked|ends in the middle"):
        list(UNPACK[kind]([PACK[kind](b"disk"), b"garbage" * 10]))


@KINDS
def test_a_bomb_is_met_piece_by_piece(kind: str) -> None:
    packed = PACK[kind](bytes(64 << 20))
    tracemalloc.start()
    try:
        largest = max(map(len, UNPACK[kind]([packed])))
        assert largest <= PIECE
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_unpack_looks_at_the_bytes() -> None:
    for packed in (b"plain disk", gzip.compress(b"plain disk"), lzma.compress(gzip.compress(b"plain disk"))):
        head, stream = unpack([packed])
        assert (head, b"".join(stream)) == (b"plain disk", b"plain disk")


def test_not_more_than_two_layers() -> None:
    with pytest.raises(Terminal, match="more than 2 times"):
        unpack([gzip.compress(gzip.compress(gzip.compress(b"x")))])


def test_memory_that_an_xz_stream_asks_for(monkeypatch: Any) -> None:
    monkeypatch.setattr(decode, "XZ_MEMORY", 1 << 20)
    with pytest.raises(Terminal, match="cannot be unpacked"):
        list(unxz([lzma.compress(b"x" * 100, preset=9)]))


def test_nothing_is_nothing() -> None:
    head, stream = unpack([])
    assert (head, list(stream)) == (b"", [])
