"""What fencing counts, for Prometheus."""

from collections.abc import Collection
from contextlib import suppress

from prometheus_client import Counter, Gauge, Histogram

from hostler.api.fencing import FenceOperation, NodeFencing
from hostler.api.meta import Resource
from hostler.runtime.figures import Figure, counted
from hostler.runtime.protocol import Kind

SILENCE = Gauge("hostler_node_lease_silence_seconds", "For how long a node's lease has not been renewed", ["node"])
NODES = Gauge("hostler_fence_nodes", "Nodes by what is thought of them", ["state"])
OPERATIONS = Counter("hostler_fence_operations", "Operations that reached a phase", ["phase", "reason"])
PHASES = Histogram(
    "hostler_fence_phase_seconds",
    "Time that operations spent in a phase",
    ["phase"],
    buckets=(1, 2, 5, 10, 20, 40, 80, 300),
)
RUNS = Counter("hostler_fence_agent_runs", "Runs of fence agents", ["agent", "action", "exit_code"])
RUN_SECONDS = Histogram(
    "hostler_fence_agent_seconds",
    "Time of one run of a fence agent",
    ["agent", "action"],
    buckets=(0.5, 1, 2, 5, 10, 20, 40, 80),
)
DEVICES = Gauge(
    "hostler_fence_device_ready", "1 where the devices of a node answered when they were last asked", ["node"]
)

FIGURES = (
    Figure(
        "hostler_fence_operations_in_phase",
        "Operations that are kept, by phase",
        ("phase",),
        lambda store: counted((operation.phase,) for operation in store.all(FenceOperation)),
    ),
)


def only(names: Collection[str], known: Collection[str]) -> None:
    """Forget the silence of nodes that have no lease any more."""
    for name in set(known) - set(names):
        with suppress(KeyError):
            SILENCE.remove(name)


def heard(_kind: Kind, old: Resource | None, new: Resource | None) -> None:
    """A listener of the Store: a node without devices has none that answer."""
    if isinstance(old, NodeFencing) and new is None:
        with suppress(KeyError):
            DEVICES.remove(old.metadata.name)
