"""Which VMIs can be moved, in KubeVirt's words."""

from typing import Any

import pytest

from controllers.migratable import verdict
from hostler.runtime.protocol import Raw
from tests.unit.make import claim, vmi

POD = [{"name": "default", "pod": {}}]


def spec(binding: str = "masquerade", **more: Any) -> Raw:
    nic = {"name": "default", binding: {}}
    return {"domain": {"devices": {"interfaces": [nic]}, "memory": {"guest": "128Mi"}}, "networks": POD} | more


def shared(mode: str) -> Any:
    found = claim()
    return found.model_copy(update={"spec": found.spec.model_copy(update={"access_modes": (mode,)})})


ON_CLAIM = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}


@pytest.mark.parametrize(
    ("seen", "claims", "expected"),
    [
        pytest.param(vmi(), {}, "True", id="nothing at all"),
        pytest.param(vmi(spec=spec()), {}, "True", id="masquerade"),
        pytest.param(vmi(spec=spec("bridge")), {}, "InterfaceNotLiveMigratable: cannot migrate VMI which", id="bridge"),
        pytest.param(vmi(spec=spec(**ON_CLAIM)), {"data": shared("ReadWriteMany")}, "True", id="a shared claim"),
        pytest.param(
            vmi(spec=spec(**ON_CLAIM)), {"data": shared("ReadWriteOnce")},
            "DisksNotLiveMigratable: cannot migrate VMI: PVC data is not shared, live migration requires that all PVCs "
            "must be shared (using ReadWriteMany access mode)", id="a claim of one node",
        ),
        pytest.param(
            vmi(spec=spec(volumes=[{"name": "root", "containerDisk": {"image": "i"}}])), {}, "True", id="an image"
        ),
    ],
)  # fmt: skip
def test_verdict(seen: Any, claims: Any, expected: str) -> None:
    assert verdict(seen, claims).startswith(expected)
