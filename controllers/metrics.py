"""What the manager tells Prometheus beside its own work: its objects, and how they fared.

KubeVirt's kinds have KubeVirt's names. On an installed KubeVirt that tells of its own kinds, and we of ours.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from prometheus_client import Counter, Histogram

from controllers.job_verdict import finish_time, over
from hostler.api import launcher
from hostler.api.apps import VirtualMachineDaemonSet, VirtualMachineDeployment, VirtualMachineStatefulSet
from hostler.api.batch import VirtualMachineCronJob, VirtualMachineJob
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet
from hostler.api.meta import Resource
from hostler.api.objects import Node
from hostler.runtime import conditions
from hostler.runtime.figures import Figure, Rows, counted
from hostler.runtime.protocol import Kind
from hostler.runtime.schedule import Schedule
from hostler.runtime.store import Store

SECONDS = (0.5, 1, 2, 5, 10, 20, 60, 300)
LONG = (10, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)

JOBS = Counter("hostler_vmjob_finished", "Jobs that ended", ["result", "reason"])
JOB_SECONDS = Histogram("hostler_vmjob_seconds", "From a job's start to its end", ["result"], buckets=LONG)
JOB_GUESTS = Counter("hostler_vmjob_guests_finished", "Guests of jobs that were counted", ["result"])
CRON_RUNS = Counter("hostler_vmcronjob_runs", "Jobs that cron jobs started")
VMS_CREATED = Counter("kubevirt_vm_created", "VirtualMachines that were made since the manager leads", ["namespace"])
FROM_CREATION = Histogram(
    "kubevirt_vmi_phase_transition_time_from_creation_seconds",
    "From a VMI's creation to the beginning of a phase",
    ["phase"],
    buckets=SECONDS,
)
FROM_DELETION = Histogram(
    "kubevirt_vmi_phase_transition_time_from_deletion_seconds",
    "From the wish that a VMI goes to the end of its guest",
    ["phase"],
    buckets=SECONDS,
)


def phase(vmi: VMI) -> str:
    return (vmi.status and vmi.status.phase) or "Pending"


def node(vmi: VMI) -> str:
    return (vmi.status and vmi.status.node_name) or ""


def vmi_rows(store: Store) -> Rows:
    for vmi in store.all(VMI):
        meta, os = vmi.metadata, vmi.status and vmi.status.guest_os_info
        guest = ((os and os.name) or "", (os and os.version_id) or "", (os and os.kernel_release) or "")
        yield (node(vmi), meta.namespace, meta.name, phase(vmi).lower(), *guest), 1


def vm_rows(store: Store) -> Rows:
    for vm in store.all(VirtualMachine):
        status = (vm.status and vm.status.printable_status) or ""
        yield (vm.metadata.namespace, vm.metadata.name, status.lower(), group(status)), 1


def group(status: str) -> str:
    """KubeVirt's status_group of a printable status."""
    if status in ("Running", "Migrating", "Starting"):
        return status.lower()
    still = ("Stopped", "Stopping", "Paused", "Terminating", "Provisioning", "WaitingForVolumeBinding")
    return "non_running" if status in still else "error"


VIRTUAL_MACHINES = (
    Figure(
        "kubevirt_vmi_info",
        "1 for each VMI",
        ("node", "namespace", "name", "phase", "guest_os_name", "guest_os_version_id", "guest_os_kernel_release"),
        vmi_rows,
    ),
    Figure(
        "kubevirt_vmi_phase_count",
        "VMIs by node and phase",
        ("node", "phase"),
        lambda store: counted((node(vmi), phase(vmi).lower()) for vmi in store.all(VMI)),
    ),
    Figure(
        "kubevirt_vm_info",
        "1 for each VirtualMachine",
        ("namespace", "name", "status", "status_group"),
        vm_rows,
    ),
    Figure(
        "kubevirt_number_of_vms",
        "VirtualMachines of a namespace",
        ("namespace",),
        lambda store: counted((vm.metadata.namespace,) for vm in store.all(VirtualMachine)),
    ),
    Figure(
        "kubevirt_allocatable_nodes",
        "Nodes that take guests",
        (),
        lambda store: [((), sum(each.metadata.labels.get(launcher.SCHEDULABLE) == "true" for each in store.all(Node)))],
    ),
)


def set_rows(store: Store) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Each set with the guests that it should have, and those that are ready."""
    for rs in store.all(VirtualMachineInstanceReplicaSet):
        if not rs.metadata.controller:
            yield of(rs), wanted(rs.spec.replicas), (rs.status and rs.status.ready_replicas) or 0
    for deployment in store.all(VirtualMachineDeployment):
        ready = (deployment.status and deployment.status.ready_replicas) or 0
        yield of(deployment), wanted(deployment.spec.replicas), ready
    for row in store.all(VirtualMachineStatefulSet):
        yield of(row), wanted(row.spec.replicas), (row.status and row.status.ready_replicas) or 0
    for daemons in store.all(VirtualMachineDaemonSet):
        status = daemons.status
        yield of(daemons), (status and status.desired_number_scheduled) or 0, (status and status.number_ready) or 0


def of(obj: Resource) -> tuple[str, str, str]:
    return obj.kind(), obj.metadata.namespace, obj.metadata.name


def wanted(replicas: int | None) -> int:
    return 1 if replicas is None else replicas


def job_phase(job: VirtualMachineJob) -> str:
    for each in ("Complete", "Failed", "Suspended"):
        if job.has(each):
            return each
    return "Running"


def cron_rows(store: Store) -> Rows:
    """When each is due next; none if it is suspended, or its schedule means nothing."""
    now = datetime.now(UTC)
    for cron in store.all(VirtualMachineCronJob):
        if cron.spec.suspend:
            continue
        try:
            due = Schedule(cron.spec.schedule, cron.spec.time_zone).next(now)
        except ValueError:
            continue
        if due is not None:
            yield (cron.metadata.namespace, cron.metadata.name), due.timestamp()


def last_rows(store: Store, field: str) -> Rows:
    for cron in store.all(VirtualMachineCronJob):
        if at := cron.status and getattr(cron.status, field):
            yield (cron.metadata.namespace, cron.metadata.name), conditions.parse(at).timestamp()


CRON = ("namespace", "name")
SET = ("kind", "namespace", "name")
OURS = (
    Figure(
        "hostler_set_desired_guests",
        "Guests that a set should have",
        SET,
        lambda store: ((labels, desired) for labels, desired, _ in set_rows(store)),
    ),
    Figure(
        "hostler_set_ready_guests",
        "Guests of a set that are ready",
        SET,
        lambda store: ((labels, ready) for labels, _, ready in set_rows(store)),
    ),
    Figure(
        "hostler_vmjobs",
        "Jobs by how they stand",
        ("namespace", "phase"),
        lambda store: counted((job.metadata.namespace, job_phase(job)) for job in store.all(VirtualMachineJob)),
    ),
    Figure(
        "hostler_vmjob_active_guests",
        "Guests that run for jobs",
        ("namespace",),
        lambda store: sums(
            (job.metadata.namespace, (job.status and job.status.active) or 0) for job in store.all(VirtualMachineJob)
        ),
    ),
    Figure("hostler_vmcronjob_next_run_timestamp_seconds", "When a cron job is due next", CRON, cron_rows),
    Figure(
        "hostler_vmcronjob_last_run_timestamp_seconds",
        "When a cron job was due last, and started a job",
        CRON,
        lambda store: last_rows(store, "last_schedule_time"),
    ),
    Figure(
        "hostler_vmcronjob_last_success_timestamp_seconds",
        "When a job of a cron job last completed",
        CRON,
        lambda store: last_rows(store, "last_successful_time"),
    ),
)


def sums(parts: Iterable[tuple[str, int]]) -> Rows:
    totals: dict[tuple[str, ...], int] = {}
    for name, number in parts:
        totals[name,] = totals.get((name,), 0) + number
    return totals.items()


def figures(*, whole: bool) -> tuple[Figure, ...]:
    return (*VIRTUAL_MACHINES, *OURS) if whole else OURS


def heard_of_ours(_kind: Kind, old: Resource | None, new: Resource | None) -> None:
    """A listener of the Store. What a listing brings at the start is no news."""
    if isinstance(old, VirtualMachineJob) and isinstance(new, VirtualMachineJob):
        turned(old, new)
    elif isinstance(old, VirtualMachineCronJob) and isinstance(new, VirtualMachineCronJob):
        before, after = (each.status.last_schedule_time if each.status else None for each in (old, new))
        if after and after != before:
            CRON_RUNS.inc()


def turned(old: VirtualMachineJob, new: VirtualMachineJob) -> None:
    for result in ("succeeded", "failed"):
        before, after = ((getattr(each.status, result) if each.status else None) or 0 for each in (old, new))
        if after > before:
            JOB_GUESTS.labels(result).inc(after - before)
    if over(old) or not over(new) or new.status is None:
        return
    kind = "Complete" if new.has("Complete") else "Failed"
    reason = next((each.reason or "" for each in new.status.conditions if each.type == kind), "")
    JOBS.labels(kind, reason).inc()
    ended, started = finish_time(new), new.status.start_time
    if ended and started:
        JOB_SECONDS.labels(kind).observe(max((ended - conditions.parse(started)).total_seconds(), 0))


def heard(kind: Kind, old: Resource | None, new: Resource | None) -> None:
    """A listener, where KubeVirt's kinds are ours, too."""
    heard_of_ours(kind, old, new)
    if isinstance(old, VMI) and isinstance(new, VMI) and phase(old) != phase(new):
        now, meta = datetime.now(UTC), new.metadata
        FROM_CREATION.labels(phase(new)).observe(since(meta.creation_timestamp, now))
        if meta.deletion_timestamp:
            FROM_DELETION.labels(phase(new)).observe(since(meta.deletion_timestamp, now))
    elif isinstance(new, VirtualMachine) and old is None and new.status is None:
        VMS_CREATED.labels(new.metadata.namespace).inc()


def since(when: str | None, now: datetime) -> float:
    return max((now - conditions.parse(when)).total_seconds(), 0) if when else 0
