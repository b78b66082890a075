"""What virt-v2v is told and says."""

import pytest
from lxml import etree

from v2v import conversion
from v2v.conversion import Line
from v2v.importpod import Job

JOB = Job(
    work="convert", namespace="n", name="p", uid="u", machine="web", disks=("/disks/0/disk.img", "/dev/disks/1"), cpus=2
)


def test_the_guest_in_xml():
    root = etree.fromstring(conversion.guest_xml(JOB))
    sources = [dict(each.attrib) for each in root.iter("source")]
    assert sources == [{"file": "/disks/0/disk.img"}, {"dev": "/dev/disks/1"}]
    assert [each.get("dev") for each in root.iter("target")] == ["sda", "sdb"]
    assert {each.get("type") for each in root.iter("driver")} == {"raw"}, "a guest cannot choose the format"


@pytest.mark.parametrize(("number", "name"), [(0, "sda"), (25, "sdz"), (26, "sdaa"), (51, "sdaz"), (52, "sdba")])
def test_devices(number, name):
    assert conversion.device(number) == name


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"type": "message", "message": "Inspecting the source"}', Line("message", "Inspecting the source")),
        (b'{"type": "error", "message": "no\\n\\u001b[31moperating system"}', Line("error", "no [31moperating system")),
        (b'{"type": "progress", "message": "1"}', None),
        (b"6% [***---]", None),
        (b"[]", None),
        (b'{"type": ["x"], "message": 1}', None),
    ],
)
def test_lines(line, expected):
    assert conversion.read(line) == expected


def test_an_error_comes_with_advice():
    said = conversion.advice("inspection could not detect the source guest (or physical machine).")
    assert said.startswith("the disk has no operating system that virt-v2v knows (virt-v2v: inspection")
    assert conversion.advice("qemu died") == "virt-v2v: qemu died"


def test_emulation_is_forced_where_kvm_does_not_work():
    emulated = conversion.environment(JOB.model_copy(update={"emulate": True}), "/s", True)
    assert emulated["LIBGUESTFS_BACKEND_SETTINGS"] == "force_tcg"
    assert "LIBGUESTFS_BACKEND_SETTINGS" not in conversion.environment(JOB, "/s", True)
    assert emulated["LIBGUESTFS_BACKEND"] == "direct"
