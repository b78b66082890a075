"""From a pydantic model to the structural OpenAPI schema that a CustomResourceDefinition wants."""

from copy import deepcopy
from typing import Any

from hostler.api.meta import Model, Resource

Schema = dict[str, Any]

# What pydantic says and the API server does not want to hear.
UNWANTED = ("title", "default", "anyOf", "$defs")
STRINGS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
# The metadata of a template: stored as it comes, as KubeVirt does; null is as good as absent.
EMBEDDED_METADATA: Schema = {
    "type": "object",
    "nullable": True,
    "x-kubernetes-preserve-unknown-fields": True,
    "properties": {"name": {"type": "string"}, "labels": STRINGS, "annotations": STRINGS},
}


def resource_schema(kind: type[Resource]) -> Schema:
    """The schema of one kind: its model, with the server's own fields in place of ours."""
    schema = model_schema(kind)
    properties = schema["properties"]
    properties |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    if "status" in properties:
        properties["status"]["nullable"] = True  # Go clients write null
    return schema


def at(schema: Schema, path: str) -> Schema:
    """The part of a schema at a path such as `domain.devices.disks[].name`; "" is the schema itself."""
    for part in path.split(".") if path else ():
        schema = schema["properties"][part.rstrip("[]{}")]
        if part.endswith("[]"):
            schema = schema["items"]
        elif part.endswith("{}"):
            schema = schema["additionalProperties"]
    return schema


def model_schema(model: type[Model]) -> Schema:
    """The model's JSON schema with its references written out."""
    raw = model.model_json_schema(by_alias=True)
    return structural(raw, raw.get("$defs", {}))


def structural(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """One node without references, titles and `X or null`."""
    if "$ref" in node:
        return definition(node["$ref"].rpartition("/")[2], definitions)
    plain = {key: value for key, value in node.items() if key not in UNWANTED}
    for option in node.get("anyOf", ()):
        if option != {"type": "null"}:
            plain |= structural(option, definitions)
    for key in ("items", "additionalProperties"):
        if key in plain:
            plain[key] = structural(plain[key], definitions)
    if "properties" in plain:
        plain["properties"] = {name: structural(each, definitions) for name, each in plain["properties"].items()}
    return plain


def definition(name: str, definitions: dict[str, Schema]) -> Schema:
    return deepcopy(EMBEDDED_METADATA) if name == "ObjectMeta" else structural(definitions[name], definitions)
