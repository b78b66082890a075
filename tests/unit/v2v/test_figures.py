"""What the controller of disks and imports tells Prometheus."""

from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry

from hostler.api.cdi import DataVolume
from hostler.api.imports import ImportPlan
from hostler.runtime import disk_report
from hostler.runtime.figures import shown
from hostler.runtime.store import Store
from tests.unit import make
from tests.unit.make import NOON, NS
from v2v import figures


def raw(obj: Any) -> Any:
    return obj.model_dump(mode="json", by_alias=True, exclude_unset=True)


def plan(*machines: Any) -> Any:
    spec = {"source": {"name": "old"}, "vms": [{"name": "web"}]}
    return ImportPlan.read({"metadata": make.meta("plan"), "spec": spec, "status": {"vms": list(machines)}})


def machine(phase: str, **more: Any) -> Any:
    disks = [{"name": "d", "file": "f", "total": 100, "bytes": 40}]
    return {"name": "web", "phase": phase, "disks": disks} | more


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("hostler_datavolumes", {"phase": "ImportInProgress"}, 2),
        ("hostler_datavolumes", {"phase": ""}, 1),
        ("kubevirt_cdi_datavolume_pending", {}, 1),
        ("kubevirt_cdi_import_pods_high_restart", {}, 1),
        ("kubevirt_cdi_clone_pods_high_restart", {}, 0),
        ("hostler_import_machines", {"phase": "Copying"}, 1),
        ("hostler_import_disk_bytes", {"namespace": NS, "plan": "plan"}, 40),
        ("hostler_import_disk_total_bytes", {"namespace": NS, "plan": "plan"}, 100),
    ],
)
def test_figures(name: str, labels: dict[str, str], value: float) -> None:
    store, registry = Store(), CollectorRegistry()
    store.observe(DataVolume, raw(make.data_volume("a", "ImportInProgress", status={"restartCount": 3})))
    store.observe(DataVolume, raw(make.data_volume("b", "ImportInProgress")))
    store.observe(DataVolume, raw(make.data_volume("c")))
    store.observe(ImportPlan, raw(plan(machine("Copying"))))
    with shown(store, figures.FIGURES, registry):
        assert registry.get_sample_value(name, labels) == value


def disk(phase: str, offset: int = 0) -> Any:
    said = disk_report.Report(uid="uid-data", pod="p", offset=offset, raw=True).text(NOON)
    return make.data_volume("data", phase, annotations={disk_report.ANNOTATION: said})


RUNNING, DONE = "ImportInProgress", "Succeeded"


@pytest.mark.parametrize(
    ("old", "new", "name", "labels", "by"),
    [
        (disk(RUNNING), disk(DONE), "hostler_datavolume_finished_total", {"source": "import", "result": DONE}, 1),
        (disk(DONE), disk(DONE), "hostler_datavolume_finished_total", {"source": "import", "result": DONE}, 0),
        (None, disk(DONE), "hostler_datavolume_finished_total", {"source": "import", "result": DONE}, 0),
        (disk(RUNNING), disk(DONE), "hostler_datavolume_seconds_count", {"source": "import", "result": DONE}, 1),
        (disk(RUNNING, 10), disk(RUNNING, 70), "hostler_datavolume_read_bytes_total", {"source": "import"}, 60),
        (disk(RUNNING, 70), disk(RUNNING, 0), "hostler_datavolume_read_bytes_total", {"source": "import"}, 0),
        (plan(machine("Copying")), plan(machine("Failed")), "hostler_import_finished_total", {"result": "Failed"}, 1),
        (plan(machine("Failed")), plan(machine("Failed")), "hostler_import_finished_total", {"result": "Failed"}, 0),
        (
            plan(machine("Creating")),
            plan(machine(DONE, started=make.ago(90), completed=make.ago(20))),
            "hostler_import_seconds_sum",
            {"result": DONE},
            70,
        ),
    ],
)
def test_what_happened(old: Any, new: Any, name: str, labels: dict[str, str], by: float) -> None:
    before = REGISTRY.get_sample_value(name, labels) or 0
    figures.heard(type(new), old, new)
    assert (REGISTRY.get_sample_value(name, labels) or 0) - before == by
