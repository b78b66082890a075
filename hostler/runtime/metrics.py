"""What the processes count, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

API_REQUESTS = Counter("hostler_api_requests", "Requests sent to the API server", ["verb", "resource", "code"])
WATCH_EVENTS = Counter("hostler_watch_events", "Watch events received", ["resource", "type"])
LISTS = Counter("hostler_lists", "Full listings made by reflectors", ["resource"])
GHOSTS = Counter("hostler_ghosts", "Objects that a listing showed to be gone without a watch event", ["resource"])
QUEUE_DEPTH = Gauge("hostler_workqueue_depth", "Keys waiting to be visited", ["controller"])
RECONCILE = Histogram(
    "hostler_reconcile_seconds",
    "Time of one visit to one object",
    ["controller"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
)
RECONCILE_ERRORS = Counter("hostler_reconcile_errors", "Visits that failed", ["controller", "kind"])
STORED = Gauge("hostler_stored_objects", "Objects in the store", ["resource"])
LEADER = Gauge("hostler_leader", "1 while this process leads")
EVENTS = Counter("hostler_events", "Events about objects", ["type", "outcome"])
PAUSED = Gauge("hostler_paused", "1 while a namespace is left as it is; Hostler's own stands for all", ["namespace"])
