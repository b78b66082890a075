"""cdi.kubevirt.io/v1beta1: the DataVolume spec as dataVolumeTemplates embed it."""

from pydantic import Field

from hostler.api.core import (
    AccessMode,
    PersistentVolumeClaimSpec,
    TypedLocalObjectReference,
    TypedObjectReference,
    VolumeMode,
    VolumeResourceRequirements,
)
from hostler.api.meta import LabelSelector, Model


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
    extra_headers: tuple[str, ...] = ()
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
    pvc: PersistentVolumeClaimSpec | None = None
    source: DataVolumeSpecSource | None = None
    source_ref: DataVolumeSourceRef | None = None
    storage: StorageSpec | None = None
