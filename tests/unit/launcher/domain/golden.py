"""The golden files: a YAML of two documents (facts of the host, a VMI) and the XML that it becomes."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from launcher.domain import Host, convert

FOLDER = Path(__file__).parents[3] / "golden" / "domain"


@dataclass(frozen=True)
class Golden:
    """One pair of files."""

    file: Path
    facts: dict[str, Any]
    raw: dict[str, Any]

    @property
    def expected(self) -> Path:
        return self.file.with_suffix(".xml")

    def convert(self, raw: dict[str, Any] | None = None) -> str:
        """The XML of this VMI, or of a changed one."""
        host = Host(
            kvm=self.facts["kvm"],
            mtu=self.facts.get("mtu", 1500),
            block_volumes=frozenset(self.facts.get("blockVolumes", ())),
            pod_mac=self.facts.get("podMac"),
        )
        return convert(VirtualMachineInstance.model_validate(self.raw if raw is None else raw), host)


@cache
def all_golden() -> tuple[Golden, ...]:
    return tuple(Golden(file, *yaml.safe_load_all(file.read_text())) for file in sorted(FOLDER.glob("*.yaml")))
