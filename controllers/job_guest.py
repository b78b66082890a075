"""What a job sees of one of its guests. Pure."""

from hostler.api import launcher
from hostler.api.batch import FAILURES, IGNORED, INDEX, VirtualMachineJob
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.runtime import conditions

FINAL = ("Succeeded", "Failed")


def phase(vmi: VMI) -> str:
    return (vmi.status and vmi.status.phase) or ""


def finished(vmi: VMI) -> bool:
    return phase(vmi) in FINAL


def dying(vmi: VMI) -> bool:
    return vmi.metadata.deletion_timestamp is not None


def leaving(vmi: VMI) -> bool:
    """Being deleted, and its guest may still run: who runs it has not let go of it yet."""
    return dying(vmi) and not finished(vmi) and launcher.VMI_FINALIZER in vmi.metadata.finalizers


def waits_for_the_end(job: VirtualMachineJob) -> bool:
    """Whether a guest is replaced only when it has ended; with a policy for failures there is nothing else."""
    return job.spec.pod_replacement_policy == "Failed" or job.spec.pod_failure_policy is not None


def lost(job: VirtualMachineJob, vmi: VMI) -> bool:
    """Failed, or deleted before it could end well: that counts as a failure, as in batch/v1."""
    if phase(vmi) == "Failed":
        return True
    ended = not leaving(vmi) if waits_for_the_end(job) else True
    return dying(vmi) and ended and phase(vmi) != "Succeeded"


def end_time(vmi: VMI) -> float:
    """When its guest ended, or was told to; 0 if nobody wrote it down."""
    passed = vmi.status.phase_transition_timestamps if vmi.status else ()
    times = [each.phase_transition_timestamp for each in passed if each.phase in FINAL]
    time = (times and times[-1]) or vmi.metadata.deletion_timestamp
    return conditions.parse(time).timestamp() if time else 0.0


def worth(vmi: VMI) -> tuple[bool, float, str]:
    """Who goes first when there are too many: who does not run yet, then the youngest."""
    born = conditions.parse(vmi.metadata.creation_timestamp or "").timestamp()
    return phase(vmi) == "Running", -born, vmi.metadata.name


def index(job: VirtualMachineJob, vmi: VMI) -> int | None:
    """The number that it was made for; None if the job has no such index (any more)."""
    number = whole_number(vmi, INDEX)
    return number if number is not None and number < (job.completions or 0) else None


def failures(vmi: VMI) -> int:
    """How often its index had failed before it, by what counts."""
    return whole_number(vmi, FAILURES) or 0


def ignored_failures(vmi: VMI) -> int:
    return whole_number(vmi, IGNORED) or 0


def tries(vmi: VMI) -> int:
    """How often its index has been tried, this guest included."""
    return failures(vmi) + ignored_failures(vmi) + 1


def whole_number(vmi: VMI, annotation: str) -> int | None:
    """Whoever may write VMIs may write nonsense: that is none."""
    text = vmi.metadata.annotations.get(annotation, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
