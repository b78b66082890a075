"""Metrics computed when Prometheus asks, from what the Store holds then: what is gone is gone from them, too."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from hostler.runtime.store import Store

Labels = tuple[str, ...]
Rows = Iterable[tuple[Labels, float]]


@dataclass(frozen=True)
class Figure:
    """One metric: its labels' names, and how its rows are read from the Store. It is read in another thread."""

    name: str
    text: str
    labels: Labels
    rows: Callable[[Store], Rows]

    def family(self, rows: Rows) -> GaugeMetricFamily:
        found = GaugeMetricFamily(self.name, self.text, labels=self.labels)
        for values, value in rows:
            found.add_metric(values, value)
        return found


def counted(groups: Iterable[Labels]) -> Rows:
    """How many there are of each."""
    return Counter(groups).items()


class Figures(Collector):
    """Answers a scrape."""

    def __init__(self, store: Store, figures: Iterable[Figure]) -> None:
        self._store = store
        self._figures = tuple(figures)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for figure in self._figures:
            yield figure.family(figure.rows(self._store))

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Names only: nobody need read the Store for them."""
        for figure in self._figures:
            yield figure.family(())


async def show(store: Store, figures: Iterable[Figure]) -> None:
    """They are scraped until this is cancelled."""
    with shown(store, figures):
        await asyncio.Event().wait()


@contextmanager
def shown(store: Store, figures: Iterable[Figure], registry: CollectorRegistry = REGISTRY) -> Iterator[None]:
    """They are scraped as long as the block lasts."""
    collector = Figures(store, figures)
    registry.register(collector)
    try:
        yield
    finally:
        registry.unregister(collector)
