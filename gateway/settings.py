"""What the gateway can be told."""

from pydantic import Field

from hostler.runtime.agents import PORT
from hostler.runtime.settings import Settings


class GatewaySettings(Settings):
    """Serves subresources.kubevirt.io to the API server's aggregator."""

    port: int = Field(8443, description="HTTPS port")
    agent_port: int = Field(PORT, description="port of the nodes' agents")
