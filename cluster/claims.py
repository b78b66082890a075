"""Claims and volumes of the class hostler-shared: what must be made for whom, and what may go."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from cluster.addons import PROVISIONER
from cluster.layout import CLUSTER_LABEL
from hostler.api import quantity
from hostler.api.meta import Model, Quantity, Resource
from hostler.runtime.protocol import Raw

ASKED = "volume.kubernetes.io/storage-provisioner"  # Kubernetes names us here when a claim is ours to serve
MADE = "pv.kubernetes.io/provisioned-by"
NAME = re.compile(r"pvc-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # nothing else is ever a folder of ours
BLOCK = "Block"


class Resources(Model):
    requests: dict[str, Quantity] = Field(default_factory=dict)


class ClaimSpec(Model):
    access_modes: tuple[str, ...] = ()
    resources: Resources = Resources()
    storage_class_name: str = ""
    volume_mode: str = "Filesystem"
    volume_name: str = ""
    data_source: Raw | None = None
    data_source_ref: Raw | None = None
    selector: Raw | None = None


class PersistentVolumeClaim(Resource):
    group_version = "v1"
    plural = "persistentvolumeclaims"

    spec: ClaimSpec = ClaimSpec()

    @property
    def volume(self) -> str:
        """The name of its volume: always the same, so that no claim ever gets two."""
        return f"pvc-{self.metadata.uid}"

    @property
    def size(self) -> int:
        return quantity.whole(self.spec.resources.requests.get("storage", 0))


class VolumeSpec(Model):
    capacity: dict[str, Quantity] = Field(default_factory=dict)
    persistent_volume_reclaim_policy: str = ""
    volume_mode: str = "Filesystem"


class VolumeStatus(Model):
    phase: str = ""


class PersistentVolume(Resource):
    group_version = "v1"
    plural = "persistentvolumes"

    spec: VolumeSpec = VolumeSpec()
    status: VolumeStatus = VolumeStatus()

    @property
    def ours(self) -> bool:
        named = bool(NAME.fullmatch(self.metadata.name))
        return named and self.metadata.annotations.get(MADE) == PROVISIONER

    @property
    def size(self) -> int:
        return quantity.whole(self.spec.capacity.get("storage", 0))

    @property
    def over(self) -> bool:
        """Its claim is gone, and its content with it."""
        return self.status.phase == "Released" and self.spec.persistent_volume_reclaim_policy == "Delete"


class StorageClass(Resource):
    group_version = "storage.k8s.io/v1"
    plural = "storageclasses"

    reclaim_policy: str = "Delete"


@dataclass(frozen=True)
class Make:
    """A volume for a claim."""

    claim: PersistentVolumeClaim


@dataclass(frozen=True)
class Remove:
    """A volume that nobody claims any more."""

    volume: PersistentVolume


@dataclass(frozen=True)
class Refuse:
    """A claim for something that there is not; its owner is told."""

    claim: PersistentVolumeClaim
    why: str


def plan(
    claims: Iterable[PersistentVolumeClaim], volumes: Iterable[PersistentVolume]
) -> tuple[Make | Remove | Refuse, ...]:
    """What is to be done now; nothing when all is well."""
    volumes = tuple(volumes)
    there = {volume.metadata.name for volume in volumes}
    waiting = [claim for claim in claims if waits(claim) and claim.volume not in there]
    answers = [Refuse(claim, why) if (why := unsupported(claim)) else Make(claim) for claim in waiting]
    return (*answers, *(Remove(volume) for volume in volumes if volume.ours and volume.over))


def waits(claim: PersistentVolumeClaim) -> bool:
    """Kubernetes asks us for its volume."""
    asked = claim.metadata.annotations.get(ASKED) == PROVISIONER
    return asked and not claim.spec.volume_name and claim.metadata.deletion_timestamp is None


def unsupported(claim: PersistentVolumeClaim) -> str:
    """Why it cannot have a volume; empty if it can."""
    if claim.spec.data_source or claim.spec.data_source_ref:
        return "spec.dataSource: volumes of this class begin empty"
    if claim.spec.selector:
        return "spec.selector: volumes of this class are made for their claim, there is nothing to select from"
    return ""


def volume_body(claim: PersistentVolumeClaim, path: Path, reclaim: str, cluster: str) -> Raw:
    """The PersistentVolume for a claim: a folder on every node, or a block device."""
    who = claim.metadata
    reference = {"apiVersion": "v1", "kind": claim.kind(), "namespace": who.namespace, "name": who.name, "uid": who.uid}
    spec: Raw = {
        "capacity": {"storage": claim.spec.resources.requests["storage"]},
        "accessModes": list(claim.spec.access_modes),
        "volumeMode": claim.spec.volume_mode,
        "storageClassName": claim.spec.storage_class_name,
        "persistentVolumeReclaimPolicy": reclaim,
        "claimRef": reference,
    }
    if claim.spec.volume_mode == BLOCK:
        spec |= {"local": {"path": str(path)}, "nodeAffinity": _on(cluster)}
    else:
        spec["hostPath"] = {"path": str(path), "type": "Directory"}
    return {"metadata": {"name": claim.volume, "annotations": {MADE: PROVISIONER}}, "spec": spec}


def _on(cluster: str) -> Raw:
    """A local volume must say on which nodes it is; all of this cluster see the same device."""
    ours = {"key": CLUSTER_LABEL, "operator": "In", "values": [cluster]}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [ours]}]}}
