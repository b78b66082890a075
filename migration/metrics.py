"""What the migration process counts, for Prometheus; KubeVirt's names."""

from prometheus_client import Counter, Gauge, Histogram

from hostler.api.kubevirt.migration import VirtualMachineInstanceMigration as Migration
from hostler.api.meta import Resource
from hostler.runtime import conditions
from hostler.runtime.protocol import Kind
from migration.seen import phase

_LABELS = ["vmi", "vmim", "namespace"]
PHASES = {"": "unset", "Pending": "pending", "Scheduling": "scheduling", "Running": "running"}
IN_PHASE = {
    name: Gauge(f"kubevirt_vmi_migrations_in_{word}_phase", f"Migrations that are in phase {word}")
    for name, word in PHASES.items()
}
SUCCEEDED = Gauge("kubevirt_vmi_migration_succeeded", "1 for a migration that succeeded", _LABELS)
FAILED = Gauge("kubevirt_vmi_migration_failed", "1 for a migration that failed", _LABELS)
START = Gauge("kubevirt_vmi_migration_start_time_seconds", "When the copying began", _LABELS)
END = Gauge("kubevirt_vmi_migration_end_time_seconds", "When it ended", _LABELS)
TRANSITION = Histogram(
    "kubevirt_vmi_migration_phase_transition_time_from_creation_seconds",
    "From a migration's creation to the beginning of a phase",
    ["phase"],
    buckets=(0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600),
)
EVICTIONS = Counter("hostler_evictions", "Evictions of launcher pods, by what was answered", ["answer"])
_BY_MOVE = (SUCCEEDED, FAILED, START, END)


def heard(_kind: Kind, old: Resource | None, new: Resource | None) -> None:
    """A listener of the Store."""
    if isinstance(old, Migration) and (gauge := IN_PHASE.get(phase(old))):
        gauge.dec()
    if isinstance(new, Migration):
        if gauge := IN_PHASE.get(phase(new)):
            gauge.inc()
        if old is not None and isinstance(old, Migration) and phase(old) != phase(new):
            began(new)
        ended(new)
    elif isinstance(old, Migration):
        forget(old)


def began(move: Migration) -> None:
    passed = move.status.phase_transition_timestamps if move.status else ()
    born = move.metadata.creation_timestamp
    if passed and born and passed[-1].phase_transition_timestamp:
        last = passed[-1].phase_transition_timestamp
        seconds = (conditions.parse(last) - conditions.parse(born)).total_seconds()
        TRANSITION.labels(phase(move)).observe(max(seconds, 0))


def ended(move: Migration) -> None:
    state = move.status.migration_state if move.status else None
    if state is None:
        return
    for gauge, time in ((START, state.start_timestamp), (END, state.end_timestamp)):
        if time:
            gauge.labels(*labels(move)).set(conditions.parse(time).timestamp())
    if state.completed:
        SUCCEEDED.labels(*labels(move)).set(0 if state.failed else 1)
        FAILED.labels(*labels(move)).set(1 if state.failed else 0)


def forget(move: Migration) -> None:
    for gauge in _BY_MOVE:
        try:
            gauge.remove(*labels(move))
        except KeyError:
            continue


def labels(move: Migration) -> tuple[str, str, str]:
    return move.spec.vmi_name or "", move.metadata.name, move.metadata.namespace
