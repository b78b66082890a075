"""What the agent counts, for Prometheus."""

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
