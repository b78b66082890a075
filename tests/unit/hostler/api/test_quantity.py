"""Quantities, as Kubernetes reads them."""

from decimal import Decimal

import pytest

from hostler.api import quantity


@pytest.mark.parametrize(
    ("text", "value", "whole"),
    [
        ("128Mi", 128 * 2**20, 128 * 2**20),
        ("1.5Gi", 3 * 2**29, 3 * 2**29),
        ("1G", 10**9, 10**9),
        ("100m", Decimal("0.1"), 1),
        ("1500m", Decimal("1.5"), 2),
        ("2", 2, 2),
        (3, 3, 3),
        (0.5, Decimal("0.5"), 1),
        ("1e3", 1000, 1000),
        ("9E", 9 * 10**18, 9 * 10**18),
        ("0", 0, 0),
        (".5Ki", 512, 512),
        ("9Ei", 2**63 - 1, 2**63 - 1),
        ("1e999999", 2**63 - 1, 2**63 - 1),
        ("-1e999999", -(2**63) + 1, -(2**63) + 1),
        ("1e99999999999999999999", 2**63 - 1, 2**63 - 1),
        ("9" * 100_000, 2**63 - 1, 2**63 - 1),
        ("1e-999999", Decimal("1e-999999"), 1),
        ("0e999999", 0, 0),
    ],
)
def test_value(text: str | float, value: Decimal, whole: int) -> None:
    assert quantity.value(text) == value
    assert quantity.whole(text) == whole


@pytest.mark.parametrize("text", ["", "Mi", "1 Gi", "1MiB", "ten", "1,5", "1.2.3", "0x10"])
def test_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        quantity.value(text)
