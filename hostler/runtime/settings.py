"""What every process of ours can be told: HOSTLER_... in the environment, or --options."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read once at the start and passed down; a process adds its own fields in a subclass."""

    model_config = SettingsConfigDict(
        env_prefix="HOSTLER_", frozen=True, cli_kebab_case=True, cli_implicit_flags=True, extra="ignore"
    )

    kubeconfig: str | None = Field(None, description="path of a kubeconfig; without it, the pod's service account")
    namespace: str = Field("hostler", description="where Hostler itself runs: Leases live there")
    identity: str = Field("", description="name of this process in Leases and Events; default: host name and pid")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    probe_port: int = Field(8080, description="HTTP port of /healthz; 0 for none")
    metrics_port: int = Field(8081, description="HTTP port of /metrics; 0 for none")
