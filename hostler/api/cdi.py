"""cdi.kubevirt.io/v1beta1: DataVolume, a claim and how it gets its content; and the request for an upload token."""

from typing import Annotated

from pydantic import Field

from hostler.api.core import (
    AccessMode,
    PersistentVolumeClaimSpec,
    TypedLocalObjectReference,
    TypedObjectReference,
    VolumeMode,
    VolumeResourceRequirements,
)
from hostler.api.meta import Condition, Int32, LabelSelector, Model, NullableTime, Resource, one_of

# What clients (virtctl, the VM controller, backup tools) read of a DataVolume and of its claim.
PREFIX = "cdi.kubevirt.io"
BIND_IMMEDIATE = f"{PREFIX}/storage.bind.immediate.requested"
POD_PHASE = f"{PREFIX}/storage.pod.phase"
POD_READY = f"{PREFIX}/storage.pod.ready"
POD_RESTARTS = f"{PREFIX}/storage.pod.restarts"
POPULATED_FOR = f"{PREFIX}/storage.populatedFor"
IMPORT_SOURCE = f"{PREFIX}/storage.import.source"
IMPORT_ENDPOINT = f"{PREFIX}/storage.import.endpoint"
UPLOAD_TARGET = f"{PREFIX}/storage.upload.target"
CONTENT_TYPE = f"{PREFIX}/storage.contentType"

SUCCEEDED, FAILED = "Succeeded", "Failed"
PHASES = (
    "",
    "Pending",
    "PVCBound",
    "ImportScheduled",
    "ImportInProgress",
    "CloneScheduled",
    "CloneInProgress",
    "SnapshotForSmartCloneInProgress",
    "CloneFromSnapshotSourceInProgress",
    "SmartClonePVCInProgress",
    "CSICloneInProgress",
    "ExpansionInProgress",
    "NamespaceTransferInProgress",
    "UploadScheduled",
    "UploadReady",
    "WaitForFirstConsumer",
    "PendingPopulation",
    SUCCEEDED,
    FAILED,
    "Unknown",
    "Paused",
    "PrepClaimInProgress",
    "RebindInProgress",
)


class DataVolumeBlankImage(Model):
    """Present or absent; it has no fields."""


class DataVolumeCheckpoint(Model):
    current: str
    previous: str


class DataVolumeSourceGCS(Model):
    url: str
    secret_ref: str | None = None


class DataVolumeSourceHTTP(Model):
    url: str
    cert_config_map: str | None = None
    checksum: str | None = None  # of the bytes as they are served: "sha256:..."
    extra_headers: tuple[str, ...] = ()
    insecure_skip_verify: bool | None = None
    secret_extra_headers: tuple[str, ...] = ()
    secret_ref: str | None = None


class DataVolumeSourceImageIO(Model):
    disk_id: str
    url: str
    cert_config_map: str | None = None
    insecure_skip_verify: bool | None = None
    secret_ref: str | None = None


class DataVolumeSourcePVC(Model):
    name: str
    namespace: str


class DataVolumeSourceRef(Model):
    kind: str
    name: str
    namespace: str | None = None


class PlatformOptions(Model):
    architecture: str | None = None


class DataVolumeSourceRegistry(Model):
    cert_config_map: str | None = None
    image_stream: str | None = None
    platform: PlatformOptions | None = None
    pull_method: str | None = None
    secret_ref: str | None = None
    url: str | None = None


class DataVolumeSourceS3(Model):
    url: str
    cert_config_map: str | None = None
    secret_ref: str | None = None


class DataVolumeSourceSnapshot(Model):
    name: str
    namespace: str


class DataVolumeSourceUpload(Model):
    """Present or absent; it has no fields."""


class DataVolumeSourceVDDK(Model):
    backing_file: str | None = None
    extra_args: str | None = None
    init_image_url: str | None = Field(None, alias="initImageURL")
    secret_ref: str | None = None
    thumbprint: str | None = None
    url: str | None = None
    uuid: str | None = None


class DataVolumeSpecSource(Model):
    blank: DataVolumeBlankImage | None = None
    gcs: DataVolumeSourceGCS | None = None
    http: DataVolumeSourceHTTP | None = None
    imageio: DataVolumeSourceImageIO | None = None
    pvc: DataVolumeSourcePVC | None = None
    registry: DataVolumeSourceRegistry | None = None
    s3: DataVolumeSourceS3 | None = None
    snapshot: DataVolumeSourceSnapshot | None = None
    upload: DataVolumeSourceUpload | None = None
    vddk: DataVolumeSourceVDDK | None = None


class StorageSpec(Model):
    access_modes: tuple[AccessMode, ...] = ()
    data_source: TypedLocalObjectReference | None = None
    data_source_ref: TypedObjectReference | None = None
    resources: VolumeResourceRequirements | None = None
    selector: LabelSelector | None = None
    storage_class_name: str | None = None
    volume_mode: VolumeMode | None = None
    volume_name: str | None = None


class DataVolumeSpec(Model):
    checkpoints: tuple[DataVolumeCheckpoint, ...] = ()
    content_type: str | None = None
    final_checkpoint: bool | None = None
    preallocation: bool | None = None
    priority_class_name: str | None = None
    service_account_name: str | None = None
    pvc: PersistentVolumeClaimSpec | None = None
    source: DataVolumeSpecSource | None = None
    source_ref: DataVolumeSourceRef | None = None
    storage: StorageSpec | None = None


class DataVolumeCondition(Condition):
    last_heartbeat_time: NullableTime = None


class DataVolumeStatus(Model):
    claim_name: str | None = None
    conditions: tuple[DataVolumeCondition, ...] = ()
    phase: Annotated[str, one_of(*PHASES)] | None = None
    progress: str | None = None  # "34.50%", or "N/A"
    restart_count: Int32 | None = None


class DataVolume(Resource):
    """A claim, and where the disk on it comes from."""

    group_version = "cdi.kubevirt.io/v1beta1"
    plural = "datavolumes"

    spec: DataVolumeSpec
    status: DataVolumeStatus | None = None

    @property
    def phase(self) -> str:
        """ "" as long as nobody has looked at it."""
        return (self.status and self.status.phase) or ""


class UploadTokenRequestSpec(Model):
    pvc_name: str


class UploadTokenRequestStatus(Model):
    token: str | None = None


class UploadTokenRequest(Resource):
    """Asked for by who wants to upload into a claim; it is answered, never stored."""

    group_version = "upload.cdi.kubevirt.io/v1beta1"
    plural = "uploadtokenrequests"

    spec: UploadTokenRequestSpec
    status: UploadTokenRequestStatus | None = None
