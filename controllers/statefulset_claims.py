"""The disks of a stateful set's ordinals: made when there are none; kept, or gone with the ordinal or the set. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from controllers import statefulset_identity as identity
from hostler.api.apps import VirtualMachineStatefulSet as StatefulSet
from hostler.api.cdi import DataVolume
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.meta import ObjectMeta, OwnerReference
from hostler.api.objects import PersistentVolumeClaim
from hostler.runtime.plan import Create, Patch
from hostler.runtime.protocol import Raw


@dataclass(frozen=True)
class Disks:
    """What there is of them, by name."""

    claims: Mapping[str, PersistentVolumeClaim] = field(default_factory=dict)
    volumes: Mapping[str, DataVolume] = field(default_factory=dict)

    def holder(self, name: str) -> PersistentVolumeClaim | DataVolume | None:
        """Who decides whether a disk goes: its DataVolume, or the claim where there is none."""
        return self.volumes.get(name) or self.claims.get(name)


def names(stateful_set: StatefulSet, number: int) -> list[str]:
    """Of the disks of one ordinal."""
    return [identity.claim(disk, stateful_set, number) for disk in identity.disk_names(stateful_set)]


def missing(stateful_set: StatefulSet, number: int, disks: Disks) -> Iterator[Create]:
    """Claims and DataVolumes of an ordinal that are not there; one that is there is taken as it is."""
    spec, meta = stateful_set.spec, stateful_set.metadata
    for kind, templates in (
        (PersistentVolumeClaim, spec.volume_claim_templates),
        (DataVolume, spec.data_volume_templates),
    ):
        for template in templates:
            if template.metadata is None:
                continue
            name = identity.claim(template.metadata.name, stateful_set, number)
            if name in disks.claims or name in disks.volumes:
                continue
            metadata: Raw = {
                "name": name,
                "namespace": meta.namespace,
                "labels": dict(template.metadata.labels) | dict(spec.selector.match_labels),
                "annotations": dict(template.metadata.annotations),
            }
            if goes_with_set(stateful_set):
                metadata["ownerReferences"] = [reference(stateful_set)]
            body = template.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
            yield Create(kind, {"metadata": metadata, "spec": body})


def leaving(stateful_set: StatefulSet, number: int, disks: Disks) -> bool:
    """A disk of the ordinal is about to go, with the guest that had it: the next one waits for a fresh one."""
    for name in names(stateful_set, number):
        holder = disks.holder(name)
        if holder and (holder.metadata.deletion_timestamp or any(map(is_guest, holder.metadata.owner_references))):
            return True
    return False


def is_guest(owner: OwnerReference) -> bool:
    return owner.kind == VMI.kind()


def ownership(stateful_set: StatefulSet, vmi: VMI, number: int, disks: Disks) -> Iterator[Patch]:
    """Who the disks of a guest's ordinal go with, as the retention policy has it."""
    condemned = number not in identity.numbers(stateful_set)
    wanted: list[Raw] = []
    if condemned and goes_with_guest(stateful_set):
        wanted = [reference(vmi)]
    elif goes_with_set(stateful_set):
        wanted = [reference(stateful_set)]
    for name in names(stateful_set, number):
        holder = disks.holder(name)
        if holder is None:
            continue
        ours = {stateful_set.metadata.uid, vmi.metadata.uid}
        known = [written(each) for each in holder.metadata.owner_references]
        change = [each for each in known if each["uid"] not in ours] + wanted
        if {each["uid"] for each in change} != {each["uid"] for each in known}:
            yield Patch(holder, {"metadata": {"ownerReferences": change}}, "retain")


def goes_with_set(stateful_set: StatefulSet) -> bool:
    policy = stateful_set.spec.persistent_volume_claim_retention_policy
    return policy is not None and policy.when_deleted == "Delete"


def goes_with_guest(stateful_set: StatefulSet) -> bool:
    policy = stateful_set.spec.persistent_volume_claim_retention_policy
    return policy is not None and policy.when_scaled == "Delete"


def written(owner: OwnerReference) -> Raw:
    return owner.model_dump(by_alias=True, exclude_unset=True)


def reference(owner: StatefulSet | VMI) -> Raw:
    """Not a controller: the disk is nobody's to change, only to go with."""
    meta: ObjectMeta = owner.metadata
    return {"apiVersion": owner.group_version, "kind": owner.kind(), "name": meta.name, "uid": meta.uid}
