"""Where the bytes of a disk are: the image that PID 1 made, a claim's file, a claim's device."""

from dataclasses import dataclass
from xml.etree.ElementTree import Element

from hostler.api import launcher
from hostler.api.kubevirt.storage import Volume
from hostler.runtime.errors import Terminal
from launcher.domain.host import Host
from launcher.domain.xml import tag


@dataclass(frozen=True)
class Source:
    """One disk's `<source>`."""

    format: str  # raw or qcow2
    path: str
    block: bool = False
    read_only: bool = False
    group: str | None = None  # the descriptors that libvirt was given for it, in place of a path

    @property
    def type(self) -> str:
        return "block" if self.block else "file"

    def element(self) -> Element:
        return tag("source", **{"dev" if self.block else "file": self.path, "fdgroup": self.group})


def plugged(volume: Volume, *, block: bool) -> Source:
    """A disk that comes to a running guest by a descriptor; its path only says what it is."""
    claim = volume.persistent_volume_claim
    path = f"/hotplug/{volume.name}"
    group = launcher.PLUGGED + volume.name
    return Source("raw", path, block=block, read_only=bool(claim and claim.read_only), group=group)


def source(volume: Volume, host: Host) -> Source:
    """What is behind a volume."""
    name = volume.name
    if volume.container_disk or volume.empty_disk:
        return Source("qcow2", launcher.disk_path(name))
    if volume.cloud_init_no_cloud or volume.cloud_init_config_drive:
        return Source("raw", launcher.disk_path(name), read_only=True)
    if volume.persistent_volume_claim or volume.data_volume:
        block = name in host.block_volumes
        path = launcher.device_path(name) if block else launcher.claim_path(name)
        claim = volume.persistent_volume_claim
        return Source("raw", path, block=block, read_only=bool(claim and claim.read_only))
    raise Terminal("NotSupported", f"spec.volumes: volume {name} has no source that hostler supports")
