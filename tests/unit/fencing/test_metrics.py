"""Metrics of nodes go with the nodes."""

from prometheus_client import REGISTRY, CollectorRegistry

from fencing import metrics
from hostler.api.fencing import FenceOperation, NodeFencing
from hostler.runtime.figures import shown
from hostler.runtime.store import Store
from tests.unit import make


def value(name: str, node: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"node": node})


def test_a_node_without_a_lease_is_not_silent() -> None:
    for node in ("n1", "n2"):
        metrics.SILENCE.labels(node).set(3)
    metrics.only({"n2"}, {"n1", "n2", "never seen"})
    assert value("hostler_node_lease_silence_seconds", "n1") is None
    assert value("hostler_node_lease_silence_seconds", "n2") == 3


def test_a_node_without_devices_has_none_that_answer() -> None:
    levels = [{"devices": []}]
    config = NodeFencing.read({"metadata": make.meta("n1", namespace=""), "spec": {"levels": levels}})
    metrics.DEVICES.labels("n1").set(1)
    metrics.heard(NodeFencing, None, config)
    assert value("hostler_fence_device_ready", "n1") == 1
    metrics.heard(NodeFencing, config, None)
    assert value("hostler_fence_device_ready", "n1") is None


def test_operations_by_phase() -> None:
    spec = {"nodeName": "n1", "bootID": "b", "mode": "Enforce", "reason": "Silent", "requestedBy": "fencing"}
    store, registry = Store(), CollectorRegistry()
    store.observe(FenceOperation, {"metadata": make.meta("a"), "spec": spec})
    store.observe(FenceOperation, {"metadata": make.meta("b"), "spec": spec, "status": {"phase": "Recovered"}})
    with shown(store, metrics.FIGURES, registry):
        found = [
            registry.get_sample_value("hostler_fence_operations_in_phase", {"phase": phase})
            for phase in ("Pending", "Recovered", "Failed")
        ]
    assert found == [1, 1, None]
