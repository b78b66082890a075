"""docs/gateway.md names what is served."""

from pathlib import Path

import pytest

from gateway.app import Subresource
from gateway.routes import TOPICS

PAGE = Path(__file__).parents[3] / "docs" / "gateway.md"
SERVED = {(each.resource, each.name) for topic in TOPICS for each in topic if isinstance(each, Subresource)}


@pytest.mark.parametrize(("resource", "name"), sorted(SERVED))
def test_every_subresource_has_a_row(resource: str, name: str) -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| virtualmachine")]
    assert any(f"{resource}/" in row and name in row.split("|")[1] for row in rows)
