"""VirtualMachineJob and VirtualMachineCronJob (hostler.io/v1alpha1): batch/v1, with guests in place of pods.

Fields, defaults and words are those of batch/v1; docs/jobs.md lists each and what differs.
"""

from typing import Annotated

from pydantic import Field

from hostler.api.kubevirt.vmi import VirtualMachineInstanceTemplateSpec
from hostler.api.meta import (
    Int32,
    Int64,
    LabelSelector,
    Model,
    NullableTime,
    ObjectMeta,
    ProbedCondition,
    Resource,
    keyed_by,
    one_of,
)

GROUP = "hostler.io/v1alpha1"
TRACKING = "hostler.io/job-tracking"  # finalizer on a VMI that its job has not counted yet
JOB_NAME = "hostler.io/job-name"  # labels on VMIs, and so on their pods
CONTROLLER_UID = "hostler.io/controller-uid"
SCHEDULED = "hostler.io/cronjob-scheduled-timestamp"  # annotation on a job that a cron job made
INDEX = "batch.kubernetes.io/job-completion-index"  # annotation and label on VMIs, and so on their pods
FAILURES = "batch.kubernetes.io/job-index-failure-count"  # annotations on VMIs: how often their index has failed
IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"
CONTROLLER_NAME = "hostler.io/job-controller"  # spec.managedBy of the jobs that are ours
QUEUE_LABELS = ("kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class")  # of a job, wanted on its pods, too

LONGEST_JOB = 63  # characters of a job's name: it is a label's value, too
LONGEST_CRON_JOB = 52  # its jobs' names have 11 more

CompletionMode = Annotated[str, one_of("NonIndexed", "Indexed")]
ReplacementPolicy = Annotated[str, one_of("TerminatingOrFailed", "Failed")]
ConcurrencyPolicy = Annotated[str, one_of("Allow", "Forbid", "Replace")]
FailureAction = Annotated[str, one_of("Count", "FailIndex", "FailJob", "Ignore")]
Operator = Annotated[str, one_of("In", "NotIn")]
ConditionStatus = Annotated[str, one_of("False", "True", "Unknown")]


class EnvVar(Model):
    """A variable of the script's environment."""

    name: str
    value: str = ""


class OnExitCodes(Model):
    """Fits a guest by the exit code that it wrote; one that wrote none is not fitted."""

    operator: Operator
    values: tuple[Int64, ...] = Field(json_schema_extra={"x-kubernetes-list-type": "set"})  # Windows' have 32 bits
    container_name: str | None = None


class OnPodCondition(Model):
    """Fits a guest by a condition of its VMI's, or by the reason for which it failed."""

    type: str
    status: ConditionStatus = "True"


class PodFailurePolicyRule(Model):
    action: FailureAction
    on_exit_codes: OnExitCodes | None = None
    on_pod_conditions: tuple[OnPodCondition, ...] = ()


class PodFailurePolicy(Model):
    """What a failure means: the first rule that fits says so."""

    rules: tuple[PodFailurePolicyRule, ...]


class SuccessPolicyRule(Model):
    succeeded_count: Int32 | None = None
    succeeded_indexes: str | None = None


class SuccessPolicy(Model):
    """When an indexed job is done before all of its indexes are."""

    rules: tuple[SuccessPolicyRule, ...]


class VirtualMachineJobSpec(Model):
    """Run guests until so many have ended well."""

    template: VirtualMachineInstanceTemplateSpec
    active_deadline_seconds: Int64 | None = None
    backoff_limit: Int32 | None = None
    backoff_limit_per_index: Int32 | None = None
    completion_mode: CompletionMode | None = None
    completions: Int32 | None = None
    env: tuple[EnvVar, ...] = Field((), json_schema_extra=keyed_by("name"))
    managed_by: str | None = None
    manual_selector: bool | None = None
    max_failed_indexes: Int32 | None = None
    parallelism: Int32 | None = None
    pod_failure_policy: PodFailurePolicy | None = None
    pod_replacement_policy: ReplacementPolicy | None = None
    script: str | None = None
    selector: LabelSelector | None = None
    success_policy: SuccessPolicy | None = None
    suspend: bool | None = None
    ttl_seconds_after_finished: Int32 | None = None


class UncountedTerminated(Model):
    """UIDs of guests that have ended and are not in the counters yet."""

    failed: tuple[str, ...] = ()
    succeeded: tuple[str, ...] = ()


class VirtualMachineJobResult(Model):
    """What one guest left."""

    name: str
    exit_code: Int64 | None = None
    result: str | None = None


class Printable(Model):
    """Columns of `kubectl get` that JSONPath cannot compute."""

    completions: str | None = None
    duration: str | None = None
    status: str | None = None


class VirtualMachineJobStatus(Model):
    active: Int32 | None = None
    completed_indexes: str | None = None
    completion_time: NullableTime = None
    conditions: tuple[ProbedCondition, ...] = ()
    failed: Int32 | None = None
    failed_indexes: str | None = None
    printable: Printable | None = None
    ready: Int32 | None = None
    results: tuple[VirtualMachineJobResult, ...] = ()
    start_time: NullableTime = None
    succeeded: Int32 | None = None
    terminating: Int32 | None = None
    uncounted_terminated: UncountedTerminated | None = None


class VirtualMachineJob(Resource):
    """Guests that run to an end."""

    group_version = GROUP
    plural = "virtualmachinejobs"

    spec: VirtualMachineJobSpec
    status: VirtualMachineJobStatus | None = None

    @property
    def completions(self) -> int | None:
        """How many are to succeed; None: any one will do, and nothing is started after it."""
        if self.spec.completions is None and self.spec.parallelism is None:
            return 1
        return self.spec.completions

    def has(self, condition: str) -> bool:
        """Whether the condition of this type is True."""
        found = self.status.conditions if self.status else ()
        return any(each.type == condition and each.status == "True" for each in found)


class VirtualMachineJobTemplateSpec(Model):
    """What each job is made from."""

    spec: VirtualMachineJobSpec
    metadata: ObjectMeta | None = None


class VirtualMachineCronJobSpec(Model):
    """A job at certain times."""

    job_template: VirtualMachineJobTemplateSpec
    schedule: str
    concurrency_policy: ConcurrencyPolicy | None = None
    failed_jobs_history_limit: Int32 | None = None
    starting_deadline_seconds: Int64 | None = None
    successful_jobs_history_limit: Int32 | None = None
    suspend: bool | None = None
    time_zone: str | None = None


class ObjectReference(Model):
    api_version: str | None = None
    kind: str | None = None
    name: str | None = None
    namespace: str | None = None
    uid: str | None = None


class VirtualMachineCronJobStatus(Model):
    active: tuple[ObjectReference, ...] = ()
    active_jobs: Int32 | None = None  # how many; a column, since JSONPath cannot count
    last_schedule_time: NullableTime = None
    last_successful_time: NullableTime = None


class VirtualMachineCronJob(Resource):
    """Jobs by the clock."""

    group_version = GROUP
    plural = "virtualmachinecronjobs"

    spec: VirtualMachineCronJobSpec
    status: VirtualMachineCronJobStatus | None = None
