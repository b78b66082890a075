"""What a CustomResourceDefinition says beside its schema."""

from dataclasses import dataclass, field
from typing import Any

from hostler.api.meta import Resource
from hostler.api.rules import machine
from hostler.api.rules.rule import Rule
from hostler.api.schema import Schema

# The versions of a group, the stored one first; they differ in name only. Other groups have one: the model's.
VERSIONS = {"kubevirt.io": ("v1", "v1alpha3"), "pool.kubevirt.io": ("v1beta1", "v1alpha1")}


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; priority 1 shows with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    description: str = ""
    priority: int = 0

    def definition(self) -> Schema:
        optional = {"description": self.description, "priority": self.priority}
        return {"name": self.name, "type": self.type, "jsonPath": self.path} | {k: v for k, v in optional.items() if v}


@dataclass(frozen=True)
class Definition:
    """What a CRD says beside its schema."""

    model: type[Resource]
    short: tuple[str, ...]
    columns: tuple[Column, ...]
    subresources: Schema | None = None
    spec: str | None = "spec.template.spec"  # where the VMI spec is; None if it has none
    rules: tuple[Rule, ...] = ()  # beside those of every VMI spec; from the root
    spec_rules: tuple[Rule, ...] = machine.COMPLETE
    spec_rules_less: tuple[Rule, ...] = ()  # of those of every VMI spec, which do not hold here
    limits: dict[str, int] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    scope: str = "Namespaced"

    @property
    def group(self) -> str:
        return self.model.group_version.partition("/")[0]

    @property
    def versions(self) -> tuple[str, ...]:
        return VERSIONS.get(self.group) or (self.model.group_version.partition("/")[2],)


def condition(kind: str) -> str:
    return f".status.conditions[?(@.type=='{kind}')].status"


VMIS = "VirtualMachineInstances"
AGE = Column("Age", ".metadata.creationTimestamp", "date")
READY = Column("Ready", condition("Ready"))
SCALE = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".status.labelSelector",
}
