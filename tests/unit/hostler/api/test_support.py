"""The table of what is refused for now."""

import pytest

from hostler.api.kubevirt.vmi import VirtualMachineInstanceSpec
from hostler.api.schema import at, model_schema
from hostler.api.support import NOT_YET, ONLY, UNSUPPORTED

SCHEMA = model_schema(VirtualMachineInstanceSpec)


@pytest.mark.parametrize("path", [*NOT_YET.split(), *ONLY])
def test_the_field_exists(path: str) -> None:
    assert at(SCHEMA, path)


def test_each_field_is_there_once() -> None:
    assert len(set(NOT_YET.split())) == len(NOT_YET.split())


RULES = {rule.at: rule for rule in UNSUPPORTED}


@pytest.mark.parametrize(
    ("path", "holds"),
    [
        pytest.param("domain.devices.gpus", "size(self) == 0", id="an empty list says nothing"),
        pytest.param("domain.cpu.dedicatedCpuPlacement", "!self", id="nor does false"),
        pytest.param("domain.devices.disks[].tag", "self == ''", id="nor an empty string"),
        pytest.param("domain.devices.tpm", "false", id="an empty object asks for the device"),
    ],
)
def test_what_is_let_through(path: str, holds: str) -> None:
    assert RULES[path].holds == holds


def test_the_message_names_the_field() -> None:
    rule = RULES["domain.devices.gpus"].below("spec.template.spec")
    assert rule.validation()["message"] == "spec.template.spec.domain.devices.gpus: not supported by hostler"
