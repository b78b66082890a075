"""VMI -> domain XML, by example; each example is checked against libvirt's own schema."""

from functools import cache
from pathlib import Path

import pytest
from lxml import etree

from tests.unit.launcher.domain.golden import FOLDER, Golden, all_golden

SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")  # Debian: package libvirt0


@pytest.mark.parametrize("golden", all_golden(), ids=lambda golden: golden.file.stem)
def test_xml(golden: Golden, request: pytest.FixtureRequest) -> None:
    found = golden.convert()
    if request.config.getoption("--regenerate"):
        golden.expected.write_text(found)
    assert found == golden.expected.read_text()


def test_no_leftovers() -> None:
    assert {file.stem for file in FOLDER.glob("*.xml")} == {golden.file.stem for golden in all_golden()}


@cache
def schema() -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(SCHEMA))


@pytest.mark.skipif(not SCHEMA.exists(), reason="libvirt's schemas are not installed (Debian: libvirt0)")
@pytest.mark.parametrize("golden", all_golden(), ids=lambda golden: golden.file.stem)
def test_libvirt_accepts(golden: Golden) -> None:
    needs = golden.facts.get("needs")
    if needs and needs not in SCHEMA.with_name("domaincommon.rng").read_text():
        pytest.skip(f"the libvirt installed here is too old: no {needs}")
    schema().assertValid(etree.fromstring(golden.convert()))
