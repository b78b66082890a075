"""What can be done with a running domain: small functions of libvirt's own object, for `Hypervisor.control`."""

from collections.abc import Mapping
from typing import Any

AGENT = 5  # seconds that libvirt waits for the guest's agent


def pause(domain: Any) -> None:
    """Stop its CPUs; its memory stays."""
    domain.suspend()


def unpause(domain: Any) -> None:
    domain.resume()


def soft_reboot(domain: Any) -> None:
    """Ask the guest, by its agent or else by its power button, to reboot."""
    domain.reboot(0)


def guest_info(domain: Any) -> tuple[Mapping[str, Any], str]:
    """What libvirt asks the guest's agent, and the agent's own answer to guest-info; Retry if it does not answer."""
    import libvirt_qemu  # the agent's own words are not in libvirt's general interface

    domain.agentSetResponseTimeout(AGENT)
    said = domain.guestInfo(0)  # all that this agent knows
    return said, libvirt_qemu.qemuAgentCommand(domain, '{"execute":"guest-info"}', AGENT, 0)
