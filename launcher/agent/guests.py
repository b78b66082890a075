"""The guests that run on this node and that somebody may want something of."""

from dataclasses import dataclass
from typing import Protocol

from hostler.api.kubevirt.vmi import VirtualMachineInstanceSpec
from hostler.runtime.errors import NotFound
from launcher.agent.hypervisor import Hypervisor
from launcher.agent.places import Place
from launcher.agent.pods import LauncherPod
from launcher.agent.status import Net


@dataclass(frozen=True)
class Running:
    """One guest that runs. The place and the hypervisor are borrowed: they end with the caretaker's connection."""

    pod: LauncherPod
    domain: str  # libvirt's name
    hypervisor: Hypervisor
    place: Place
    net: Net | None
    spec: VirtualMachineInstanceSpec | None = None


class Guests(Protocol):
    """Finds guests by the UID of their VMI."""

    def find(self, uid: str) -> Running | None: ...


def found(guests: Guests, uid: str) -> Running:
    """The guest, or NotFound."""
    guest = guests.find(uid)
    if guest is None:
        raise NotFound(404, "GuestNotFound", "the guest does not run on this node, or its libvirtd does not answer")
    return guest
