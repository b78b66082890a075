"""Sets of indexes as a job's status and its successPolicy write them: 1,3-5. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence, Set
from itertools import chain


def spans(text: str | None, completions: int) -> list[range]:
    """Indexes as in 1,3-5, in order and without overlap; of a job that has become smaller, those that it still has."""
    parts = (part.partition("-") for part in (text or "").split(","))
    pairs = [(int(a), int(b or a)) for a, _, b in parts if a.isdecimal() and (b or a).isdecimal()]
    found: list[range] = []
    for first, last in sorted(pairs):
        begin = max(first, found[-1].stop if found else 0)
        if begin < (end := min(last + 1, completions)):
            found.append(range(begin, end))
    return found


def parse(text: str | None, completions: int) -> frozenset[int]:
    """The same, one by one: for what guests have done, of which there are not many."""
    return frozenset(chain.from_iterable(spans(text, completions)))


def within(indexes: Set[int], wanted: Sequence[range]) -> int:
    """How many of the indexes are wanted; that may be more than there is memory for, if one counted them."""
    there = sorted(indexes)
    return sum(bisect_left(there, each.stop) - bisect_left(there, each.start) for each in wanted)


def text(indexes: Iterable[int]) -> str:
    """Three and more in a row are written with a dash."""
    runs: list[list[int]] = []
    for number in sorted(indexes):
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[1]}" if run[-1] - run[0] > 1 else ",".join(map(str, run)) for run in runs)
