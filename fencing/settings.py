"""What fencing can be told."""

from pathlib import Path

from pydantic import Field

from hostler.api.fencing import LEASE_DURATION, Mode
from hostler.runtime.settings import Settings


class FencingSettings(Settings):
    """Proves that nodes that fell silent are off, and clears their places."""

    mode: Mode = Field("Observe", description="Observe: tell what would be done; Enforce: do it")
    silent: float = Field(LEASE_DURATION, description="seconds without a renewal after which a node is suspected")
    kubelet_silent: float = Field(25.0, description="seconds without a renewal of the kubelet's lease that confirm it")
    most_at_once: int = Field(1, ge=1, description="nodes that are fenced at one time")
    confirm: float = Field(3.0, description="seconds of a last look before the power is switched")
    check_every: float = Field(300.0, description="seconds between two looks at whether the devices answer")
    agents: Path = Field(Path("/usr/sbin"), description="folder of the fence agents")
