"""The machine of a VMI: CPU, memory, firmware, clock, features (kubevirt.io/v1 DomainSpec)."""

from pydantic import Field

from hostler.api.core import PullPolicy
from hostler.api.kubevirt.common import FeatureState
from hostler.api.kubevirt.devices import Devices
from hostler.api.meta import Int32, Int64, Model, Quantity


class ACPI(Model):
    """ACPI tables from volumes: SLIC and MSDM, where Windows looks for its licence."""

    msdm_name_ref: str | None = None
    slic_name_ref: str | None = None


class BIOS(Model):
    use_serial: bool | None = None


class EFI(Model):
    persistent: bool | None = None
    secure_boot: bool | None = None


class Bootloader(Model):
    bios: BIOS | None = None
    efi: EFI | None = None


class CPUFeature(Model):
    """One CPU flag: force, require, optional, disable or forbid."""

    name: str
    policy: str | None = None


class NUMAGuestMappingPassthrough(Model):
    """Present or absent; it has no fields."""


class NUMA(Model):
    """The NUMA topology that the guest sees."""

    guest_mapping_passthrough: NUMAGuestMappingPassthrough | None = None


class Realtime(Model):
    """vCPUs that the scheduler of the node runs in real time."""

    mask: str | None = None


class CPU(Model):
    """The virtual CPUs: sockets x cores x threads, and which model of CPU they are."""

    cores: Int64 | None = None
    dedicated_cpu_placement: bool | None = None
    features: tuple[CPUFeature, ...] = ()
    isolate_emulator_thread: bool | None = None
    max_sockets: Int64 | None = None
    model: str | None = None
    numa: NUMA | None = None
    realtime: Realtime | None = None
    sockets: Int64 | None = None
    threads: Int64 | None = None


class CPUTopology(Model):
    cores: Int64 | None = None
    sockets: Int64 | None = None
    threads: Int64 | None = None


class Chassis(Model):
    """What SMBIOS says of the chassis."""

    asset: str | None = None
    manufacturer: str | None = None
    serial: str | None = None
    sku: str | None = None
    version: str | None = None


class ClockOffsetUTC(Model):
    offset_seconds: Int32 | None = None


class HPETTimer(Model):
    present: bool | None = None
    tick_policy: str | None = None


class HypervTimer(Model):
    present: bool | None = None


class KVMTimer(Model):
    present: bool | None = None


class PITTimer(Model):
    present: bool | None = None
    tick_policy: str | None = None


class RTCTimer(Model):
    present: bool | None = None
    tick_policy: str | None = None
    track: str | None = None


class Timer(Model):
    hpet: HPETTimer | None = None
    hyperv: HypervTimer | None = None
    kvm: KVMTimer | None = None
    pit: PITTimer | None = None
    rtc: RTCTimer | None = None


class Clock(Model):
    """What the guest finds in its clock at boot, and its timers."""

    timer: Timer | None = None
    timezone: str | None = None
    utc: ClockOffsetUTC | None = None


class DiskIOThreads(Model):
    """A pool of threads for disk I/O."""

    supplemental_pool_thread_count: Int64 | None = None


class FeatureAPIC(Model):
    enabled: bool | None = None
    end_of_interrupt: bool | None = None


class FeatureSpinlocks(Model):
    enabled: bool | None = None
    spinlocks: Int64 | None = None


class FeatureVendorID(Model):
    enabled: bool | None = None
    vendorid: str | None = None


class SyNICTimer(Model):
    direct: FeatureState | None = None
    enabled: bool | None = None


class TLBFlush(Model):
    direct: FeatureState | None = None
    enabled: bool | None = None
    extended: FeatureState | None = None


class FeatureHyperv(Model):
    """Hyper-V enlightenments, for Windows guests."""

    evmcs: FeatureState | None = None
    frequencies: FeatureState | None = None
    ipi: FeatureState | None = None
    reenlightenment: FeatureState | None = None
    relaxed: FeatureState | None = None
    reset: FeatureState | None = None
    runtime: FeatureState | None = None
    spinlocks: FeatureSpinlocks | None = None
    synic: FeatureState | None = None
    synictimer: SyNICTimer | None = None
    tlbflush: TLBFlush | None = None
    vapic: FeatureState | None = None
    vendorid: FeatureVendorID | None = None
    vpindex: FeatureState | None = None


class FeatureKVM(Model):
    hidden: bool | None = None


class HyperVPassthrough(Model):
    enabled: bool | None = None


class Features(Model):
    """Hypervisor features that the guest may see."""

    acpi: FeatureState | None = None
    apic: FeatureAPIC | None = None
    hyperv: FeatureHyperv | None = None
    hyperv_passthrough: HyperVPassthrough | None = None
    kvm: FeatureKVM | None = None
    pvspinlock: FeatureState | None = None
    smm: FeatureState | None = None


class KernelBootContainer(Model):
    """The image that holds the kernel and the initrd."""

    image: str
    image_pull_policy: PullPolicy | None = None
    image_pull_secret: str | None = None
    initrd_path: str | None = None
    kernel_path: str | None = None


class KernelBoot(Model):
    """A kernel that is booted directly, without a boot loader."""

    container: KernelBootContainer | None = None
    kernel_args: str | None = None


class Firmware(Model):
    """BIOS or UEFI, SMBIOS identity, and direct kernel boot."""

    acpi: ACPI | None = None
    bootloader: Bootloader | None = None
    kernel_boot: KernelBoot | None = None
    serial: str | None = None
    uuid: str | None = None


class SEVAttestation(Model):
    """Present or absent; it has no fields."""


class SEVPolicy(Model):
    encrypted_state: bool | None = None


class SEV(Model):
    attestation: SEVAttestation | None = None
    dh_cert: str | None = None
    policy: SEVPolicy | None = None
    session: str | None = None


class SEVSNP(Model):
    """Present or absent; it has no fields."""


class TDX(Model):
    """Present or absent; it has no fields."""


class LaunchSecurity(Model):
    """Confidential computing: SEV, SEV-SNP or TDX."""

    sev: SEV | None = None
    snp: SEVSNP | None = None
    tdx: TDX | None = None


class Machine(Model):
    type: str | None = None


class Hugepages(Model):
    page_size: str | None = None


class ReservedOverhead(Model):
    """Memory that the pod needs beyond the guest's."""

    added_overhead: Quantity | None = None
    mem_lock: str | None = None


class Memory(Model):
    """What the guest sees, and what backs it."""

    guest: Quantity | None = None
    hugepages: Hugepages | None = None
    max_guest: Quantity | None = None
    reserved_overhead: ReservedOverhead | None = None


class ResourceRequirements(Model):
    """What the launcher pod asks of its node."""

    limits: dict[str, Quantity] = Field(default_factory=dict)
    overcommit_guest_overhead: bool | None = None
    requests: dict[str, Quantity] = Field(default_factory=dict)


class DomainSpec(Model):
    """The machine that a VMI runs."""

    devices: Devices
    chassis: Chassis | None = None
    clock: Clock | None = None
    cpu: CPU | None = None
    features: Features | None = None
    firmware: Firmware | None = None
    io_threads: DiskIOThreads | None = None
    io_threads_policy: str | None = None
    launch_security: LaunchSecurity | None = None
    machine: Machine | None = None
    memory: Memory | None = None
    reboot_policy: str | None = None
    resources: ResourceRequirements | None = None

    @property
    def has_acpi(self) -> bool:
        """On unless it is switched off: how a guest hears that it is to shut down."""
        acpi = self.features.acpi if self.features else None
        return acpi is None or acpi.enabled is not False
