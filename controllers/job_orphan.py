"""Guests whose job is gone, deleted or told to let go of them: nobody will count them, so they need not wait for it."""

from collections.abc import Iterator
from datetime import datetime

from controllers.job_tally import let_go
from hostler.api.batch import TRACKING, VirtualMachineJob
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.meta import Resource
from hostler.runtime.plan import Controller, Failure, Plan
from hostler.runtime.store import Key, Store


def look(store: Store, vmi: VMI) -> VirtualMachineJob | None:
    """The job that will count it."""
    owner = vmi.metadata.controller
    job = owner and store.get(VirtualMachineJob, (vmi.metadata.namespace, owner.name))
    return job if job and owner and job.metadata.uid == owner.uid else None


def who_was_its(changed: Resource, store: Store) -> Iterator[Key]:
    """A job that goes concerns its guests: they may have been told to go before we heard of it."""
    if isinstance(changed, VirtualMachineJob):
        for vmi in store.owned(VMI, changed.metadata.uid) if gone(store, changed) else ():
            yield vmi.metadata.namespace, vmi.metadata.name


def gone(store: Store, job: VirtualMachineJob) -> bool:
    known = store.get(VirtualMachineJob, (job.metadata.namespace, job.metadata.name))
    return known is None or known.metadata.uid != job.metadata.uid or known.metadata.deletion_timestamp is not None


def plan(vmi: VMI, job: VirtualMachineJob | None, _now: datetime) -> Plan:
    """Only once it is being deleted, or belongs to nobody: else its job may just not have been seen yet."""
    hopeless = vmi.metadata.deletion_timestamp is not None or vmi.metadata.controller is None
    if TRACKING not in vmi.metadata.finalizers or not hopeless:
        return Plan()
    if job is not None and job.metadata.deletion_timestamp is None:
        return Plan()
    return Plan((let_go(vmi, "abandon"),))


def failed(_vmi: VMI, _plan: Plan, _failure: Failure, _now: datetime) -> Plan:
    return Plan()


CONTROLLER = Controller(
    name="job-orphan",
    parent=VMI,
    children=(),
    others=(VirtualMachineJob,),
    look=look,
    plan=plan,
    failed=failed,
    concerns=who_was_its,
    subresource=None,
    workers=2,
)
