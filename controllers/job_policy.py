"""What a failure means to a job, and when it is done before its time: podFailurePolicy and successPolicy. Pure."""

from collections.abc import Iterable, Iterator, Set
from typing import NamedTuple

from controllers.job_guest import lost
from controllers.job_ranges import spans, within
from hostler.api import launcher
from hostler.api.batch import OnExitCodes, OnPodCondition, PodFailurePolicyRule, VirtualMachineJob
from hostler.api.fencing import NODE_FENCED
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI

# What Kubernetes calls an end that is no fault of the guest's. The manager copies it from the pod, where there is one.
# A pod that went while nobody looked took its guest's exit code with it: nobody can say that the guest failed.
DISRUPTED = frozenset((NODE_FENCED, "Evicted", "NodeLost", "PodNotExists", "Preempting", "Terminated"))


class Fit(NamedTuple):
    """The rule that a failed guest fits."""

    action: str
    message: str


def fit(job: VirtualMachineJob, vmi: VMI) -> Fit | None:
    """The first rule counts."""
    policy = job.spec.pod_failure_policy
    for number, rule in enumerate(policy.rules if policy else ()):
        if why := fits(rule, vmi):
            return Fit(rule.action, f"{why} matching {rule.action} rule at index {number}")
    return None


def fits(rule: PodFailurePolicyRule, vmi: VMI) -> str:
    """Why it does, in batch/v1's words; nothing if it does not."""
    name = f"{vmi.metadata.namespace}/{vmi.metadata.name}"
    if rule.on_exit_codes is not None:
        code = vmi.status.exit_code if vmi.status else None
        if code and among(rule.on_exit_codes, code):
            return f"Container {launcher.COMPUTE} for virtual machine instance {name} failed with exit code {code}"
        return ""
    known = dict(statuses(vmi))
    kind = next((each.type for each in rule.on_pod_conditions if holds(each, known)), None)
    return f"Virtual machine instance {name} has condition {kind}" if kind else ""


def among(wanted: OnExitCodes, code: int) -> bool:
    return (code in wanted.values) == (wanted.operator == "In")


def holds(wanted: OnPodCondition, known: dict[str, str]) -> bool:
    return known.get(wanted.type) == wanted.status


def statuses(vmi: VMI) -> Iterator[tuple[str, str]]:
    """Its conditions; the reason for which it failed is as good as one."""
    status = vmi.status
    if status is None:
        return
    if status.reason:
        yield status.reason, "True"
    if status.reason in DISRUPTED:
        yield launcher.DISRUPTION, "True"
    for each in status.conditions:
        if (each.type, each.status) != (launcher.DISRUPTION, "False"):
            yield each.type, each.status


def action(job: VirtualMachineJob, vmi: VMI) -> str | None:
    found = fit(job, vmi)
    return found and found.action


def ignored(job: VirtualMachineJob, vmi: VMI) -> bool:
    return action(job, vmi) == "Ignore"


def job_failure(job: VirtualMachineJob, vmis: Iterable[VMI]) -> str | None:
    """What is said of the first guest that ends the whole job."""
    if job.spec.pod_failure_policy is None:
        return None
    found = (fit(job, vmi) for vmi in vmis if lost(job, vmi))
    return next((each.message for each in found if each and each.action == "FailJob"), None)


def success(job: VirtualMachineJob, completed: Set[int]) -> str | None:
    """What is said of the first rule that the completed indexes fulfil."""
    policy = job.spec.success_policy
    for number, rule in enumerate(policy.rules if policy and completed else ()):
        named = None if rule.succeeded_indexes is None else spans(rule.succeeded_indexes, job.completions or 0)
        if named is not None and not named:
            continue
        counted = len(completed) if named is None else within(completed, named)
        if counted == (named and sum(map(len, named))) or (
            rule.succeeded_count is not None and counted >= rule.succeeded_count
        ):
            return f"Matched rules at index {number}"
    return None
