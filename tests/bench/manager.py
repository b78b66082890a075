"""The manager as a benchmark sees it from outside: its process, and what it counts for Prometheus."""

import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from tests.bench import process

READS = ("GET", "LIST", "WATCH")
QUIET = 3  # seconds without a write, after which everything that was to be written is
PATIENCE = 90

Count = Counter[str]


@dataclass(frozen=True)
class Sample:
    """What it has done so far."""

    at: float
    cpu: float
    writes: Count  # by verb and resource
    refused: Count  # writes that were, by code
    visits: Count  # by controller
    events: int

    def since(self, before: "Sample") -> "Sample":
        return Sample(
            self.at - before.at,
            self.cpu - before.cpu,
            self.writes - before.writes,
            self.refused - before.refused,
            self.visits - before.visits,
            self.events - before.events,
        )


@dataclass(frozen=True)
class Manager:
    pid: int
    metrics_port: int

    def await_leading(self) -> None:
        """Until it leads and has seen everything that is there."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if any(name == "hostler_leader" and value for name, _, value in self._metrics()):
                self.await_quiet()
                return
            time.sleep(0.3)
        raise RuntimeError(f"the manager does not lead after {PATIENCE} s")

    def await_quiet(self) -> None:
        """Until it has written nothing for a while."""
        deadline, last = time.monotonic() + PATIENCE, self.sample()
        while time.monotonic() < deadline:
            time.sleep(QUIET)
            now = self.sample()
            if now.writes == last.writes:
                return
            last = now
        raise RuntimeError(f"the manager still writes after {PATIENCE} s: {last.writes}")

    def sample(self) -> Sample:
        writes, refused, visits, events = Counter[str](), Counter[str](), Counter[str](), 0
        for name, labels, value in self._metrics():
            if name == "hostler_api_requests_total" and labels["verb"] not in READS and labels["resource"] != "leases":
                good = labels["code"].startswith("2")
                (writes if good else refused)[f"{labels['verb']} {labels['resource']}"] += int(value)
            elif name == "hostler_reconcile_seconds_count":
                visits[labels["controller"]] = int(value)
            elif name == "hostler_watch_events_total":
                events += int(value)
        return Sample(time.monotonic(), process.cpu_seconds(self.pid), writes, refused, visits, events)

    def _metrics(self) -> list[tuple[str, dict[str, str], float]]:
        """Empty while it does not answer yet."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30) as answer:
                text = answer.read().decode()
        except urllib.error.URLError:
            return []
        families = text_string_to_metric_families(text)
        return [(each.name, each.labels, each.value) for family in families for each in family.samples]
