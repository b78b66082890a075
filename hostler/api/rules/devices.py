"""Devices other than disks and interfaces."""

from hostler.api.rules.rule import Rule, formatted

VIDEO = ("vga", "cirrus", "virtio", "ramfb", "bochs")

RULES = (
    Rule(
        "domain.devices.inputs[].bus",
        "self in ['', 'virtio', 'usb']",
        "Input device can have only virtio or usb bus.",
    ),
    Rule("domain.devices.inputs[].type", "self == 'tablet'", "Input device can have only tablet type."),
    Rule(
        "domain.devices.watchdog",
        "has(self.i6300esb) && !has(self.diag288)",
        "amd64 only supports I6300ESB watchdog device",
    ),
    Rule(
        "domain.devices.watchdog.i6300esb.action",
        "self in ['', 'poweroff', 'reset', 'shutdown']",
        "SPEC.domain.devices.watchdog.i6300esb.action is set with an unrecognized option",
        formatted("SPEC.domain.devices.watchdog.i6300esb.action is set with an unrecognized option: %s", "self"),
    ),
    Rule(
        "domain.devices.video",
        f"has(self.type) && self.type in {list(VIDEO)}",
        "video model is not supported on amd64 architecture",
        formatted("video model '%s' is not supported on amd64 architecture", "has(self.type) ? self.type : ''"),
        ".type",
    ),
    Rule(
        "domain.devices",
        "!has(self.video) || !has(self.autoattachGraphicsDevice) || self.autoattachGraphicsDevice",
        "Video configuration is not allowed when autoattachGraphicsDevice is set to false",
        field=".video",
    ),
    Rule(
        "domain.devices.panicDevices[].model",
        "self in ['', 'hyperv', 'isa', 'pvpanic']",
        "invalid PanicDeviceModel",
        formatted("invalid PanicDeviceModel(%s)", "self"),
    ),
    Rule(
        "domain.ioThreadsPolicy",
        "self in ['shared', 'auto', 'supplementalPool']",
        "Invalid IOThreadsPolicy",
        formatted("Invalid IOThreadsPolicy (%s)", "self"),
    ),
)
