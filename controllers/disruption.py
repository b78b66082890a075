"""Whether a guest's end was its own: what its pod tells of evictions, preemptions and nodes that go. Pure."""

from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.objects import Pod
from hostler.runtime.conditions import Condition

LONGEST_MESSAGE = 1024
# PID 1's words for a guest that ended because its pod had to
ASKED = ("ShutdownRequested", "Destroyed")


def disruption(pod: Pod) -> Condition | None:
    """Why others end the pod, if they do."""
    told = pod.condition(launcher.DISRUPTION)
    if told is None or told.status != "True":
        return None
    return Condition(True, told.reason or "", (told.message or "")[:LONGEST_MESSAGE])


def interrupted(vmi: VirtualMachineInstance, reason: str, exit_code: int | None) -> bool:
    """Whether a guest that is to say how it went, as those of jobs are, was told to go before it did."""
    return reason in ASKED and exit_code is None and vmi.metadata.annotations.get(launcher.PORTS) == "true"
