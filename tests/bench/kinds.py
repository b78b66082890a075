"""What the scale benchmark asks of each kind: N members, and none again. A kind is one line of LOADS."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.bench.kubectl import Kubectl
from tests.bench.simulation import NAMESPACE, NODES
from tests.bench.standin import ENDS

Raw = dict[str, Any]
Ask = Callable[[Kubectl, "Load", int], float]  # asks for so many members; when it did, by the monotonic clock

NAME = "load"
CHOSEN = "bench.hostler.io/chosen"  # label of the nodes that the daemon sets want
PARALLELISM = 100  # of the job
RUN = 20  # guests in each cron job's job
LEAD = 30  # seconds at least between a cron job's creation and its time,
DUE = "bench.hostler.io/due"  # which this annotation holds


@dataclass(frozen=True)
class Load:
    """One kind: what there is before, how it gets its members and loses them, and what says that they are there."""

    name: str
    resource: str  # as kubectl takes it
    before: Callable[[int], list[Raw]]
    up: Ask
    down: Ask
    there: Callable[[Raw], int]  # members that one object's status says are ready, or have ended well
    share: float = 1.0  # of the members that are asked for: less where they come one after another
    unit: int = 1  # members that come together, so that their number is a multiple of it
    note: str = ""


def sized(name: str, resource: str, body: Callable[[], Raw], note: str = "", share: float = 1.0) -> Load:
    """A kind with spec.replicas and status.readyReplicas."""
    return Load(name, resource, lambda _: [body()], scale, empty, ready_replicas, share, note=note)


def scale(kubectl: Kubectl, load: Load, members: int) -> float:
    start = time.monotonic()
    kubectl("scale", "-n", NAMESPACE, load.resource, NAME, f"--replicas={members}")
    return start


def empty(kubectl: Kubectl, load: Load, _members: int) -> float:
    return scale(kubectl, load, 0)


def ready_replicas(obj: Raw) -> int:
    """0 only when none is left that is not ready, either."""
    status = obj.get("status", {})
    ready = int(status.get("readyReplicas") or 0)
    return ready if status.get("replicas", 0) == ready else -1


def choose_nodes(kubectl: Kubectl, _load: Load, _members: int) -> float:
    start = time.monotonic()
    kubectl("label", "nodes", "--all", f"{CHOSEN}=yes")
    return start


def spare_nodes(kubectl: Kubectl, _load: Load, _members: int) -> float:
    start = time.monotonic()
    kubectl("label", "nodes", "--all", f"{CHOSEN}-")
    return start


def daemons_ready(obj: Raw) -> int:
    status = obj.get("status", {})
    ready = int(status.get("numberReady") or 0)
    return ready if status.get("currentNumberScheduled", 0) + status.get("numberMisscheduled", 0) == ready else -1


def start_job(kubectl: Kubectl, _load: Load, members: int) -> float:
    start = time.monotonic()
    kubectl.apply(job(members), namespace=NAMESPACE)
    return start


def delete_all(kubectl: Kubectl, load: Load, _members: int) -> float:
    start = time.monotonic()
    kubectl("delete", "-n", NAMESPACE, load.resource, "--all", "--wait=false")
    return start


def job_done(obj: Raw) -> int:
    """Of a job that is complete: all of its members."""
    status = obj.get("status", {})
    complete = any(each["type"] == "Complete" and each["status"] == "True" for each in status.get("conditions", ()))
    return int(status.get("succeeded") or 0) if complete else -1


def await_time(kubectl: Kubectl, load: Load, _members: int) -> float:
    """All cron jobs are due at the same minute."""
    meta = kubectl.json("get", "-n", NAMESPACE, load.resource)["items"][0]["metadata"]
    wait = (datetime.fromisoformat(meta["annotations"][DUE]) - datetime.now(UTC)).total_seconds()
    if wait < 0:
        raise RuntimeError(f"the cron jobs were due {-wait:.0f} s ago: LEAD is too short for this machine")
    time.sleep(wait)
    return time.monotonic()


def run_done(obj: Raw) -> int:
    """Of a cron job whose one job was a success: that job's members."""
    status = obj.get("status", {})
    return RUN if status.get("lastSuccessfulTime") and not status.get("active") else -1


def workload(kind: str, **spec: Any) -> Raw:
    labels = {"app": NAME}
    template = {"metadata": {"labels": labels}, "spec": guest()}
    whole = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template} | spec
    return {"apiVersion": "hostler.io/v1alpha1", "kind": kind, "metadata": {"name": NAME}, "spec": whole}


def replica_set() -> Raw:
    return workload("VirtualMachineInstanceReplicaSet") | {"apiVersion": "kubevirt.io/v1"}


def deployment() -> Raw:
    return workload("VirtualMachineDeployment")


def parallel_set() -> Raw:
    return workload("VirtualMachineStatefulSet", serviceName=NAME, podManagementPolicy="Parallel")


def ordered_set() -> Raw:
    return workload("VirtualMachineStatefulSet", serviceName=NAME)


def pool() -> Raw:
    machine = {"metadata": {"labels": {"app": NAME}}, "spec": guest()}
    template = {"metadata": {"labels": {"app": NAME}}, "spec": {"runStrategy": "Always", "template": machine}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": NAME}}, "virtualMachineTemplate": template}
    group = "pool.kubevirt.io/v1beta1"
    return {"apiVersion": group, "kind": "VirtualMachinePool", "metadata": {"name": NAME}, "spec": spec}


def daemon_sets(members: int) -> list[Raw]:
    """As many sets as it takes, each of which wants all nodes."""
    return [daemon_set(f"{NAME}-{number}") for number in range(members // NODES)]


def daemon_set(name: str) -> Raw:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": guest() | {"nodeSelector": {CHOSEN: "yes"}}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return {
        "apiVersion": "hostler.io/v1alpha1",
        "kind": "VirtualMachineDaemonSet",
        "metadata": {"name": name},
        "spec": spec,
    }


def job_spec(members: int, parallelism: int) -> Raw:
    template = {"metadata": {"annotations": {ENDS: "yes"}}, "spec": guest()}
    return {"completions": members, "parallelism": parallelism, "template": template}


def job(members: int) -> Raw:
    spec = job_spec(members, PARALLELISM)
    return {
        "apiVersion": "hostler.io/v1alpha1",
        "kind": "VirtualMachineJob",
        "metadata": {"name": NAME},
        "spec": spec,
    }


def cron_jobs(members: int) -> list[Raw]:
    due = (datetime.now(UTC) + timedelta(seconds=LEAD)).replace(second=0, microsecond=0) + timedelta(minutes=1)
    return [cron_job(f"{NAME}-{number}", due) for number in range(members // RUN)]


def cron_job(name: str, due: datetime) -> Raw:
    schedule = f"{due.minute} {due.hour} {due.day} {due.month} *"
    spec = {"schedule": schedule, "timeZone": "Etc/UTC", "jobTemplate": {"spec": job_spec(RUN, RUN)}}
    metadata = {"name": name, "annotations": {DUE: due.isoformat()}}
    return {"apiVersion": "hostler.io/v1alpha1", "kind": "VirtualMachineCronJob", "metadata": metadata, "spec": spec}


def nothing(_members: int) -> list[Raw]:
    return []


def guest() -> Raw:
    disk = {"name": "root", "disk": {"bus": "virtio"}}
    volume = {"name": "root", "containerDisk": {"image": "docker.io/hostler/tiny:1"}}
    return {"domain": {"memory": {"guest": "96Mi"}, "devices": {"disks": [disk]}}, "volumes": [volume]}


LOADS = (
    sized("replicaset", "virtualmachineinstancereplicasets.kubevirt.io", replica_set),
    sized("deployment", "virtualmachinedeployments.hostler.io", deployment),
    sized("statefulset", "virtualmachinestatefulsets.hostler.io", parallel_set, "Parallel"),
    sized("ordered", "virtualmachinestatefulsets.hostler.io", ordered_set, "OrderedReady", 1 / 20),
    Load(
        "daemonset",
        "virtualmachinedaemonsets.hostler.io",
        daemon_sets,
        choose_nodes,
        spare_nodes,
        daemons_ready,
        unit=NODES,
        note=f"sets of {NODES}",
    ),
    Load(
        "job",
        "virtualmachinejobs.hostler.io",
        nothing,
        start_job,
        delete_all,
        job_done,
        note=f"one job, parallelism {PARALLELISM}",
    ),
    Load(
        "cronjob",
        "virtualmachinecronjobs.hostler.io",
        cron_jobs,
        await_time,
        delete_all,
        run_done,
        unit=RUN,
        note=f"due at once, {RUN} guests each",
    ),
    sized("pool", "virtualmachinepools.pool.kubevirt.io", pool),
)


def known(kubectl: Kubectl, loads: Iterable[Load]) -> list[Load]:
    """Those whose kind this version has."""
    crds = kubectl("get", "crds", "-o", "name")
    return [load for load in loads if f"/{load.resource}\n" in crds]
