"""The claim of a DataVolume: what it asks for, and how large the disk on it is."""

from typing import Any

from hostler.api import cdi, quantity
from hostler.api.cdi import DataVolume
from hostler.api.meta import Model
from hostler.api.objects import PersistentVolumeClaim
from hostler.runtime.errors import Terminal
from hostler.runtime.plan import owner_reference
from hostler.runtime.protocol import Raw
from v2v.sources import source_kind

MIB = 1 << 20
PROFILE = "FromStorageProfile"


def manifest(volume: DataVolume, overhead: float, source: PersistentVolumeClaim | None) -> Raw:
    """The PersistentVolumeClaim; a clone without a size of its own gets its source's."""
    form, spec = template(volume)
    modes = spec.get("accessModes") or ["ReadWriteOnce"]
    mode = spec.get("volumeMode")
    asked = requested(volume, source)
    if form == "storage" and mode != "Block" and explicit(spec) is not None:
        asked = with_overhead(asked, overhead)
    resources = spec.get("resources") or {}
    requests = {**(resources.get("requests") or {}), "storage": str(asked)}
    kept = {key: value for key, value in spec.items() if key != "volumeMode" or value != PROFILE}
    body = kept | {"accessModes": modes, "resources": resources | {"requests": requests}}
    return {"metadata": metadata(volume), "spec": body}


def metadata(volume: DataVolume) -> Raw:
    meta = volume.metadata
    return {
        "name": meta.name,
        "namespace": meta.namespace,
        "labels": meta.labels | {"app": "containerized-data-importer", "app.kubernetes.io/managed-by": "hostler"},
        "annotations": annotations(volume),
        "ownerReferences": [owner_reference(volume)],
    }


def annotations(volume: DataVolume) -> dict[str, str]:
    """What clients look for on the claim from its beginning."""
    kind, source = source_kind(volume), volume.spec.source
    said = {cdi.CONTENT_TYPE: "kubevirt", cdi.POD_PHASE: "Pending"}
    if kind == "upload":
        return said | {cdi.UPLOAD_TARGET: ""}
    if source is not None and source.http is not None:
        return said | {cdi.IMPORT_SOURCE: "http", cdi.IMPORT_ENDPOINT: source.http.url}
    if source is not None and source.vddk is not None:
        return said | {cdi.IMPORT_SOURCE: "vddk", cdi.IMPORT_ENDPOINT: source.vddk.url or ""}
    return said | ({cdi.IMPORT_SOURCE: "none"} if kind == "blank" else {})


def template(volume: DataVolume) -> tuple[str, Raw]:
    """("pvc" or "storage", what it says)."""
    pvc = volume.spec.pvc
    return ("pvc", plain(pvc)) if pvc is not None else ("storage", plain(volume.spec.storage))


def requested(volume: DataVolume, source: PersistentVolumeClaim | None = None) -> int:
    """Bytes that the user asks for."""
    form, spec = template(volume)
    asked = explicit(spec)
    if asked is None:
        if source is not None:
            return source.size
        raise Terminal("ErrClaimNotValid", f"spec.{form}.resources.requests.storage: say how large the disk is, as 5Gi")
    try:
        size = quantity.whole(asked)
    except ValueError as error:
        raise Terminal("ErrClaimNotValid", f"spec.{form}.resources.requests.storage: {error}") from error
    if size < MIB:
        raise Terminal("ErrClaimNotValid", f"spec.{form}.resources.requests.storage: must be at least 1Mi")
    return size


def disk_size(volume: DataVolume, claim: PersistentVolumeClaim, overhead: float) -> int:
    """Bytes of the disk on the claim, where it is a file system: what was asked for, or what the claim leaves."""
    left = int(claim.size * (1 - overhead)) // MIB * MIB
    form, spec = template(volume)
    return min(requested(volume), left) if form == "storage" and explicit(spec) is not None else left


def explicit(spec: Raw) -> str | float | None:
    """The size as the user wrote it."""
    asked: str | float | None = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    return asked


def with_overhead(size: int, overhead: float) -> int:
    """Bytes of a file system that has room for a disk of `size`."""
    return -int(-size / (1 - overhead) // MIB) * MIB


def plain(model: Model | None) -> dict[str, Any]:
    """As it was given."""
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True) if model else {}
