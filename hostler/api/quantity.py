"""Kubernetes quantities: "128Mi", "1.5", "100m", 4."""

import re
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal

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
MOST = Decimal(2**63 - 1)  # what is larger is taken for this much, as Kubernetes does
# no traps: what is too large to be calculated is infinite, and so is MOST
_CONTEXT = Context(prec=60, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
_SHAPE = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|)")


def value(quantity: str | float) -> Decimal:
    """The number, at most MOST, to 60 digits; ValueError if it is none. The cost is bounded, whatever the text says."""
    match = _SHAPE.fullmatch(str(quantity))
    if match is None:
        raise ValueError(f"{quantity!r} is not a quantity such as 512Mi, 2 or 100m")
    number, suffix = match.groups()
    unit = Decimal(BINARY[suffix] if suffix in BINARY else DECIMAL[suffix])
    exact = _CONTEXT.multiply(_CONTEXT.create_decimal(number), unit)
    if exact.is_nan():
        raise ValueError(f"{quantity!r} is not a quantity: its exponent is out of all bounds")
    return max(-MOST, min(exact, MOST))


def whole(quantity: str | float) -> int:
    """The number rounded up, as Kubernetes does: bytes, pieces."""
    exact = value(quantity)
    rounded = int(exact)
    return rounded + (1 if exact > rounded else 0)
