"""Kubernetes' workloads beside ours: what is called what, and what their statuses have in common."""

from dataclasses import dataclass

from hostler.api import apps, batch
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet
from hostler.api.meta import Resource
from hostler.api.objects import Pod
from hostler.runtime.protocol import Kind


class Deployment(Resource):
    group_version, plural = "apps/v1", "deployments"


class ReplicaSet(Resource):
    group_version, plural = "apps/v1", "replicasets"


class StatefulSet(Resource):
    group_version, plural = "apps/v1", "statefulsets"


class DaemonSet(Resource):
    group_version, plural = "apps/v1", "daemonsets"


class Job(Resource):
    group_version, plural = "batch/v1", "jobs"


class CronJob(Resource):
    group_version, plural = "batch/v1", "cronjobs"


@dataclass(frozen=True)
class Words:
    """What one side calls its workloads, what they are made of, and what runs in the end."""

    guest: Kind
    replica_set: Kind
    job: Kind
    workloads: dict[str, Kind]

    @property
    def all(self) -> tuple[Kind, ...]:
        return tuple(dict.fromkeys((Pod, self.guest, self.replica_set, *self.workloads.values())))


KUBERNETES = Words(
    Pod,
    ReplicaSet,
    Job,
    {
        "deployment": Deployment,
        "statefulset": StatefulSet,
        "daemonset": DaemonSet,
        "job": Job,
        "cronjob": CronJob,
    },
)
OURS = Words(
    VirtualMachineInstance,
    VirtualMachineInstanceReplicaSet,
    batch.VirtualMachineJob,
    {
        "deployment": apps.VirtualMachineDeployment,
        "statefulset": apps.VirtualMachineStatefulSet,
        "daemonset": apps.VirtualMachineDaemonSet,
        "job": batch.VirtualMachineJob,
        "cronjob": batch.VirtualMachineCronJob,
    },
)

# counts that both have in their statuses; what is not there is 0
COUNTS = {
    "deployment": (
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
    ),
    "statefulset": ("replicas", "readyReplicas", "availableReplicas", "currentReplicas", "updatedReplicas"),
    "daemonset": (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberMisscheduled",
        "numberReady",
        "numberAvailable",
        "numberUnavailable",
        "updatedNumberScheduled",
    ),
    "job": ("active", "ready", "succeeded", "failed", "terminating"),
    "cronjob": (),
}
