"""What can be done with a running domain: small functions of libvirt's own object, for `Hypervisor.control`."""

from typing import Any


def pause(domain: Any) -> None:
    """Stop its CPUs; its memory stays."""
    domain.suspend()


def unpause(domain: Any) -> None:
    domain.resume()


def soft_reboot(domain: Any) -> None:
    """Ask the guest, by its agent or else by its power button, to reboot."""
    domain.reboot(0)
