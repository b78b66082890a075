"""What the manager can be told."""

from typing import Literal

from pydantic import Field

from hostler.runtime.plan import EVENTS_PER_SECOND
from hostler.runtime.settings import Settings

MIB = 2**20


class ManagerSettings(Settings):
    """Runs virtual machines: VirtualMachineInstances become pods, replica sets become VirtualMachineInstances."""

    launcher_enabled: bool = Field(True, description="run VirtualMachineInstances; false where KubeVirt does")
    launcher_image: str = Field("docker.io/hostler/hostler-launcher:0.1.0", description="image of the launcher pods")
    launcher_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    launcher_pull_secrets: tuple[str, ...] = Field((), description="image pull secrets that tenants' namespaces have")
    use_emulation: bool = Field(False, description="run guests by software emulation instead of KVM")
    data_volumes: bool = Field(True, description="there are DataVolumes: wait for the disks that they bring")
    scheduling_grace: float = Field(
        5.0, description="seconds that a launcher pod may take before the VMI is said to be Scheduling"
    )
    events_per_second: float = Field(
        EVENTS_PER_SECOND,
        gt=0,
        description="how many Normal events are written in the long run; what is more is dropped",
    )
    cpu_allocation_ratio: int = Field(10, gt=0, description="guest CPUs for each CPU that a pod requests")

    # MiB resident, measured on running guests (tests/bench/memory.py) and rounded up
    overhead_launcher: int = Field(44, description="MiB of libvirtd, PID 1 and pause in every pod")
    overhead_qemu: int = Field(40, description="MiB of QEMU beside the guest's memory")
    overhead_vcpu: int = Field(4, description="MiB of QEMU for each vCPU")
    overhead_graphics: int = Field(16, description="MiB of QEMU for a graphics device")
    overhead_emulation: float = Field(1.5, description="MiB of QEMU for each MiB of translated code that it may keep")
