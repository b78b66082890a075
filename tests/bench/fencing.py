"""A node with a VM on it is lost, in three ways: the seconds of each phase until the VM writes elsewhere.

On a cluster of its own (HOSTLER_E2E_FENCE=NAME takes one that is up). The rival is what Kubernetes does by itself: it
marks the node after 40 to 50 s, evicts after 300 s more, and then waits for a person.
"""

import argparse
import statistics
import time
from datetime import datetime
from typing import Any

from tests.bench import report
from tests.e2e import seen
from tests.e2e.fencelab import VM, Lab, cluster, where
from tests.e2e.journal import Census, Journal
from tests.e2e.vmctl import fresh_namespace

FAULTS = ("crash", "freeze", "cut")
STEPS = ("detected", "confirmed", "switched off", "proven", "cleared", "VM writes elsewhere", "node is back")


def run(options: argparse.Namespace) -> None:
    rounds: dict[str, list[dict[str, float]]] = {fault: [] for fault in FAULTS}
    with cluster() as lab:
        for _ in range(options.fences):
            for fault in FAULTS:
                rounds[fault].append(_lose(lab, fault))
    result = {"rounds": rounds, "median": {fault: _medians(times) for fault, times in rounds.items()}}
    report.write("fencing", result)
    print(_table(result["median"], options.fences))


def _lose(lab: Lab, fault: str) -> dict[str, float]:
    """Seconds after the fault; asserts that there was one writer at a time, and no write lost."""
    with fresh_namespace(lab.kubectl) as namespace, Census(namespace) as census:
        lab.kubectl("apply", "-n", namespace, "-f", str(VM))
        lab.kubectl("wait", "-n", namespace, "--for=condition=Ready", "vm/writer", "--timeout=120s")
        seen.console(lab.kubectl, namespace, "writer", "ACKED 20", 120)
        journal = Journal.of(lab.kubectl, namespace)
        node = where(lab.kubectl, namespace)["node"]
        written = len(journal.records())
        lost = time.time()
        lab.node(node, fault)
        seen.until("it writes elsewhere", lambda: len(journal.writers()) == 2, 240, 0.2)
        writes = time.time()
        op = lab.until_phase(node, "Recovered", limit=60)
        seen.until("the node is back", lambda: lab.operation(node)["status"].get("rejoinedAt"), 180)
        journal.check(written)
        assert census.most == 1, "two QEMUs had the disk"
    assert op["spec"]["nodeName"] == node
    times = _times(lab.operation(node), lost) | {"VM writes elsewhere": writes - lost}
    lab.until_whole()
    return {step: round(times[step], 1) for step in STEPS}


def _times(op: dict[str, Any], lost: float) -> dict[str, float]:
    at = {step["phase"]: datetime.fromisoformat(step["at"]).timestamp() - lost for step in op["status"]["transitions"]}
    return {
        "detected": at["Confirming"],
        "confirmed": at["PoweringOff"],
        "switched off": at["Verifying"],
        "proven": at["Fenced"],
        "cleared": at["Recovered"],
        "node is back": datetime.fromisoformat(op["status"]["rejoinedAt"]).timestamp() - lost,
    }


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {step: round(statistics.median(each[step] for each in rounds), 1) for step in STEPS}


def _table(median: dict[str, dict[str, float]], fences: int) -> str:
    rows: list[tuple[object, ...]] = [(step, *(median[fault][step] for fault in FAULTS)) for step in STEPS]
    return report.table(f"seconds after the node was lost, median of {fences}", ("until", *FAULTS), rows)
