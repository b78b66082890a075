"""What the machine of a disk must be while the disk is copied."""

import pytest

from hostler.api.imports import SourceDisk
from hostler.runtime.errors import Terminal
from tests.unit.v2v import made
from v2v.vmware import capacity
from v2v.vsphere import inventory

FILE = "[fast] web/web.vmdk"
DELTA = "[fast] web/web-000001.vmdk"


def disk(file: str, **more: str) -> SourceDisk:
    return SourceDisk(key="2000", file=file, bytes=made.GIB, **more)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param({}, made.GIB, id="as it was"),
        pytest.param({"disks": (disk("[fast] web/other.vmdk"), disk(FILE))}, made.GIB, id="one more disk"),
        pytest.param({"concerns": ("it has a virtual TPM",)}, made.GIB, id="what says nothing of its disks"),
        pytest.param({"concerns": (inventory.SNAPSHOTS,)}, "NotImportable", id="the file is frozen by a snapshot"),
        pytest.param(
            {"disks": (disk(DELTA),), "concerns": (inventory.SNAPSHOTS,)}, "NotImportable", id="the cause goes first"
        ),
        pytest.param({"disks": (disk("[slow] web/web.vmdk"),)}, "DiskChanged", id="moved to another datastore"),
        pytest.param({"disks": ()}, "DiskChanged", id="taken away"),
        pytest.param(
            {"disks": (disk(FILE, concern="it is a snapshot's difference to another disk"),)},
            "DiskNotReadable",
            id="a difference to another one",
        ),
    ],
)
def test_a_file_is_all_of_the_disk(more, expected):
    machine = made.machine("web", power="poweredOff", **more)
    if isinstance(expected, int):
        assert capacity(machine, FILE) == expected
        return
    with pytest.raises(Terminal) as said:
        capacity(machine, FILE)
    assert said.value.reason == expected
