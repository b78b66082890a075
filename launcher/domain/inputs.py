"""Tablets: pointers that are where the viewer's pointer is."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from hostler.api.kubevirt.devices import Input
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime.errors import Terminal
from launcher.domain.host import Host
from launcher.domain.xml import tag

DEFAULT = Input(name="default-0", type="tablet", bus="usb")


def inputs(vmi: VirtualMachineInstance, _host: Host) -> Iterator[Element]:
    for wanted in wanted_inputs(vmi):
        if wanted.type != "tablet":
            path = f"spec.domain.devices.inputs: input {wanted.name}"
            raise Terminal("NotSupported", f"{path}: type {wanted.type!r} is not supported; use tablet")
        yield tag("input", tag("alias", name=f"ua-{wanted.name}"), type="tablet", bus=wanted.bus or "usb")


def wanted_inputs(vmi: VirtualMachineInstance) -> tuple[Input, ...]:
    devices = vmi.spec.domain.devices
    return devices.inputs or ((DEFAULT,) if devices.autoattach_input_device else ())
