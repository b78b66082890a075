"""The disk has the bytes that were written, and holes for the zeros."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler.runtime.errors import Terminal
from v2v.target import BLOCK, opened

SIZE = 40 * BLOCK
# runs of zeros and of data, in lengths around the block size
PIECES = st.lists(
    st.tuples(st.booleans(), st.integers(1, 3 * BLOCK)).map(lambda p: (b"d" if p[0] else b"\0") * p[1]), max_size=8
)


@given(pieces=PIECES)
def test_what_was_written(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("volume")
    with opened(folder, SIZE) as target:
        target.start()
        for piece in pieces:
            target.write(piece)
        target.finish()
    whole = b"".join(pieces)
    assert (folder / "disk.img").read_bytes() == whole + bytes(SIZE - len(whole))


@given(pieces=PIECES, stale=st.binary(max_size=BLOCK * 2), cut=st.integers(0, 8))
def test_a_second_try_goes_on(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], stale: bytes, cut: int
) -> None:
    """Killed after some pieces were made safe, with more written behind them."""
    folder = tmp_path_factory.mktemp("volume")
    done = pieces[:cut]
    with opened(folder, SIZE) as target:
        target.start()
        for piece in done:
            target.write(piece)
        target.hold()
        assert target.length() == len(b"".join(done))
        os.pwrite(target.handle, stale, target.position)
        safe = target.position
    with opened(folder, SIZE) as target:
        target.start(safe)
        for piece in pieces[cut:]:
            target.write(piece)
        target.finish()
    whole = b"".join(pieces)
    assert (folder / "disk.img").read_bytes() == whole + bytes(SIZE - len(whole))


def test_zeros_take_no_room(tmp_path: Path) -> None:
    with opened(tmp_path, 64 << 20) as target:
        target.start()
        for _ in range(32):
            target.write(bytes(1 << 20))
        target.write(b"x")
        target.finish()
    found = (tmp_path / "disk.img").stat()
    assert (found.st_size, found.st_mode & 0o777) == (64 << 20, 0o660)
    assert found.st_blocks * 512 <= 2 * BLOCK


def test_too_large(tmp_path: Path) -> None:
    with opened(tmp_path, 1000) as target:
        target.start()
        with pytest.raises(Terminal) as error:
            target.write(bytes(1001))
    assert error.value.reason == "VolumeTooSmall"
    assert "spec.storage.resources.requests.storage" in error.value.message


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_what_a_guest_could_have_put_there(tmp_path: Path, kind: str) -> None:
    if kind == "link":
        (tmp_path / "disk.img").symlink_to("/etc/passwd")
    else:
        os.mkfifo(tmp_path / "disk.img")
    with pytest.raises((OSError, Terminal)), opened(tmp_path, 1000):
        pass
