"""Kubernetes' kinds as this process reads them."""

from typing import Any

from hostler.api.meta import Condition, Model, Resource
from hostler.api.objects import ContainerStatus, PodStatus


class LauncherPod(Resource):
    """A launcher pod; its spec is carried to the next node, not read."""

    group_version = "v1"
    plural = "pods"

    spec: dict[str, Any]
    status: PodStatus = PodStatus()

    @classmethod
    def kind(cls) -> str:
        return "Pod"

    @property
    def node(self) -> str:
        """ "" until it is scheduled."""
        return str(self.spec.get("nodeName", ""))

    @property
    def finished(self) -> bool:
        return self.status.phase in ("Succeeded", "Failed")

    @property
    def ending(self) -> bool:
        return self.finished or self.metadata.deletion_timestamp is not None

    def container(self, name: str) -> ContainerStatus | None:
        return next((c for c in self.status.container_statuses if c.name == name), None)

    def condition(self, kind: str) -> Condition | None:
        return next((c for c in self.status.conditions if c.type == kind), None)


class PodDisruptionBudgetSpec(Model):
    min_available: int | str | None = None


class PodDisruptionBudget(Resource):
    group_version = "policy/v1"
    plural = "poddisruptionbudgets"

    spec: PodDisruptionBudgetSpec = PodDisruptionBudgetSpec()


class Taint(Model):
    key: str
    effect: str = ""


class NodeSpec(Model):
    taints: tuple[Taint, ...] = ()


class Node(Resource):
    group_version = "v1"
    plural = "nodes"

    spec: NodeSpec = NodeSpec()
