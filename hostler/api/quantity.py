"""Kubernetes quantities: "128Mi", "1.5", "100m", 4."""

import re
from decimal import Decimal

BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
DECIMAL = {
    "n": "1e-9",
    "u": "1e-6",
    "m": "1e-3",
    "": "1",
    "k": "1e3",
    "M": "1e6",
    "G": "1e9",
    "T": "1e12",
    "P": "1e15",
    "E": "1e18",
}
_SHAPE = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|)")


def value(quantity: str | float) -> Decimal:
    """The exact number; ValueError if it is none."""
    match = _SHAPE.fullmatch(str(quantity))
    if match is None:
        raise ValueError(f"{quantity!r} is not a quantity such as 512Mi, 2 or 100m")
    number, suffix = match.groups()
    return Decimal(number) * (BINARY[suffix] if suffix in BINARY else Decimal(DECIMAL[suffix]))


def whole(quantity: str | float) -> int:
    """The number rounded up, as Kubernetes does: bytes, pieces."""
    exact = value(quantity)
    rounded = int(exact)
    return rounded + (1 if exact > rounded else 0)
