"""Models to structural schemas."""

from typing import Annotated

import pytest
from pydantic import Field

from hostler.api.meta import Int64, Model, NullableTime, ObjectMeta, Quantity, keyed_by, one_of
from hostler.api.schema import Schema, at, model_schema


class Inner(Model):
    """What is inside."""

    size: Quantity


class Outer(Model):
    name: str
    inner_part: Inner | None = None
    count: Int64 | None = None
    parts: tuple[Inner, ...] = Field((), json_schema_extra=keyed_by("size"))
    sizes: dict[str, Quantity] = Field(default_factory=dict)
    mode: Annotated[str, one_of("a", "b")] | None = None
    when: NullableTime = None
    metadata: ObjectMeta | None = None


SCHEMA = model_schema(Outer)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("name", {"type": "string"}),
        ("count", {"type": "integer", "format": "int64"}),
        ("mode", {"type": "string", "enum": ["a", "b"]}),
        ("when", {"type": "string", "format": "date-time", "nullable": True}),
    ],
)
def test_field(path: str, expected: Schema) -> None:
    assert at(SCHEMA, path) == expected


def test_nothing_is_said_that_the_server_refuses() -> None:
    text = str(SCHEMA)
    assert not [word for word in ("title", "$ref", "anyOf", "'default'") if word in text]


def test_references_are_written_out() -> None:
    inner = at(SCHEMA, "innerPart")
    assert (inner["description"], inner["required"]) == ("What is inside.", ["size"])
    assert at(SCHEMA, "parts[]") == inner


def test_lists_and_maps() -> None:
    assert at(SCHEMA, "parts")["x-kubernetes-list-map-keys"] == ["size"]
    assert at(SCHEMA, "sizes{}") == at(SCHEMA, "innerPart.size")


def test_embedded_metadata_is_kept_as_it_comes() -> None:
    metadata = at(SCHEMA, "metadata")
    assert metadata["x-kubernetes-preserve-unknown-fields"]
    assert metadata["nullable"]
    assert at(SCHEMA, "metadata.labels{}") == {"type": "string"}
