"""Sources, machines and plans for tests."""

from typing import Any

from hostler.api.imports import ImportPlan, ImportSource, SourceDisk, SourceMachine, SourceNic
from tests.unit import make
from v2v import importsource

GIB = 2**30


def machine(name: str = "web", identity: str = "vm-1", **more: Any) -> SourceMachine:
    given = {
        "uuid": "56eabb11-0000-4000-8000-0000000000AA",
        "cpus": 4,
        "cores_per_socket": 2,
        "memory_mib": 2048,
        "power": "poweredOn",
        "disks": (SourceDisk(key="2000", file=f"[fast] {name}/{name}.vmdk", bytes=GIB, datastore="fast"),),
        "nics": (SourceNic(mac="00:50:56:AA:BB:CC", network="VM Network"),),
    }
    return SourceMachine(id=identity, name=name, **(given | more))


def source(*machines: SourceMachine, ready: bool = True, ova: bool = False, **meta: Any) -> ImportSource:
    where = {"ova": {"url": "https://web/x.ova"}}
    if not ova:
        where = {"vsphere": {"url": "https://vc/sdk", "secretRef": {"name": "vc"}, "thumbprint": "AB" * 32}}
    status = {
        "refreshed": make.ago(60),
        "conditions": make.conditions(Ready=ready),
        "machines": [each.model_dump(by_alias=True) for each in machines],
    }
    found = ImportSource.model_validate({"metadata": make.meta("vc", **meta), "spec": where, "status": status})
    return found.model_copy(update={"status": found.status.model_copy(update={"seen": importsource.request(found)})})


def plan(*vms: dict[str, str] | str, **spec: Any) -> ImportPlan:
    entries = [{"name": each} if isinstance(each, str) else each for each in vms]
    status = {"status": spec.pop("status")} if "status" in spec else {}
    body = {
        "metadata": make.meta(spec.pop("name", "move")),
        "spec": {"source": {"name": "vc"}, "vms": entries, **spec},
        **status,
    }
    return ImportPlan.model_validate(body)
