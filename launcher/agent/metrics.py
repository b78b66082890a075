"""What the agent counts, for Prometheus."""

from contextlib import suppress

from prometheus_client import Counter, Gauge, Histogram

GUESTS = Gauge("hostler_agent_guests", "Guests that run on this node")
LAUNCHERS = Gauge("hostler_agent_launchers", "Launcher pods that this agent looks after")
ERRORS = Counter("hostler_agent_errors", "Visits to a launcher pod that failed", ["kind"])
START = Histogram(
    "hostler_agent_start_seconds",
    "From the first sight of a launcher pod to its running guest",
    buckets=(0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128),
)
CALLS = Counter("hostler_agent_calls", "Requests to this agent", ["route", "caller"])
HOTPLUG = Counter("hostler_agent_hotplug", "Changes of running guests", ["change", "result"])

MOVES = Counter("hostler_agent_moves", "Guests that were to leave this node, by what became of it", ["outcome"])
_LABELS = ["namespace", "name"]
DATA_TOTAL = Gauge("kubevirt_vmi_migration_data_bytes_total", "Bytes of the guest that is moving", _LABELS)
DATA_PROCESSED = Gauge("kubevirt_vmi_migration_data_processed_bytes", "Bytes that were copied", _LABELS)
DATA_REMAINING = Gauge("kubevirt_vmi_migration_data_remaining_bytes", "Bytes that are left to copy", _LABELS)
_MOVING = (DATA_TOTAL, DATA_PROCESSED, DATA_REMAINING)


def moving(namespace: str, name: str, sizes: tuple[int, int, int] | None) -> None:
    """Total, processed and remaining bytes of a guest that moves; None: it does not any more."""
    for position, gauge in enumerate(_MOVING):
        if sizes is not None:
            gauge.labels(namespace, name).set(sizes[position])
        else:
            with suppress(KeyError):
                gauge.remove(namespace, name)
