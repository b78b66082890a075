"""What the gateway counts, for Prometheus; KubeVirt's names where it has them."""

from collections import Counter as Tally
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("rest_server_requests", "Requests answered", ["method", "path", "code"])
SECONDS = Histogram(
    "rest_server_request_seconds",
    "Time of one request; of a stream, until its end",
    ["method", "path"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600, 3600),
)
STREAMS = Gauge("hostler_gateway_streams", "Open consoles, screens and forwarded ports", ["kind"])
CONSOLES = Gauge("kubevirt_console_active_connections", "Open consoles", ["namespace", "vmi"])
SCREENS = Gauge("kubevirt_vnc_active_connections", "Open VNC connections", ["namespace", "vmi"])
PORTS = Gauge("kubevirt_portforward_active_tunnels", "Forwarded ports", ["namespace", "name"])

_open: Tally[tuple[Gauge, str, str]] = Tally()


@contextmanager
def open_stream(kind: str, gauge: Gauge, namespace: str, name: str) -> Iterator[None]:
    """Counted as long as the block lasts; a guest at which nobody looks any more is forgotten."""
    stream = (gauge, namespace, name)
    _open[stream] += 1
    gauge.labels(namespace, name).set(_open[stream])
    STREAMS.labels(kind).inc()
    try:
        yield
    finally:
        STREAMS.labels(kind).dec()
        _open[stream] -= 1
        if _open[stream]:
            gauge.labels(namespace, name).set(_open[stream])
        else:
            del _open[stream]
            gauge.remove(namespace, name)
