"""What a worker is to do, as its pod carries it: JSON in HOSTLER_JOB, made by the controller, read by the worker."""

import os
from pathlib import Path
from typing import Literal

from hostler.api.meta import Model

ENV = "HOSTLER_JOB"

# Where the pod has things.
ROOT = Path(os.environ.get("HOSTLER_ROOT", "/"))  # another one where the worker is no pod
TARGET, SOURCE = ROOT / "target", ROOT / "source"  # a folder
TARGET_DEVICE, SOURCE_DEVICE = ROOT / "dev/target", ROOT / "dev/source"  # or a device
CREDENTIALS, AUTHORITIES, SCRATCH = ROOT / "credentials", ROOT / "authorities", ROOT / "scratch"

Kind = Literal["import", "blank", "clone", "upload"]


class Http(Model):
    """As in spec.source.http; credentials and authorities are mounted where the flags say so."""

    url: str
    checksum: str | None = None
    headers: tuple[str, ...] = ()
    insecure: bool = False
    thumbprint: str = ""  # of the certificate of the server that has an OVA
    credentials: bool = False
    authorities: bool = False


class VSphere(Model):
    """As in spec.source.vddk: a disk of a machine that is off; user and password are mounted."""

    url: str
    uuid: str
    file: str
    thumbprint: str = ""


class Job(Model):
    """One disk to make."""

    uid: str  # of the DataVolume
    claim: str = ""  # UID of the claim that the pod was made for
    kind: Kind
    size: int  # bytes of the disk, where the volume is a file system
    device: bool = False
    source_device: bool = False
    http: Http | None = None
    vsphere: VSphere | None = None
    upload_key: str | None = None  # a certificate (PEM): tokens of uploads are signed with its key

    def text(self) -> str:
        return self.model_dump_json(by_alias=True, exclude_defaults=True)

    @property
    def target(self) -> Path:
        return TARGET_DEVICE if self.device else TARGET

    @property
    def source(self) -> Path:
        return SOURCE_DEVICE if self.source_device else SOURCE
