"""Which controllers run, as the chart's environment says."""

import pytest

from controllers.catalog import controllers
from controllers.settings import ManagerSettings
from hostler.runtime.manager import watched


@pytest.mark.parametrize(
    ("enabled", "names"),
    [
        pytest.param(
            "true",
            [
                "vmi",
                "job-orphan",
                "replicaset",
                "deployment",
                "daemonset",
                "statefulset",
                "vm",
                "pool",
                "job",
                "cronjob",
                "schedule",
            ],
            id="whole",
        ),
        pytest.param(
            "false",
            ["job-orphan", "replicaset", "deployment", "daemonset", "statefulset", "job", "cronjob", "schedule"],
            id="on top of KubeVirt",
        ),
    ],
)
def test_who_runs(enabled: str, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTLER_LAUNCHER_ENABLED", enabled)
    assert [each.name for each in controllers(ManagerSettings())] == names


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTLER_USE_EMULATION", "true")
    monkeypatch.setenv("HOSTLER_LAUNCHER_IMAGE", "registry/launcher:9")
    settings = ManagerSettings()
    assert (settings.use_emulation, settings.launcher_image) == (True, "registry/launcher:9")


def test_owners_are_listed_before_what_they_own() -> None:
    kinds = [kind.plural for kind in watched(controllers(ManagerSettings()))]
    owners = [
        "virtualmachineschedules",
        "virtualmachinecronjobs",
        "virtualmachinejobs",
        "virtualmachinepools",
        "virtualmachines",
        "virtualmachinestatefulsets",
        "virtualmachinedaemonsets",
        "virtualmachinedeployments",
        "virtualmachineinstancereplicasets",
        "virtualmachineinstances",
    ]
    assert kinds == [*owners, "controllerrevisions", "datavolumes", "persistentvolumeclaims", "nodes", "pods"]


def test_only_launcher_pods_are_watched() -> None:
    selectors = {kind.plural: labels for kind, labels in watched(controllers(ManagerSettings())).items()}
    assert selectors == {
        "virtualmachineschedules": "",
        "virtualmachinecronjobs": "",
        "virtualmachinejobs": "",
        "virtualmachinepools": "",
        "virtualmachines": "",
        "virtualmachinedaemonsets": "",
        "virtualmachinestatefulsets": "",
        "virtualmachinedeployments": "",
        "nodes": "",
        "controllerrevisions": "hostler.io/revision-of",
        "virtualmachineinstancereplicasets": "",
        "virtualmachineinstances": "",
        "pods": "kubevirt.io in (virt-launcher,hotplug-disk)",
        "persistentvolumeclaims": "",
        "datavolumes": "",
    }
