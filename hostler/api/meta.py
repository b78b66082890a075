"""What every Kubernetes resource has: metadata, and the scalar types of the API."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

INT_OR_STRING = {"x-kubernetes-int-or-string": True}
NUMBER = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)"
QUANTITY = rf"^[+-]?{NUMBER}([KMGTPE]i|[munkMGTPE]|[eE][+-]?[0-9]+)?$"

Int32 = Annotated[int, WithJsonSchema({"type": "integer", "format": "int32"})]
Int64 = Annotated[int, WithJsonSchema({"type": "integer", "format": "int64"})]
Quantity = Annotated[str | int | float, WithJsonSchema({**INT_OR_STRING, "pattern": QUANTITY})]
IntOrString = Annotated[int | str, WithJsonSchema(INT_OR_STRING)]
Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
# Go clients write null where they have no time yet
NullableTime = Annotated[str | None, WithJsonSchema({"type": "string", "format": "date-time", "nullable": True})]


def one_of(*values: str) -> WithJsonSchema:
    """Only these are stored; we read any, since another version of the API may know more."""
    return WithJsonSchema({"type": "string", "enum": list(values)})


def keyed_by(*keys: str) -> dict[str, Any]:
    """A list that server-side apply merges item by item."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


class Model(BaseModel):
    """The part of a Kubernetes object that we read; we never write back what we did not own."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class OwnerReference(Model):
    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False
    block_owner_deletion: bool = False


class ObjectMeta(Model):
    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that manages this object, if one does."""
        return next((ref for ref in self.owner_references if ref.controller), None)


class LabelSelectorRequirement(Model):
    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelector(Model):
    match_labels: dict[str, str] = Field(default_factory=dict)
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


class Condition(Model):
    """What an object says of itself."""

    status: str
    type: str
    last_transition_time: NullableTime = None
    message: str | None = None
    reason: str | None = None


class ProbedCondition(Condition):
    """What an object says of itself, in the form that batch/v1 and KubeVirt's kinds have."""

    last_probe_time: NullableTime = None


class Resource(Model):
    """An object with a name and a life of its own. Subclasses name their group, version and kind."""

    group_version: ClassVar[str]
    plural: ClassVar[str]
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)

    @classmethod
    def kind(cls) -> str:
        return cls.__name__

    @classmethod
    def read(cls, raw: dict[str, Any]) -> "Resource":
        """Parse one object as the API server sent it; unknown fields are ignored."""
        return cls.model_validate(raw)
