"""Sets of indexes, as batch/v1 writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.job_ranges import parse, spans, text, within


@pytest.mark.parametrize(
    ("written", "indexes"),
    [
        ("", []),
        ("0", [0]),
        ("1,2", [1, 2]),
        ("1,3-5", [1, 3, 4, 5]),
        ("0-2,4,6,7,9-11", [0, 1, 2, 4, 6, 7, 9, 10, 11]),
    ],
)
def test_both_ways(written: str, indexes: list[int]) -> None:
    assert text(indexes) == written
    assert parse(written, 100) == set(indexes)


@given(st.frozensets(st.integers(0, 60)))
def test_what_is_written_is_read(indexes: frozenset[int]) -> None:
    assert parse(text(indexes), 61) == indexes


@pytest.mark.parametrize(
    ("written", "completions", "indexes"),
    [
        pytest.param("0-5,7", 3, [0, 1, 2], id="the job has become smaller"),
        pytest.param("x,2,-1,3-y", 9, [2], id="what is no index is none"),
        pytest.param("5-3", 9, [], id="backwards"),
        pytest.param(None, 9, [], id="nothing"),
    ],
)
def test_reading(written: str | None, completions: int, indexes: list[int]) -> None:
    assert parse(written, completions) == set(indexes)


def test_so_many_that_nobody_could_count_them_one_by_one() -> None:
    wanted = spans("0-999999998,3-5", 2_000_000_000)
    assert wanted == [range(999_999_999)]
    assert within(frozenset((0, 7, 999_999_998, 999_999_999)), wanted) == 3
