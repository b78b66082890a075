"""No field of the API is ignored: each is refused, or carried out by somebody else, or changes some golden XML."""

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any, get_args

import pytest
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from hostler.api.kubevirt.vmi import VirtualMachineInstanceSpec
from hostler.api.meta import Model
from hostler.api.support import NOT_YET
from hostler.runtime.errors import Terminal
from tests.unit.launcher.domain.golden import all_golden

PARTS = ("domain", "volumes", "networks")

# Fields that never show in the domain's XML, and who carries them out instead.
ELSEWHERE = {
    "controllers: what the pod mounts, pulls and requests": """
        domain.firmware.kernelBoot.container.image
        domain.firmware.kernelBoot.container.imagePullPolicy
        domain.firmware.kernelBoot.container.imagePullSecret
        domain.resources.overcommitGuestOverhead
        volumes[].containerDisk.image
        volumes[].containerDisk.imagePullPolicy
        volumes[].containerDisk.imagePullSecret
        volumes[].persistentVolumeClaim.claimName
    """,
    "PID 1: what is in the images that it makes": """
        volumes[].containerDisk.path
        volumes[].emptyDisk.capacity
        volumes[].cloudInitNoCloud
        volumes[].cloudInitConfigDrive
    """,
    "agent: the pod's network": """
        domain.devices.interfaces[].masquerade
        domain.devices.interfaces[].ports
        domain.devices.interfaces[].portRanges
        networks
    """,
    "admission: defaults; a VMI without interfaces has none": """
        domain.devices.autoattachPodInterface
    """,
    "admission: refused, since KubeVirt itself refuses them": """
        domain.devices.interfaces[].macvtap
        domain.devices.interfaces[].passt
        domain.devices.interfaces[].slirp
    """,
}


def leaves(model: type[Model], prefix: str = "") -> Iterator[str]:
    """Paths of all fields of a model that have no fields themselves; items of lists as "disks[]"."""
    for name, field in model.model_fields.items():
        path = prefix + (field.alias or to_camel(name))
        below, many = inner(field.annotation)
        if below is None or not below.model_fields:
            yield path
        else:
            yield from leaves(below, f"{path}[]." if many else f"{path}.")


def inner(annotation: Any, many: bool = False) -> tuple[type[Model] | None, bool]:
    """The model in an annotation such as `tuple[Disk, ...]` or `CPU | None`, and whether there are many."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation, many
    for part in get_args(annotation):
        found = inner(part, many or getattr(annotation, "__origin__", None) is tuple)
        if found[0]:
            return found
    return None, many


def below(path: str, roots: frozenset[str]) -> bool:
    """Whether a path is one of `roots` or inside one."""
    return any(path == root or path.startswith((root + ".", root + "[]")) for root in roots)


def carried_out() -> list[str]:
    """Every field that must show in the XML."""
    others = frozenset(NOT_YET.split()) | frozenset(" ".join(ELSEWHERE.values()).split())
    spec = [path for path in leaves(VirtualMachineInstanceSpec) if path.startswith(PARTS)]
    return [path for path in spec if not below(path, others)]


def without(raw: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The spec less one of its fields, for every field in turn, with that field's path."""
    pairs = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
    for key, value in pairs:
        here = f"{path}[]" if isinstance(raw, list) else f"{path}.{key}" if path else key
        if isinstance(raw, dict):
            yield here, {other: kept for other, kept in raw.items() if other != key}
        for inside, smaller in without(value, here):
            copy = deepcopy(raw)
            copy[key] = smaller
            yield inside, copy


@cache
def shown() -> frozenset[str]:
    """Fields whose absence changes the XML of some golden file."""
    found = set()
    for golden in all_golden():
        whole = golden.convert()
        for path, spec in without(golden.raw["spec"]):
            try:
                changed = golden.convert(golden.raw | {"spec": spec}) != whole
            except (ValidationError, Terminal):
                changed = True
            if changed:
                found.add(path)
    return frozenset(found)


@pytest.mark.parametrize("path", carried_out())
def test_shows_in_some_golden(path: str) -> None:
    assert path in shown()


def test_the_lists_name_real_fields() -> None:
    paths = list(leaves(VirtualMachineInstanceSpec))
    for root in " ".join(ELSEWHERE.values()).split():
        assert any(below(path, frozenset([root])) for path in paths), root
