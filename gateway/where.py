"""Where a guest runs, and what its agent calls it. Pure."""

from gateway.refusals import unavailable
from hostler.api.kubevirt.vmi import VirtualMachineInstance


def node_of(vmi: VirtualMachineInstance) -> str:
    node = vmi.status.node_name if vmi.status else None
    if not node:
        raise unavailable(f"VMI {vmi.metadata.name} is on no node yet")
    return node


def guest_path(vmi: VirtualMachineInstance, tail: str) -> str:
    """By UID: a guest of the same name is another guest."""
    return f"/vmis/{vmi.metadata.uid}/{tail}"
