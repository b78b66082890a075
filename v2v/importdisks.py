"""Whose disks have the names that an import needs: its own, or strangers', which it must not touch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hostler.api.cdi import DataVolume
from hostler.api.imports import ImportPlan
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.meta import OwnerReference, Resource
from hostler.api.objects import PersistentVolumeClaim
from hostler.runtime.store import Key, Store

MARK = "import.hostler.io/plan-uid"  # annotation of a VirtualMachine: the plan that made it
OWNERS: dict[str, type[Resource]] = {each.kind(): each for each in (ImportPlan, DataVolume, VirtualMachine)}


@dataclass(frozen=True)
class Stranger:
    """A volume or claim that is not the plan's."""

    kind: str
    name: str
    plan: str = ""  # that it is of, if it is another one's
    going: bool = False  # soon its name is free

    def __str__(self) -> str:
        if self.plan:
            return (
                f"there is a {self.kind} {self.name!r} of ImportPlan {self.plan!r}: delete that plan, or set targetName"
            )
        return f"there is a {self.kind} {self.name!r} already, which is not this import's: delete it, or set targetName"


def volume_name(target: str, number: int) -> str:
    """The DataVolume of a machine's disk, counted from 0."""
    return f"{target}-disk{number}"


def names(store: Store, plan: ImportPlan) -> set[str]:
    """Of the plan's disks; of all that there are, as long as nobody knows which disks it will have."""
    if plan.status and plan.status.vms:
        return {disk.name for each in plan.status.vms for disk in each.disks}
    namespace = plan.metadata.namespace
    return {*store.names(DataVolume, namespace), *store.names(PersistentVolumeClaim, namespace)}


def own(store: Store, plan: ImportPlan) -> dict[str, DataVolume]:
    """The plan's volumes: a name is not enough."""
    meta = plan.metadata
    made = (each.metadata.uid for each in store.within(VirtualMachine, meta.namespace) if made_by(plan, each))
    owners = {meta.uid, *made}
    found = (store.get(DataVolume, (meta.namespace, name)) for name in names(store, plan))
    return {
        each.metadata.name: each
        for each in found
        if each is not None and owners & {ref.uid for ref in each.metadata.owner_references}
    }


def made_by(plan: ImportPlan, machine: VirtualMachine) -> bool:
    return machine.metadata.annotations.get(MARK) == plan.metadata.uid


def strangers(store: Store, plan: ImportPlan, mine: Mapping[str, DataVolume]) -> dict[str, Stranger]:
    """What has the names of the plan's disks and is not among its volumes, nor a claim of one."""
    found = ((name, other(store, (plan.metadata.namespace, name), mine.get(name))) for name in names(store, plan))
    return {name: stranger(store, each) for name, each in found if each is not None}


def other(store: Store, key: Key, mine: DataVolume | None) -> Resource | None:
    volume, claim = store.get(DataVolume, key), store.get(PersistentVolumeClaim, key)
    if mine is None:
        return volume or claim
    ours = claim is None or mine.metadata.uid in (ref.uid for ref in claim.metadata.owner_references)
    return None if ours else claim


def stranger(store: Store, found: Resource) -> Stranger:
    meta = found.metadata
    plan = next((ref.name for ref in meta.owner_references if ref.kind == ImportPlan.kind()), "")
    return Stranger(found.kind(), meta.name, plan, going=going(store, found))


def going(store: Store, found: Resource) -> bool:
    """It is being deleted, or will be: the garbage collector has yet to hear that its owners are gone."""
    meta = found.metadata
    if meta.deletion_timestamp:
        return True
    return bool(meta.owner_references) and all(gone(store, meta.namespace, ref) for ref in meta.owner_references)


def gone(store: Store, namespace: str, owner: OwnerReference) -> bool:
    kind = OWNERS.get(owner.kind)
    if kind is None:
        return False
    found = store.get(kind, (namespace, owner.name))
    return found is None or found.metadata.uid != owner.uid or found.metadata.deletion_timestamp is not None


def in_the_way(found: Iterable[Stranger]) -> dict[str, str]:
    """Those that do not go by themselves: what to do about each name."""
    return {each.name: str(each) for each in found if not each.going}
