"""What the migration process can be told; KubeVirt's defaults."""

from pydantic import Field

from hostler.runtime.settings import Settings


class MigrationSettings(Settings):
    """Moves running guests between nodes."""

    parallel_per_cluster: int = Field(5, ge=1, description="moves at one time")
    parallel_outbound: int = Field(2, ge=1, description="moves at one time away from one node")
    parallel_inbound: int = Field(2, ge=1, description="moves at one time towards one node")

    bandwidth: str = Field("0", description="bytes a second that one move may use, as a quantity; 0: no limit")
    completion_timeout: int = Field(150, ge=1, description="seconds that a move may take for each GiB of the guest")
    progress_timeout: int = Field(150, ge=1, description="seconds that a move may go on without getting closer")
    auto_converge: bool = Field(False, description="slow the guest down when it writes faster than it can be copied")
    workload_disruption: bool = Field(False, description="stop the guest to end a move that would fail otherwise")

    unschedulable_timeout: float = Field(300.0, description="seconds that no node may have room for the target pod")
    pending_timeout: float = Field(900.0, description="seconds that the target pod may take for any other reason")
    preparing_timeout: float = Field(120.0, description="seconds that a node may take to prepare the target pod")
    kept: int = Field(5, ge=0, description="ended migrations that are kept for each VMI")

    webhook_port: int = Field(8443, description="HTTPS port that answers to evictions; 0 for none")
