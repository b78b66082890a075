"""The devices of a VMI other than its disks and interfaces (kubevirt.io/v1)."""

from pydantic import Field

from hostler.api.kubevirt.common import FeatureState
from hostler.api.kubevirt.network import Interface
from hostler.api.kubevirt.storage import Disk
from hostler.api.meta import Model


class ClientPassthroughDevices(Model):
    """Present or absent; it has no fields."""


class DownwardMetrics(Model):
    """Present or absent; it has no fields."""


class FilesystemVirtiofs(Model):
    """Present or absent; it has no fields."""


class Filesystem(Model):
    """A directory shared by virtiofs: the volume of the same name."""

    name: str
    virtiofs: FilesystemVirtiofs


class VGPUDisplayOptions(Model):
    enabled: bool | None = None
    ram_fb: FeatureState | None = Field(None, alias="ramFB")


class VGPUOptions(Model):
    display: VGPUDisplayOptions | None = None


class GPU(Model):
    """A GPU of the node, given to the guest."""

    name: str
    claim_name: str | None = None
    device_name: str | None = None
    request_name: str | None = None
    tag: str | None = None
    virtual_gpu_options: VGPUOptions | None = Field(None, alias="virtualGPUOptions")


class HostDevice(Model):
    """A PCI or USB device of the node, given to the guest."""

    name: str
    claim_name: str | None = None
    device_name: str | None = None
    request_name: str | None = None
    tag: str | None = None


class Input(Model):
    name: str
    type: str
    bus: str | None = None


class PanicDevice(Model):
    """A device by which the guest tells that it crashed."""

    model: str | None = None


class Rng(Model):
    """A source of random numbers; it has no fields."""


class SoundDevice(Model):
    name: str
    model: str | None = None


class TPMDevice(Model):
    """A virtual TPM 2.0."""

    enabled: bool | None = None
    persistent: bool | None = None


class VideoDevice(Model):
    type: str | None = None


class Diag288Watchdog(Model):
    action: str | None = None


class I6300ESBWatchdog(Model):
    action: str | None = None


class Watchdog(Model):
    """A device that acts when the guest stops feeding it."""

    name: str
    diag288: Diag288Watchdog | None = None
    i6300esb: I6300ESBWatchdog | None = Field(None, alias="i6300esb")


class Devices(Model):
    """Everything plugged into the machine."""

    autoattach_graphics_device: bool | None = None
    autoattach_input_device: bool | None = None
    autoattach_mem_balloon: bool | None = None
    autoattach_pod_interface: bool | None = None
    autoattach_serial_console: bool | None = None
    autoattach_vsock: bool | None = Field(None, alias="autoattachVSOCK")
    block_multi_queue: bool | None = None
    client_passthrough: ClientPassthroughDevices | None = None
    disable_hotplug: bool | None = None
    disks: tuple[Disk, ...] = ()
    downward_metrics: DownwardMetrics | None = None
    filesystems: tuple[Filesystem, ...] = ()
    gpus: tuple[GPU, ...] = ()
    host_devices: tuple[HostDevice, ...] = ()
    inputs: tuple[Input, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    log_serial_console: bool | None = None
    network_interface_multiqueue: bool | None = None
    panic_devices: tuple[PanicDevice, ...] = ()
    rng: Rng | None = None
    sound: SoundDevice | None = None
    tpm: TPMDevice | None = None
    use_virtio_transitional: bool | None = None
    video: VideoDevice | None = None
    watchdog: Watchdog | None = None
