"""Metrics that are read from the Store when somebody asks, and the page that explains them all."""

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.runtime.figures import Figure, counted, shown
from hostler.runtime.store import Store
from launcher.agent.domainstats import Stat
from tests.unit import make

PAGE = Path(__file__).parents[4] / "docs" / "metrics.md"
SECTIONS = {
    "Every process": ("hostler.runtime.metrics",),
    "Manager": ("controllers.metrics",),
    "Node agent": ("launcher.agent.metrics", "launcher.agent.domainstats"),
    "Gateway": ("gateway.metrics",),
    "Migration": ("migration.metrics",),
    "Fencing": ("fencing.metrics",),
    "Disks and imports": ("v2v.figures",),
    "Disk workers": ("v2v.metrics",),
}

PHASES = Figure(
    "guests",
    "Guests by phase",
    ("phase",),
    lambda store: counted((v.status.phase,) for v in store.all(VMI) if v.status),
)


def raw(vmi: Any) -> Any:
    return vmi.model_dump(mode="json", by_alias=True, exclude_unset=True)


def test_what_is_gone_is_gone_from_the_figures() -> None:
    store, registry = Store(), CollectorRegistry()
    web = raw(make.vmi("web", "Running"))
    store.observe(VMI, web)
    store.observe(VMI, raw(make.vmi("db", "Running")))
    with shown(store, [PHASES], registry):
        assert registry.get_sample_value("guests", {"phase": "Running"}) == 2
        store.forget(VMI, web)
        assert registry.get_sample_value("guests", {"phase": "Running"}) == 1
    assert registry.get_sample_value("guests", {"phase": "Running"}) is None


def test_a_name_is_taken_once() -> None:
    registry = CollectorRegistry(auto_describe=True)
    again = shown(Store(), [PHASES], registry)
    with shown(Store(), [PHASES], registry), pytest.raises(ValueError, match="Duplicated"):
        again.__enter__()
    with shown(Store(), [PHASES], registry):
        assert b"# HELP guests Guests by phase" in generate_latest(registry)


def registered(module: ModuleType) -> Iterator[str]:
    """Names as they are scraped."""
    for value in vars(module).values():
        for each in value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else [value]:
            if isinstance(each, Figure | Stat):
                yield each.name
            elif isinstance(each, MetricWrapperBase):
                for family in each.describe():
                    yield family.name + ("_total" if family.type == "counter" else "")


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_names_each(section: str) -> None:
    """And no other."""
    there = {name for module in SECTIONS[section] for name in registered(importlib.import_module(module))}
    assert there
    _, _, rest = PAGE.read_text().partition(f"\n## {section}\n")
    rows = [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    assert {row.split("`")[1] for row in rows} == there
