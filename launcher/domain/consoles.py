"""What people and programs talk to the guest through: serial console, VNC, guest agent."""

from xml.etree.ElementTree import Element

from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from launcher.domain.host import Host
from launcher.domain.xml import tag

VGA_KIB = 16384


def serial(vmi: VirtualMachineInstance, _host: Host) -> list[Element]:
    """The first serial port, on a socket; PID 1 copies its log to the container's log."""
    devices = vmi.spec.domain.devices
    if devices.autoattach_serial_console is False:
        return []
    log = tag("log", file=launcher.SERIAL_LOG, append="on") if devices.log_serial_console is not False else None
    source = tag("source", mode="bind", path=launcher.SERIAL_SOCKET)
    return [tag("serial", source, log, tag("target", port=0), tag("alias", name="ua-serial0"), type="unix")]


def graphics(vmi: VirtualMachineInstance, _host: Host) -> list[Element]:
    """A screen, and VNC on a socket to see it."""
    devices = vmi.spec.domain.devices
    if devices.autoattach_graphics_device is False:
        return []
    kind = devices.video.type if devices.video and devices.video.type else "vga"
    model = tag("model", type=kind, heads=1, vram=VGA_KIB if kind == "vga" else None)
    return [
        tag("graphics", tag("listen", type="socket", socket=launcher.VNC_SOCKET), type="vnc"),
        tag("video", model),
    ]


def outcome(vmi: VirtualMachineInstance, _host: Host) -> list[Element]:
    """The ports on which the guest says how it went, for a VMI that asks for them."""
    if vmi.metadata.annotations.get(launcher.PORTS) != "true":
        return []
    ports = {launcher.EXIT_PORT: launcher.EXIT_FIFO, launcher.RESULT_PORT: launcher.RESULT_FIFO}
    # "append": a file that is emptied first would be opened for reading and writing
    return [
        tag("channel", tag("source", path=fifo, append="on"), tag("target", type="virtio", name=name), type="file")
        for name, fifo in ports.items()
    ]


def guest_agent(_vmi: VirtualMachineInstance, _host: Host) -> list[Element]:
    """The channel on which qemu-guest-agent answers, if the guest runs one."""
    source = tag("source", mode="bind", path=launcher.GUEST_AGENT_SOCKET)
    return [tag("channel", source, tag("target", type="virtio", name="org.qemu.guest_agent.0"), type="unix")]
