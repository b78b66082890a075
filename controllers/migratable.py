"""Whether a VMI can be moved while it runs, in KubeVirt's words. Pure."""

from controllers.launcher_volumes import Claims, claim_name
from hostler.api.kubevirt.network import Interface
from hostler.api.kubevirt.storage import Volume
from hostler.api.kubevirt.vmi import VirtualMachineInstance

SHARED = "ReadWriteMany"
YES = "True"


def verdict(vmi: VirtualMachineInstance, claims: Claims) -> str:
    """ "True", or "REASON: why not": the annotation by which the node's agent knows."""
    for volume in vmi.spec.volumes:
        if why := stuck_volume(volume, claims):
            return f"DisksNotLiveMigratable: cannot migrate VMI: {why}"
    pod_networks = {network.name for network in vmi.spec.networks if network.pod}
    for nic in vmi.spec.domain.devices.interfaces:
        if nic.name in pod_networks and not moves(nic):
            return (
                "InterfaceNotLiveMigratable: cannot migrate VMI which does not use masquerade, bridge with "
                "kubevirt.io/allow-pod-bridge-network-live-migration VM annotation or a migratable plugin to connect "
                "to the pod network"
            )
    return YES


def stuck_volume(volume: Volume, claims: Claims) -> str:
    """Why a volume ties the guest to its node; "" if it does not."""
    name = claim_name(volume)
    claim = claims.get(name) if name else None
    if claim is not None and SHARED not in claim.spec.access_modes:
        return (
            f"PVC {name} is not shared, live migration requires that all PVCs must be shared "
            f"(using {SHARED} access mode)"
        )
    if volume.host_disk:
        return f"volume {volume.name} is a host disk"
    return ""


def moves(nic: Interface) -> bool:
    """A bridged guest has the pod's own address, which stays behind."""
    return nic.masquerade is not None
