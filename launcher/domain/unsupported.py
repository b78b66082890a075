"""Fields that the API knows and this launcher does not carry out: refused at admission, and here once more."""

from collections.abc import Iterator

from pydantic.alias_generators import to_camel

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import Model
from hostler.api.support import MESSAGE, NOT_YET
from hostler.runtime.errors import Terminal

REFUSED = frozenset(NOT_YET.split())


def refuse(vmi: VirtualMachineInstance) -> None:
    """Raise Terminal for the first field that says something and is not carried out."""
    for path in said(vmi.spec):
        if path in REFUSED:
            raise Terminal("NotSupported", f"spec.{path}: {MESSAGE}")


def said(model: Model, prefix: str = "") -> Iterator[str]:
    """Paths of all fields that say something, outermost first; items of lists as "disks[]"."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if value is None or value is False or value in ("", 0, (), {}):
            continue
        path = prefix + (field.alias or to_camel(name))
        yield path
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Model):
                yield from said(part, path + ("[]." if isinstance(value, tuple) else "."))
