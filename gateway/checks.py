"""When a VMI can do what is asked of it, as KubeVirt sees it; each check returns or raises a Refusal. Pure."""

from gateway.lifecycle import phase
from gateway.refusals import VM, VMI, Refusal, bad_request, conflict, forbidden
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance as Vmi


def pause(vmi: Vmi) -> None:
    running(vmi, "VM is not running")
    probe = vmi.spec.liveness_probe
    if probe is not None and probe.guest_agent_ping is None:
        why = "Pausing VMIs with a non-GuestAgentPing LivenessProbe is not supported"
        raise forbidden(VMI, vmi.metadata.name, why)
    if has(vmi, "Paused"):
        raise refuse(vmi, "VMI is already paused")


def unpause(vmi: Vmi) -> None:
    running(vmi, "VMI is not running")
    if not has(vmi, "Paused"):
        raise refuse(vmi, "VMI is not paused")


def soft_reboot(vmi: Vmi) -> None:
    running(vmi, "VM is not running")
    if has(vmi, "Paused"):
        raise refuse(vmi, "VMI is paused")
    if not has(vmi, "AgentConnected") and not vmi.spec.domain.has_acpi:
        raise refuse(vmi, "VMI neither have the agent connected nor the ACPI feature enabled")


def migrate(vm: VirtualMachine, vmi: Vmi | None) -> None:
    if vmi is None or phase(vmi) != "Running":
        raise conflict(VM, vm.metadata.name, "VM is not running")


def console(vmi: Vmi) -> None:
    if vmi.spec.domain.devices.autoattach_serial_console is False:
        raise bad_request("No serial consoles are present.")
    shown(vmi)


def vnc(vmi: Vmi) -> None:
    if vmi.spec.domain.devices.autoattach_graphics_device is False:
        raise bad_request("No graphics devices are present.")
    shown(vmi)


def shown(vmi: Vmi) -> None:
    if phase(vmi) == "Failed":
        raise refuse(vmi, "VMI is in failed status")
    if phase(vmi) != "Running":
        raise bad_request("VMI is not running")


def port_forward(vmi: Vmi) -> None:
    running(vmi, "VMI is not running")
    if has(vmi, "Paused"):
        raise refuse(vmi, "VMI is paused")


def guest_agent(vmi: Vmi) -> None:
    running(vmi, "VMI is not running")
    if not has(vmi, "AgentConnected"):
        raise refuse(vmi, "VMI does not have guest agent connected")


def running(vmi: Vmi, why: str) -> None:
    if phase(vmi) != "Running":
        raise refuse(vmi, why)


def has(vmi: Vmi, condition: str) -> bool:
    found = vmi.status.conditions if vmi.status else ()
    return any(each.type == condition and each.status == "True" for each in found)


def refuse(vmi: Vmi, why: str) -> Refusal:
    return conflict(VMI, vmi.metadata.name, why)
