"""What the agent can be told."""

from pathlib import Path

from pydantic import Field

from hostler.runtime.agents import PORT
from hostler.runtime.settings import Settings


class AgentSettings(Settings):
    """Drives the guests of one node."""

    node_name: str = Field(description="the node that this agent speaks for")
    kubelet_dir: Path = Field(Path("/var/lib/kubelet"), description="the kubelet's directory, as seen from here")
    state_dir: Path = Field(Path("/tmp/hostler"), description="what is worth keeping until the next boot")  # noqa: S108

    port: int = Field(PORT, description="HTTPS port on which our other processes call this agent; 0 for none")
    node_lease: bool = Field(False, description="renew a lease for the node, by which fencing learns of its silence")
    boot_id_file: Path = Field(Path("/proc/sys/kernel/random/boot_id"), description="what tells one boot from another")

    address: str = Field("", description="IP address of this agent, told to those who look where a guest moves")

    @property
    def pods(self) -> Path:
        return self.kubelet_dir / "pods"

    @property
    def device_plugins(self) -> Path:
        return self.kubelet_dir / "device-plugins"
