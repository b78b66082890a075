"""The generated CRDs: the same API as KubeVirt's, and the files of the chart are up to date."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hostler.api import crd
from hostler.api.cdi import DataVolume
from hostler.api.crd import DEFINITIONS, Definition
from hostler.api.schema import Schema, resource_schema

ROOT = Path(__file__).parents[4]
OPENAPI = ROOT.parent / "shared" / "reference" / "kubevirt-openapi.json"

KINDS = pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda each: each.model.kind())
KUBEVIRTS = pytest.mark.parametrize(
    "definition",
    [each for each in DEFINITIONS if each.group in ("kubevirt.io", "pool.kubevirt.io")],
    ids=lambda each: each.model.kind(),
)
# CDI has these; the CDI that KubeVirt's document was made with had not
# what KubeVirt has not: of a VMI's status, how a guest says it went; of a pool's, which generation it is about
EXTENSIONS = (".status.exitCode", ".status.result", ".status.observedGeneration")
NEWER = (".serviceAccountName", ".http.checksum", ".http.insecureSkipVerify")

# the document has strings or null where KubeVirt's own CRDs have times
NULLABLE_TIME = {"type": "string", "format": "date-time", "nullable": True}
COMPARED = ("type", "format", "enum", "x-kubernetes-list-map-keys")


@pytest.fixture(scope="module")
def kubevirt() -> dict[str, Schema]:
    if not OPENAPI.exists():
        pytest.skip(f"KubeVirt's OpenAPI document is not here ({OPENAPI.name})")
    definitions: dict[str, Schema] = json.loads(OPENAPI.read_text())["definitions"]
    return definitions


def theirs(node: Schema, path: str, definitions: dict[str, Schema]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, facts) of every node of KubeVirt's schema."""
    name = node.get("$ref", "").rpartition("/")[2]
    node = definitions[name] if name else node
    kind = node.get("type")
    if name.endswith(".ObjectMeta"):
        yield path, {"type": "object"}
        return
    if isinstance(kind, list):
        yield path, NULLABLE_TIME if "null" in kind else {"type": "int-or-string"}
        return
    if node.get("format") == "int-or-string":
        yield path, {"type": "int-or-string"}
        return
    yield path, {key: node[key] for key in COMPARED if key in node}
    yield from children(node, path, lambda child, at: theirs(child, at, definitions))


def ours(node: Schema, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The same of a schema of ours."""
    if node.get("x-kubernetes-int-or-string"):
        yield path, {"type": "int-or-string"}
    elif node.get("x-kubernetes-preserve-unknown-fields"):
        yield path, {"type": "object"}
    else:
        facts = (*COMPARED, "nullable") if node["type"] == "string" else COMPARED
        yield path, {key: node[key] for key in facts if key in node}
        yield from children(node, path, ours)


def children(node: Schema, path: str, walk: Any) -> Iterator[Any]:
    for name, child in node.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    if "items" in node:
        yield from walk(node["items"], f"{path}[]")
    if "additionalProperties" in node:
        yield from walk(node["additionalProperties"], f"{path}{{}}")


def older(path: str) -> bool:
    return path not in EXTENSIONS and (".dataVolumeTemplates" not in path or not path.endswith(NEWER))


def reference(definition: Definition) -> str:
    return f"#/{definition.versions[0]}.{definition.model.kind()}"


@KUBEVIRTS
def test_every_field_of_kubevirt(definition: Definition, kubevirt: dict[str, Schema]) -> None:
    """Path by path: the same names, types, formats, enums and keys of lists."""
    expected = dict(theirs({"$ref": reference(definition)}, "", kubevirt))
    assert len(expected) > 100
    found = dict(ours(resource_schema(definition.model)))
    assert {path: facts for path, facts in found.items() if path in expected or older(path)} == expected


def test_every_field_of_a_data_volume(kubevirt: dict[str, Schema]) -> None:
    """The document has only its spec."""
    definition = next(each for each in DEFINITIONS if each.model is DataVolume)
    expected = dict(theirs({"$ref": "#/v1beta1.DataVolumeSpec"}, ".dataVolumeTemplates", kubevirt))
    spec = resource_schema(definition.model)["properties"]["spec"]
    found = {path: facts for path, facts in ours(spec, ".dataVolumeTemplates") if older(path)}
    assert found == expected


@KUBEVIRTS
def test_required_fields(definition: Definition, kubevirt: dict[str, Schema]) -> None:
    def required(node: Schema, path: str) -> Iterator[tuple[str, list[str]]]:
        name = node.get("$ref", "").rpartition("/")[2]
        node = kubevirt[name] if name else node
        if not name.endswith(".ObjectMeta"):
            yield path, sorted(node.get("required", []))
            yield from children(node, path, required)

    expected = {path: names for path, names in required({"$ref": reference(definition)}, "") if names}
    found = {path: names for path, names in required(resource_schema(definition.model), "") if names}
    assert found == expected


def test_files_of_the_chart() -> None:
    assert crd.stale(crd.FOLDER) == [], "run scripts/crds"


def test_check_tells_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--folder", str(tmp_path)]
    assert crd.main(["--check", *folder]) == 1
    assert crd.main(folder) == 0
    assert crd.main(["--check", *folder]) == 0
    (tmp_path / "virtualmachines.kubevirt.io.yaml").write_text("kind: Other\n")
    (tmp_path / "old.yaml").write_text("kind: Old\n")
    capsys.readouterr()
    assert crd.main(["--check", *folder]) == 1
    assert re.findall(r"[^/ ]*\.yaml", capsys.readouterr().err) == ["old.yaml", "virtualmachines.kubevirt.io.yaml"]
    crd.main(folder)
    assert not (tmp_path / "old.yaml").exists()


@pytest.mark.parametrize(
    ("plural", "short", "subresources", "columns"),
    [
        ("virtualmachines", ["vm", "vms"], ["status"], "Age Status Ready"),
        (
            "virtualmachineinstances",
            ["vmi", "vmis"],
            [],
            "Age Phase IP NodeName Ready Live-Migratable(wide) Paused(wide)",
        ),
        (
            "virtualmachineinstancereplicasets",
            ["vmirs", "vmirss"],
            ["status", "scale"],
            "Desired Current Ready Age",
        ),
        ("virtualmachineinstancemigrations", ["vmim", "vmims"], ["status"], "Phase VMI"),
        ("virtualmachinepools", ["vmpool", "vmpools"], ["status", "scale"], "Desired Current Ready Age"),
    ],
)
def test_what_kubectl_sees(plural: str, short: list[str], subresources: list[str], columns: str) -> None:
    definition = next(each for each in DEFINITIONS if each.model.plural == plural)
    made = crd.crd(definition)
    assert made["spec"]["names"]["shortNames"] == short
    assert made["spec"]["names"]["categories"] == ["all"]
    older = {"pool.kubevirt.io": [("v1beta1", True, False), ("v1alpha1", False, False)]}
    assert [(v["name"], v["storage"], v.get("deprecated", False)) for v in made["spec"]["versions"]] == older.get(
        definition.group, [("v1", True, False), ("v1alpha3", False, True)]
    )
    for version in made["spec"]["versions"]:
        assert list(version.get("subresources", {})) == subresources
        shown = (f"{c['name']}{'(wide)' if c.get('priority') else ''}" for c in version["additionalPrinterColumns"])
        assert " ".join(shown) == columns


def nodes(schema: Schema) -> Iterator[Schema]:
    yield schema
    for child in (*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")):
        if child is not None:
            yield from nodes(child)


@KINDS
def test_rules_tell_where_the_spec_is(definition: Definition) -> None:
    """No placeholder is left over, and each rule says something."""
    said = [
        text
        for node in nodes(crd.schema(definition))
        for rule in node.get("x-kubernetes-validations", ())
        for text in (rule["message"], rule.get("messageExpression", "-"))
    ]
    assert len(said) > (200 if definition.spec else 4)
    assert not [text for text in said if not text or "SPEC" in text or "\n" in text]


def test_nodes_and_their_fences_have_no_namespace() -> None:
    scopes = {each.model.plural: crd.crd(each)["spec"]["scope"] for each in DEFINITIONS}
    assert {plural for plural, scope in scopes.items() if scope == "Cluster"} == {"nodefencings", "fenceoperations"}
