"""What the manager tells Prometheus."""

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry

from controllers import metrics
from hostler.api.apps import VirtualMachineDeployment
from hostler.api.batch import VirtualMachineCronJob, VirtualMachineJob
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet as ReplicaSet
from hostler.api.objects import Node
from hostler.runtime.figures import shown
from hostler.runtime.store import Store
from tests.unit import make
from tests.unit.make import NS


def raw(obj: Any) -> Any:
    return obj.model_dump(mode="json", by_alias=True, exclude_unset=True)


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    """Some of everything, scraped."""
    store = Store()
    for name, phase in (("a", "Running"), ("b", "Running"), ("c", "Pending")):
        store.observe(VMI, raw(make.vmi(name, phase)))
    store.observe(VirtualMachine, raw(make.vm(status={"printableStatus": "ErrImagePull"})))
    for name, label in (("n1", "true"), ("n2", "false")):
        meta = make.meta(name, labels={"kubevirt.io/schedulable": label})
        store.observe(Node, {"metadata": meta})
    store.observe(ReplicaSet, raw(make.replica_set(3, status={"readyReplicas": 2})))
    owner = [{"apiVersion": "x/v1", "kind": "X", "name": "x", "uid": "x", "controller": True}]
    store.observe(ReplicaSet, raw(make.replica_set(3, "of-a-deployment", ownerReferences=owner)))
    store.observe(VirtualMachineDeployment, raw(make.workload(VirtualMachineDeployment, replicas=2)))
    done = {"conditions": make.conditions(Complete=True), "active": 0}
    store.observe(VirtualMachineJob, raw(make.job("one", status=done)))
    store.observe(VirtualMachineJob, raw(make.job("two", status={"active": 2})))
    store.observe(VirtualMachineJob, raw(make.job("three", status={"active": 1})))
    store.observe(VirtualMachineCronJob, raw(make.cron_job(status={"lastScheduleTime": "1970-01-01T00:01:00Z"})))
    store.observe(VirtualMachineCronJob, raw(make.cron_job("* * 31 2 *", "never")))
    store.observe(VirtualMachineCronJob, raw(make.cron_job("rubbish", "bad")))
    registry = CollectorRegistry()
    with shown(store, metrics.figures(whole=True), registry):
        yield registry


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("kubevirt_vmi_phase_count", {"node": "", "phase": "running"}, 2),
        ("kubevirt_vmi_phase_count", {"node": "", "phase": "pending"}, 1),
        ("kubevirt_number_of_vms", {"namespace": NS}, 1),
        ("kubevirt_allocatable_nodes", {}, 1),
        ("hostler_set_desired_guests", {"kind": "VirtualMachineInstanceReplicaSet", "namespace": NS, "name": "web"}, 3),
        ("hostler_set_ready_guests", {"kind": "VirtualMachineInstanceReplicaSet", "namespace": NS, "name": "web"}, 2),
        ("hostler_set_desired_guests", {"kind": "VirtualMachineDeployment", "namespace": NS, "name": "web"}, 2),
        ("hostler_set_ready_guests", {"kind": "VirtualMachineDeployment", "namespace": NS, "name": "web"}, 0),
        ("hostler_vmjobs", {"namespace": NS, "phase": "Complete"}, 1),
        ("hostler_vmjobs", {"namespace": NS, "phase": "Running"}, 2),
        ("hostler_vmjob_active_guests", {"namespace": NS}, 3),
        ("hostler_vmcronjob_last_run_timestamp_seconds", {"namespace": NS, "name": "tick"}, 60),
        ("hostler_vmcronjob_last_success_timestamp_seconds", {"namespace": NS, "name": "tick"}, None),
        ("hostler_vmcronjob_next_run_timestamp_seconds", {"namespace": NS, "name": "never"}, None),
        ("hostler_vmcronjob_next_run_timestamp_seconds", {"namespace": NS, "name": "bad"}, None),
    ],
)
def test_figures(registry: CollectorRegistry, name: str, labels: dict[str, str], value: float | None) -> None:
    assert registry.get_sample_value(name, labels) == value


def test_what_is_due(registry: CollectorRegistry) -> None:
    at = registry.get_sample_value("hostler_vmcronjob_next_run_timestamp_seconds", {"namespace": NS, "name": "tick"})
    assert at is not None
    assert at % 300 == 0, "every five minutes"


def test_a_set_of_a_deployment_is_told_by_that(registry: CollectorRegistry) -> None:
    labels = {"kind": "VirtualMachineInstanceReplicaSet", "namespace": NS, "name": "of-a-deployment"}
    assert registry.get_sample_value("hostler_set_desired_guests", labels) is None


def test_each_vm_and_vmi(registry: CollectorRegistry) -> None:
    vm = {"namespace": NS, "name": "web", "status": "errimagepull", "status_group": "error"}
    assert registry.get_sample_value("kubevirt_vm_info", vm) == 1
    guest = {"guest_os_name": "", "guest_os_version_id": "", "guest_os_kernel_release": ""}
    vmi = {"node": "", "namespace": NS, "name": "a", "phase": "running"} | guest
    assert registry.get_sample_value("kubevirt_vmi_info", vmi) == 1


def test_kubevirt_tells_of_its_own_kinds() -> None:
    assert not [each for each in metrics.figures(whole=False) if each.name.startswith("kubevirt_")]
    with grown("kubevirt_vmi_phase_transition_time_from_creation_seconds_count", {"phase": "Running"}, by=0):
        metrics.heard_of_ours(VMI, make.vmi(phase="Scheduled"), make.vmi(phase="Running"))


class grown:
    """A counter grows by so much within the block."""

    def __init__(self, name: str, labels: dict[str, str], by: float) -> None:
        self._name, self._labels, self._by = name, labels, by

    def _now(self) -> float:
        return REGISTRY.get_sample_value(self._name, self._labels) or 0

    def __enter__(self) -> None:
        self._before = self._now()

    def __exit__(self, *_: object) -> None:
        assert self._now() - self._before == self._by


def ended(kind: str, reason: str, **counts: int) -> Any:
    conditions = make.conditions(**{kind: (True, reason)})
    return make.job(status={"conditions": conditions, "startTime": make.ago(120)} | counts)


@pytest.mark.parametrize(
    ("old", "new", "name", "labels", "by"),
    [
        (
            make.job(),
            ended("Failed", "DeadlineExceeded"),
            "hostler_vmjob_finished_total",
            {"result": "Failed", "reason": "DeadlineExceeded"},
            1,
        ),
        (
            ended("Complete", "CompletionsReached"),
            ended("Complete", "CompletionsReached"),
            "hostler_vmjob_finished_total",
            {"result": "Complete", "reason": "CompletionsReached"},
            0,
        ),
        (
            None,
            ended("Complete", "CompletionsReached"),
            "hostler_vmjob_finished_total",
            {"result": "Complete", "reason": "CompletionsReached"},
            0,
        ),
        (make.job(), ended("Complete", "x"), "hostler_vmjob_seconds_sum", {"result": "Complete"}, 90),
        (
            make.job(status={"succeeded": 1}),
            make.job(status={"succeeded": 4}),
            "hostler_vmjob_guests_finished_total",
            {"result": "succeeded"},
            3,
        ),
        (
            make.cron_job(),
            make.cron_job(status={"lastScheduleTime": make.ago(5)}),
            "hostler_vmcronjob_runs_total",
            {},
            1,
        ),
        (None, make.vm(), "kubevirt_vm_created_total", {"namespace": NS}, 1),
        (None, make.vm(status={"printableStatus": "Running"}), "kubevirt_vm_created_total", {"namespace": NS}, 0),
        (
            make.vmi(phase="Scheduled"),
            make.vmi(phase="Running"),
            "kubevirt_vmi_phase_transition_time_from_creation_seconds_count",
            {"phase": "Running"},
            1,
        ),
        (
            make.vmi(phase="Running", dying=True),
            make.vmi(phase="Succeeded", dying=True),
            "kubevirt_vmi_phase_transition_time_from_deletion_seconds_count",
            {"phase": "Succeeded"},
            1,
        ),
    ],
)
def test_what_happened(old: Any, new: Any, name: str, labels: dict[str, str], by: float) -> None:
    with grown(name, labels, by):
        metrics.heard(type(new), old, new)
