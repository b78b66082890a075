"""VirtualMachineSchedule (hostler.io/v1alpha1): machines that are up at certain times and down at others."""

from typing import Annotated

from hostler.api.meta import Condition, Int32, Int64, LabelSelector, Model, Resource, Time, one_of

GROUP = "hostler.io/v1alpha1"
SCHEDULED = "hostler.io/scheduled"  # annotation on a target: the transition that changed it last
BEFORE_STOP = "hostler.io/before-stop"  # annotation on a target that is down: its run strategy or its size before

MACHINE = "VirtualMachine"
# what can be started and stopped, and the API group of each: a machine, and sets by their size
GROUPS = {
    MACHINE: "kubevirt.io",
    "VirtualMachineInstanceReplicaSet": "kubevirt.io",
    "VirtualMachinePool": "pool.kubevirt.io",
    "VirtualMachineDeployment": "hostler.io",
    "VirtualMachineStatefulSet": "hostler.io",
}

TargetKind = Annotated[str, one_of(*GROUPS)]
TransitionAction = Annotated[str, one_of("Start", "Stop")]
Outcome = Annotated[str, one_of("Done", "Missed", "NoTarget")]


class ScheduleTargetReference(Model):
    """One object by its name, or all those of a kind that a selector picks."""

    api_version: str
    kind: TargetKind
    name: str | None = None
    selector: LabelSelector | None = None


class VirtualMachineScheduleSpec(Model):
    """When machines go up, and when they go down."""

    target_ref: ScheduleTargetReference
    replicas: Int32 | None = None  # of a set that is down, and of which no other size is remembered
    start: str | None = None
    starting_deadline_seconds: Int64 | None = None
    stop: str | None = None
    suspend: bool | None = None
    time_zone: str | None = None


class NextTransition(Model):
    action: TransitionAction
    time: Time


class LastTransition(Model):
    action: TransitionAction
    outcome: Outcome
    time: Time


class VirtualMachineScheduleStatus(Model):
    conditions: tuple[Condition, ...] = ()
    last_transition: LastTransition | None = None
    next_transition: NextTransition | None = None
    observed_generation: Int64 | None = None
    targets: Int32 | None = None  # how many there are now


class VirtualMachineSchedule(Resource):
    """Up at certain times, down at others."""

    group_version = GROUP
    plural = "virtualmachineschedules"

    spec: VirtualMachineScheduleSpec
    status: VirtualMachineScheduleStatus | None = None
