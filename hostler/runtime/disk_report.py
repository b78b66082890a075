"""What a worker says of its disk: an annotation of the DataVolume, renewed as long as the worker lives.

The controller, and the gateway that passes uploads on, read it as what a stranger says: whoever may write the
DataVolume could have written it.
"""

from datetime import datetime
from typing import Literal

from pydantic import Field, ValidationError

from hostler.api.meta import Model
from hostler.runtime.conditions import parse, stamp

ANNOTATION = "hostler.io/disk-worker"
LABEL, VALUE = "kubevirt.io", "hostler-disk-worker"  # of workers' pods
UPLOAD_PORT = 8443
LONGEST, LONGEST_MESSAGE = 4096, 1000  # characters

State = Literal["working", "ready", "done", "failed"]


class Report(Model):
    """`pod` is the UID of the worker's pod, `at` when it said so."""

    uid: str = ""  # of the DataVolume: a copied object brings its annotations along
    claim: str = ""  # UID of the claim that the disk is made on: a new one has nothing of it
    pod: str = ""
    at: str = ""
    state: State = "working"
    percent: float | None = Field(None, ge=0, le=100)
    doing: str = ""
    reason: str = ""
    message: str = ""
    raw: bool = False  # the offset is that of the disk, too: another worker can go on from it
    offset: int = Field(0, ge=0)
    validator: str = ""
    total: int | None = Field(None, ge=0)
    fingerprint: str = ""  # SHA-256 of the certificate that the upload server shows

    @property
    def final(self) -> bool:
        return self.state in ("done", "failed")

    @property
    def time(self) -> datetime:
        return parse(self.at)

    def text(self, now: datetime) -> str:
        """The annotation."""
        said = self.model_copy(update={"at": stamp(now), "message": self.message[:LONGEST_MESSAGE]})
        return said.model_dump_json(by_alias=True, exclude_defaults=True)


def read(annotations: dict[str, str], uid: str) -> Report | None:
    """The worker's last word about the DataVolume of this UID; None if there is none, or none that makes sense."""
    text = annotations.get(ANNOTATION, "")
    if not text or len(text) > LONGEST:
        return None
    try:
        report = Report.model_validate_json(text)
        _ = report.time
    except (ValidationError, ValueError):
        return None
    return report if report.uid == uid else None
