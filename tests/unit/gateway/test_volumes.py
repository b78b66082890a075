"""addvolume and removevolume: KubeVirt's answers, and the patch that is written."""

from typing import Any

import pytest

from gateway import volumes
from gateway.refusals import Refusal
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from tests.unit import make

ROOT = {"name": "root", "emptyDisk": {"capacity": "1Gi"}}
DATA = {"name": "data", "persistentVolumeClaim": {"claimName": "data", "hotpluggable": True}}


def vm(*sources: Any) -> Any:
    disks = [{"name": each["name"], "disk": {"bus": "scsi"}} for each in sources]
    return make.vm(spec={"domain": {"devices": {"disks": disks}}, "volumes": list(sources)})


def options(**more: Any) -> dict[str, Any]:
    return {"name": "data", "disk": {}, "volumeSource": {"persistentVolumeClaim": {"claimName": "data"}}} | more


def ops(writes: Any) -> list[dict[str, Any]]:
    (write,) = writes
    assert write.subresource is None
    return [op for op in write.ops if op["op"] != "test"]


def test_a_volume_is_added_to_the_template() -> None:
    found = ops(volumes.add(vm(ROOT), options(disk={"serial": "s"})))
    assert found == [
        {"op": "add", "path": "/spec/template/spec/volumes/-", "value": DATA},
        {
            "op": "add",
            "path": "/spec/template/spec/domain/devices/disks/-",
            "value": {"name": "data", "serial": "s", "disk": {"bus": "scsi"}},
        },
    ]


def test_the_first_volume() -> None:
    found = ops(volumes.add(vm(), options()))
    assert found[0] == {"op": "add", "path": "/spec/template/spec/volumes", "value": [DATA]}


def test_a_volume_is_added_to_an_instance_without_a_machine() -> None:
    found = ops(volumes.add(make.vmi(), options(volumeSource={"dataVolume": {"name": "dv"}}, disk={"disk": {}})))
    assert found[0]["path"] == "/spec/volumes"
    assert found[0]["value"] == [{"name": "data", "dataVolume": {"name": "dv", "hotpluggable": True}}]
    assert found[1]["value"][0]["disk"] == {"bus": "scsi"}


def test_a_name_is_free_when_the_guest_has_let_the_old_disk_go() -> None:
    body = make.vmi().model_dump(mode="json", by_alias=True, exclude_unset=True)
    body["status"]["volumeStatus"] = [{"name": "data", "target": "sda", "phase": "Detaching"}]
    held = VirtualMachineInstance.read(body)
    with pytest.raises(Refusal, match="is still being removed") as refused:
        volumes.add(held, options())
    assert refused.value.code == 409


def test_a_volume_is_removed_with_its_disk() -> None:
    found = [op["path"] for op in ops(volumes.remove(vm(ROOT, DATA), {"name": "data"}))]
    assert found == ["/spec/template/spec/volumes/1", "/spec/template/spec/domain/devices/disks/1"]


@pytest.mark.parametrize(
    ("call", "code", "text"),
    [
        pytest.param(lambda: volumes.add(vm(), options(name="")), 400, "requires name to be set", id="no name"),
        pytest.param(
            lambda: volumes.add(vm(), options(volumeSource=None)), 400, "VolumeSource to not be nil", id="no source"
        ),
        pytest.param(lambda: volumes.add(vm(), options(volumeSource={})), 400, "volumeSource must be", id="no way"),
        pytest.param(lambda: volumes.add(vm(), {"name": "data"}), 400, "requires disk to not be nil", id="no disk"),
        pytest.param(lambda: volumes.add(vm(), options(disk=7)), 400, "requires disk", id="nonsense"),
        pytest.param(
            lambda: volumes.add(vm(DATA), options()), 409,
            "Unable to add volume [data] because volume with that name already exists", id="twice",
        ),
        pytest.param(lambda: volumes.remove(vm(), {}), 400, "requires name to be set", id="no name to go"),
        pytest.param(
            lambda: volumes.remove(vm(), {"name": "x"}), 409,
            "Unable to remove volume [x] because it does not exist", id="unknown",
        ),
        pytest.param(
            lambda: volumes.remove(vm(ROOT), {"name": "root"}), 409,
            "Unable to remove volume [root] because it is not hotpluggable", id="fixed",
        ),
        pytest.param(lambda: volumes.add(make.vm_vmi(), options()), 400, "belongs to VirtualMachine web", id="of a VM"),
    ],
)  # fmt: skip
def test_refusals(call: Any, code: int, text: str) -> None:
    with pytest.raises(Refusal) as refused:
        call()
    assert refused.value.code == code
    assert text in str(refused.value)
