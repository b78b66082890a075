"""maxSurge, maxUnavailable: a number, or a percentage of the members. Pure."""

from math import ceil, floor


def share(value: int | str | None, of: int, default: int | str, *, up: bool) -> int:
    """How many members that is; "25%" of 3 is 1 rounded up, 0 rounded down."""
    chosen = default if value is None else value
    if isinstance(chosen, int):
        return max(chosen, 0)
    part = int(chosen.removesuffix("%")) * of / 100
    return ceil(part) if up else floor(part)
