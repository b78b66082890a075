"""What the gateway counts, for Prometheus; KubeVirt's names where it has them."""

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
