"""What the controller of disks, and its workers, can be told."""

from typing import Literal

from pydantic import Field

from hostler.runtime.settings import Settings


class DiskSettings(Settings):
    """Fills claims with disks: DataVolumes become claims and worker pods."""

    image: str = Field("docker.io/hostler/hostler:0.1.0", description="image of the worker pods")
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    pull_secrets: tuple[str, ...] = Field((), description="names of image pull secrets that tenants' namespaces have")
    broker: str = Field("redis://hostler-redis.hostler.svc:6379/0", description="Redis, as the workers reach it")
    broker_password: str = Field("", description="of Redis' default user; workers get users of their own")
    upload_key: str = Field("", description="certificate (PEM) of whoever signs the tokens of uploads")
    convert_image: str = Field("docker.io/hostler/hostler-v2v:0.1.0", description="image of the pods with virt-v2v")
    use_emulation: bool = Field(False, description="convert guests by software emulation instead of KVM")
    parallel: int = Field(20, ge=1, description="disks made at once; the others wait for their turn")
    filesystem_overhead: float = Field(0.06, ge=0, lt=1, description="part of a claim that its file system needs")
    worker_memory: str = Field("600Mi", description="memory limit of a worker")
    scratch_limit: str = Field("", description="most that a worker may put down of a packed disk; default: unlimited")
