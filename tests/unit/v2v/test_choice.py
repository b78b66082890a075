"""Which machines a plan means, and why some are not imported."""

import pytest

from hostler.api.imports import SourceDisk, SourceNic
from tests.unit.v2v import made
from v2v.choice import Choice, Refusal, Taken, choose, dns_label

TWO_NICS = (SourceNic(mac="00:50:56:00:00:01", network="front"), SourceNic(mac="00:50:56:00:00:02", network="back"))
ROM = SourceDisk(key="2000", file="[fast] x.vmdk", bytes=5, concern="its backing is RawDiskMapping")
NOTHING = Taken()


def said(plan, *machines, taken=NOTHING):
    found = choose(plan, machines, taken)
    return {name: each.target if isinstance(each, Choice) else each.reason for name, each in found.items()}


@pytest.mark.parametrize(
    ("entries", "machines", "expected"),
    [
        pytest.param(["web"], [made.machine("web")], {"web": "web"}, id="by name"),
        pytest.param([{"id": "vm-1"}], [made.machine("web")], {"vm-1": "web"}, id="by id"),
        pytest.param(["web"], [made.machine("db")], {"web": "VMNotFound"}, id="unknown"),
        pytest.param(
            ["web"], [made.machine("web"), made.machine("web", "vm-2")], {"web": "AmbiguousName"}, id="two of one name"
        ),
        pytest.param(
            [{"id": "vm-2"}],
            [made.machine("web"), made.machine("web", "vm-2")],
            {"vm-2": "web"},
            id="two of one name, one by id",
        ),
        pytest.param(
            ["web", {"id": "vm-1"}],
            [made.machine("web")],
            {"web": "DuplicateVM", "vm-1": "DuplicateVM"},
            id="one machine twice",
        ),
        pytest.param(
            ["Web 1", "web_1"],
            [made.machine("Web 1"), made.machine("web_1", "vm-2")],
            {"Web 1": "TargetNameConflict", "web_1": "TargetNameConflict"},
            id="two that would have one name",
        ),
        pytest.param(
            ["Web Server (old)"], [made.machine("Web Server (old)")], {"Web Server (old)": "web-server-old"}, id="label"
        ),
        pytest.param([{"name": "web", "targetName": "shop"}], [made.machine("web")], {"web": "shop"}, id="renamed"),
        pytest.param(["web"], [made.machine("web", firmware="efi")], {"web": "FirmwareNotSupported"}, id="efi"),
        pytest.param(["web"], [made.machine("web", disks=())], {"web": "NoDisks"}, id="no disks"),
        pytest.param(["web"], [made.machine("web", disks=(ROM,))], {"web": "DiskNotReadable"}, id="raw device"),
        pytest.param(
            ["web"], [made.machine("web", concerns=("it has snapshots",))], {"web": "NotImportable"}, id="snapshots"
        ),
        pytest.param(["web"], [made.machine("web", nics=TWO_NICS)], {"web": "NetworksNotSupported"}, id="two NICs"),
    ],
)
def test_choose(entries, machines, expected):
    assert said(made.plan(*entries), *machines) == expected


def test_a_name_that_is_taken():
    assert said(made.plan("web"), made.machine("web"), taken=Taken(machines=["web"])) == {"web": "VMAlreadyExists"}


def test_disks_whose_names_are_taken():
    taken = Taken(disks={"web-disk0": "there is one already: delete it"})
    found = choose(made.plan("web", "db"), [made.machine("web"), made.machine("db", "vm-2")], taken)
    assert found["web"] == Refusal("VolumeAlreadyExists", "there is one already: delete it")
    assert isinstance(found["db"], Choice)


def test_networks_are_mapped():
    both = made.machine("web", nics=TWO_NICS)
    front = {"source": "front", "destination": "pod"}
    assert said(made.plan("web", map={"networks": [front]}), both) == {"web": "NetworkNotMapped"}
    back = {"source": "back", "destination": "ignored"}
    assert said(made.plan("web", map={"networks": [front, back]}), both) == {"web": "web"}


def test_a_refusal_says_what_to_do():
    found = choose(made.plan("wbe"), [made.machine("web")], NOTHING)["wbe"]
    assert found == Refusal("VMNotFound", "the source has no machine 'wbe'; it has web (vm-1)")
    two = choose(made.plan("web"), [made.machine("web"), made.machine("web", "vm-2")], NOTHING)["web"]
    assert isinstance(two, Refusal)
    assert "vm-1, vm-2" in two.message


@pytest.mark.parametrize("name", ["Ünïcode", "x" * 300, "日本語", "-", "a.b_c d", "UPPER"])
def test_dns_labels(name):
    found = dns_label(name)
    assert len(found) <= 50
    assert found == dns_label(name)
    assert found.strip("-") == found
    assert all(char in "abcdefghijklmnopqrstuvwxyz0123456789-" for char in found)
