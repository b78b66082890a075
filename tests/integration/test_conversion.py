"""The real virt-v2v-in-place, on disks that it cannot convert; a whole conversion is in tests/e2e/test_vmware.py."""

import shutil

import pytest

from hostler.runtime.errors import Terminal
from v2v import converter
from v2v.importpod import Job

pytestmark = pytest.mark.skipif(
    shutil.which("virt-v2v-in-place") is None, reason="virt-v2v-in-place is not installed (Debian package virt-v2v)"
)


def test_a_disk_without_a_system_is_refused_with_advice(tmp_path):
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(16 << 20))
    said: list[str] = []
    job = Job(work="convert", namespace="n", name="p", uid="u", machine="web", disks=(str(disk),), emulate=True)
    with pytest.raises(Terminal, match="no operating system that virt-v2v knows") as refused:
        converter.convert(job, tmp_path, said.append)
    assert refused.value.reason == "ConversionFailed"
    assert "Inspecting the source" in said
