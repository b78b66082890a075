"""What the controller of disks and imports tells Prometheus: how they stand, and how they fared."""

from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client import Counter, Histogram

from hostler.api import cdi
from hostler.api.cdi import DataVolume
from hostler.api.imports import ImportPlan, MachineImport
from hostler.api.meta import Resource
from hostler.runtime import conditions, disk_report
from hostler.runtime.errors import Terminal
from hostler.runtime.figures import Figure, Rows, counted
from hostler.runtime.protocol import Kind
from hostler.runtime.store import Store
from v2v.sources import source_kind

FINAL = (cdi.SUCCEEDED, cdi.FAILED)
RESTARTS = 3  # of a worker are many, as CDI has it
LONG = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600)
MACHINE_LONG = (60, 300, 900, 3600, 4 * 3600, 24 * 3600)

DISKS = Counter("hostler_datavolume_finished", "DataVolumes that were made, or failed", ["source", "result"])
DISK_SECONDS = Histogram(
    "hostler_datavolume_seconds", "From a DataVolume's creation to its end", ["source", "result"], buckets=LONG
)
DISK_BYTES = Counter("hostler_datavolume_read_bytes", "Bytes of sources that workers said to have on disk", ["source"])
MACHINES = Counter("hostler_import_finished", "Machines that were imported, or failed", ["result"])
MACHINE_SECONDS = Histogram(
    "hostler_import_seconds", "From the begin of a machine's import to its end", ["result"], buckets=MACHINE_LONG
)


def source(volume: DataVolume) -> str:
    try:
        return source_kind(volume)
    except Terminal:
        return "unknown"


def restarting(kind: str) -> Figure:
    """CDI's gauges."""

    def rows(store: Store) -> Rows:
        each = (v for v in store.all(DataVolume) if v.phase not in FINAL and source(v) == kind)
        return [((), sum(((v.status and v.status.restart_count) or 0) >= RESTARTS for v in each))]

    text = f"Workers of kind {kind} that have been started again and again"
    return Figure(f"kubevirt_cdi_{kind}_pods_high_restart", text, (), rows)


def machines(store: Store) -> Iterator[tuple[ImportPlan, MachineImport]]:
    for plan in store.all(ImportPlan):
        for machine in plan.status.vms if plan.status else ():
            yield plan, machine


def disk_bytes(store: Store, field: str) -> Rows:
    totals: dict[tuple[str, ...], int] = {}
    for plan, machine in machines(store):
        place = (plan.metadata.namespace, plan.metadata.name)
        totals[place] = totals.get(place, 0) + sum(getattr(disk, field) for disk in machine.disks)
    return totals.items()


PLAN = ("namespace", "plan")
FIGURES = (
    Figure(
        "hostler_datavolumes",
        "DataVolumes by phase",
        ("phase",),
        lambda store: counted((volume.phase,) for volume in store.all(DataVolume)),
    ),
    Figure(
        "kubevirt_cdi_datavolume_pending",
        "DataVolumes that wait",
        (),
        lambda store: [((), sum(volume.phase in ("", "Pending") for volume in store.all(DataVolume)))],
    ),
    *(restarting(kind) for kind in ("import", "clone", "upload")),
    Figure(
        "hostler_import_machines",
        "Machines of import plans by phase",
        ("phase",),
        lambda store: counted((machine.phase,) for _, machine in machines(store)),
    ),
    Figure(
        "hostler_import_disk_bytes",
        "Bytes of an import plan's disks that were copied",
        PLAN,
        lambda store: disk_bytes(store, "bytes"),
    ),
    Figure(
        "hostler_import_disk_total_bytes",
        "Bytes of an import plan's disks",
        PLAN,
        lambda store: disk_bytes(store, "total"),
    ),
)


def heard(_kind: Kind, old: Resource | None, new: Resource | None) -> None:
    """A listener of the Store. What a listing brings at the start is no news."""
    if isinstance(old, DataVolume) and isinstance(new, DataVolume) and old.metadata.uid == new.metadata.uid:
        if (more := offset(new) - offset(old)) > 0:
            DISK_BYTES.labels(source(new)).inc(more)
        if new.phase in FINAL and old.phase not in FINAL:
            DISKS.labels(source(new), new.phase).inc()
            DISK_SECONDS.labels(source(new), new.phase).observe(age(new.metadata.creation_timestamp))
    elif isinstance(old, ImportPlan) and isinstance(new, ImportPlan):
        imported(old, new)


def offset(volume: DataVolume) -> int:
    said = disk_report.read(volume.metadata.annotations, volume.metadata.uid)
    return said.offset if said else 0


def imported(old: ImportPlan, new: ImportPlan) -> None:
    before = {machine.name for machine in old.status.vms if machine.phase in FINAL} if old.status else set()
    for machine in new.status.vms if new.status else ():
        if machine.phase in FINAL and machine.name not in before:
            MACHINES.labels(machine.phase).inc()
            if machine.started and machine.completed:
                spent = conditions.parse(machine.completed) - conditions.parse(machine.started)
                MACHINE_SECONDS.labels(machine.phase).observe(max(spent.total_seconds(), 0))


def age(since: str | None) -> float:
    return max((datetime.now(UTC) - conditions.parse(since)).total_seconds(), 0) if since else 0
