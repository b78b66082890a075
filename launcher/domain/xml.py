"""Elements, written as they read: tag("disk", tag("target", dev="vda"), type="file")."""

from collections.abc import Callable, Iterable
from xml.etree.ElementTree import Element, indent, tostring

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from launcher.domain.host import Host

Part = Callable[[VirtualMachineInstance, Host], Iterable[Element]]


def tag(name: str, /, *inside: Element | str | None, **attributes: str | int | None) -> Element:
    """An element with text or children; what is None is left out."""
    element = Element(name, {key: str(value) for key, value in attributes.items() if value is not None})
    for part in inside:
        if isinstance(part, str):
            element.text = part
        elif part is not None:
            element.append(part)
    return element


def text(root: Element) -> str:
    """The document, indented for people."""
    indent(root)
    return tostring(root, encoding="unicode") + "\n"


def yes(value: bool) -> str:
    return "yes" if value else "no"


def on(value: bool) -> str:
    return "on" if value else "off"
