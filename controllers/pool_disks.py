"""The disks of a pool's VMs: let go before their VM is gone if they are to stay, and taken again by the next. Pure.

A disk is a DataVolume, or the claim where there is none: claims go with the DataVolume that made them.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field

from controllers import pool_index, vm_disks
from hostler.api.cdi import DataVolume
from hostler.api.kubevirt.pool import KEPT, VirtualMachinePool
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.objects import PersistentVolumeClaim
from hostler.runtime.plan import Patch, owner_reference

Disk = DataVolume | PersistentVolumeClaim


@dataclass(frozen=True)
class Disks:
    """What there is of them, by name."""

    claims: Mapping[str, PersistentVolumeClaim] = field(default_factory=dict)
    volumes: Mapping[str, DataVolume] = field(default_factory=dict)
    held: Set[str] = frozenset()  # names of those that belong to a VM that lives

    def named(self, name: str) -> Iterator[Disk]:
        if volume := self.volumes.get(name):
            yield volume
        if claim := self.claims.get(name):
            yield claim


def names(vm: VirtualMachine) -> tuple[str, ...]:
    """Every disk that may be the VM's."""
    return vm_disks.names(vm)


def of(vm: VirtualMachine, disks: Disks) -> Iterator[Disk]:
    """Those that go with the VM."""
    for name in names(vm):
        for disk in disks.named(name):
            owner = disk.metadata.controller
            if owner is not None and owner.uid == vm.metadata.uid:
                yield disk


def let_go(pool: VirtualMachinePool, vm: VirtualMachine, disks: Disks) -> Iterator[Patch]:
    """So that they outlive the VM. One that cannot be filled is no loss."""
    for disk in of(vm, disks):
        if disk.metadata.deletion_timestamp or (isinstance(disk, DataVolume) and vm_disks.fails(disk)):
            continue
        owners = [each for each in disk.metadata.owner_references if each.uid != vm.metadata.uid]
        left = [each.model_dump(by_alias=True, exclude_unset=True) for each in owners]
        yield Patch(disk, {"metadata": {"ownerReferences": left, "annotations": {KEPT: pool.metadata.name}}}, "keep")


def take_again(pool: VirtualMachinePool, vm: VirtualMachine, disks: Disks) -> Iterator[Patch]:
    """What the pool has let go, and nobody else's disks: a user may have laid some there."""
    for name in names(vm):
        for disk in disks.named(name):
            meta = disk.metadata
            if meta.annotations.get(KEPT) != pool.metadata.name or meta.controller or meta.deletion_timestamp:
                continue
            owners = [each.model_dump(by_alias=True, exclude_unset=True) for each in meta.owner_references]
            change = {"ownerReferences": [*owners, owner_reference(vm)], "annotations": {KEPT: None}}
            yield Patch(disk, {"metadata": change}, "take again")


def leaving(pool: VirtualMachinePool, number: int, disks: Disks) -> bool:
    """A disk of the index is about to go, with the VM that had it: the next VM waits, or it would take that one."""
    found = (disk for name in pool_index.disk_names(pool, number) for disk in disks.named(name))
    return any(disk.metadata.deletion_timestamp or is_of_vm(disk) for disk in found)


def is_of_vm(disk: Disk) -> bool:
    owner = disk.metadata.controller
    return owner is not None and owner.kind == VirtualMachine.kind()


def elsewhere(pool: VirtualMachinePool, number: int, disks: Disks) -> bool:
    """A VM that is none of this index has a disk of its name: the index is not to be had."""
    return any(name in disks.held for name in pool_index.disk_names(pool, number))
