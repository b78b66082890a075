"""What the simulator holds: virtual machines as `inventory.yaml` tells them."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

MIB = 2**20


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Disk(Part):
    """One disk: `file` is the flat file with its bytes, below the folder of its datastore."""

    file: str
    datastore: str = "datastore1"
    mode: str = "persistent"
    rdm: bool = False

    @property
    def descriptor(self) -> str:
        """The name that the vSphere API has for it: that of the small text file which a real datastore has beside."""
        return self.file.removesuffix("-flat.vmdk").removesuffix(".vmdk") + ".vmdk"


class Nic(Part):
    mac: str
    network: str = "VM Network"
    model: Literal["VirtualVmxnet3", "VirtualE1000"] = "VirtualVmxnet3"


class Machine(Part):
    """One virtual machine, as its configuration says."""

    name: str
    id: str
    uuid: str
    cpus: int = 1
    cores_per_socket: int = 1
    memory_mib: int = 512
    firmware: Literal["bios", "efi"] = "bios"
    guest_id: str = "debian12_64Guest"
    guest_name: str = "Debian GNU/Linux 12 (64-bit)"
    hostname: str | None = None
    power: Literal["poweredOn", "poweredOff", "suspended"] = "poweredOn"
    tools: bool = True
    snapshot: bool = False
    template: bool = False
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()


class Inventory(Part):
    """Everything in one data centre."""

    datacenter: str = "DC0"
    host: str = "esx1"
    machines: tuple[Machine, ...] = Field(default=())


def load(folder: Path) -> Inventory:
    """Read `inventory.yaml` of a folder."""
    return Inventory.model_validate(yaml.safe_load((folder / "inventory.yaml").read_text()))
