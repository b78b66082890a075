"""Sets of indexes as a job's status and its successPolicy write them: 1,3-5. Pure."""

from collections.abc import Iterable


def parse(text: str | None, completions: int) -> frozenset[int]:
    """Indexes as in 1,3-5; of a job that has become smaller, those that it still has."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            found.update(range(int(first), min(int(last or first) + 1, completions)))
    return frozenset(found)


def text(indexes: Iterable[int]) -> str:
    """Three and more in a row are written with a dash."""
    runs: list[list[int]] = []
    for number in sorted(indexes):
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[1]}" if run[-1] - run[0] > 1 else ",".join(map(str, run)) for run in runs)
