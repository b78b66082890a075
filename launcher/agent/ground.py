"""What a caretaker does on its node: find a pod's processes, its libvirtd, its network. The tests have another."""

from pathlib import Path
from typing import Protocol

from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from launcher.agent import attached, dhcp, guestnet, hypervisor, netadmin, places
from launcher.agent.hotplug import Attach
from launcher.agent.hypervisor import Hypervisor
from launcher.agent.network import Nic, Uplink
from launcher.agent.places import Place
from launcher.agent.pods import LauncherPod
from launcher.agent.worker import Worker
from launcher.domain import Host
from launcher.domain.interfaces import seen_mac

# what QEMU opens; the container runtime makes them with the owner that they have on the node
DEVICES = (("dev", "kvm"), ("dev", "net", "tun"), ("dev", "vhost-net"))


class Closing(Protocol):
    """What is to be closed."""

    def close(self) -> None: ...


class Ground(Protocol):
    """One node. What it returns belongs to the caller, who closes it."""

    def find(self, uid: str) -> Place | None:
        """The place of the pod with this UID, once its libvirtd listens."""
        ...

    async def connect(self, place: Place, worker: Worker) -> Hypervisor: ...

    def private(self, uid: str) -> int:
        """A descriptor of the pod's private folder, which its tenant can write."""
        ...

    def open_devices(self, place: Place, pod: LauncherPod) -> None:
        """Let the launcher use its device nodes."""
        ...

    async def network(self, place: Place, nic: Nic) -> Uplink:
        """A tap device for the guest, and what the pod was given; safe to ask for again."""
        ...

    async def dhcp(self, place: Place, vmi: VirtualMachineInstance, nic: Nic, pod: Uplink) -> Closing:
        """Answer the guest until closed."""
        ...

    def disk(self, change: Attach) -> int | None:
        """A descriptor of the disk that an attachment pod brings; None while it is not there."""
        ...


class Node:
    """The Ground that we stand on."""

    def __init__(self, pods: Path) -> None:
        self._pods = pods

    def find(self, uid: str) -> Place | None:
        return places.find(self._pods, uid)

    async def connect(self, place: Place, worker: Worker) -> Hypervisor:
        return await hypervisor.connect(place.uri, worker)

    def private(self, uid: str) -> int:
        return places.walk_from(self._pods, uid, *places.EMPTY_DIR, launcher.PRIVATE_VOLUME)

    def open_devices(self, place: Place, pod: LauncherPod) -> None:
        claims = tuple(tuple(device.device_path.strip("/").split("/")) for device in pod.compute.volume_devices)
        for parts in DEVICES + claims:
            places.give_device(place.root, *parts)

    async def network(self, place: Place, nic: Nic) -> Uplink:
        return await netadmin.connect(place.network, nic)

    async def dhcp(self, place: Place, vmi: VirtualMachineInstance, nic: Nic, pod: Uplink) -> Closing:
        resolv_conf = places.read_small(place.root, "etc", "resolv.conf")
        interface = next(each for each in vmi.spec.domain.devices.interfaces if each.name == nic.name)
        mac = seen_mac(vmi, interface, Host(kvm=False, pod_mac=pod.mac))
        lease = guestnet.lease(pod, nic, mac, guestnet.told(vmi, interface, resolv_conf))
        return await dhcp.serve(place.network, lease)

    def disk(self, change: Attach) -> int | None:
        return attached.open_disk(change.pod, block=change.block, read_only=change.read_only)
