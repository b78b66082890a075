"""Disks: their names, their buses, their order at boot, and the volumes behind them."""

from hostler.api.rules.machine import LONGEST_SERIAL, SERIAL_CHARACTERS
from hostler.api.rules.rule import Check, Rule, at_most_one, each, formatted, unique_names

DISKS = "domain.devices.disks"
DISK = f"SPEC.{DISKS}[%d]"
TARGETS = ("disk", "lun", "cdrom")
DEFAULT_BUS = "sata"
BUSES = ("virtio", "scsi", "sata", "usb")
BUS = " : ".join(f"has(x.{target}) && has(x.{target}.bus) ? x.{target}.bus" for target in TARGETS) + " : ''"

CUSTOM = f"{DISKS}[].blockSize.custom"
SMALLEST, LARGEST = 512, 2097152
SIZES = [SMALLEST << shift for shift in range((LARGEST // SMALLEST).bit_length())]


def size(field: str) -> Rule:
    """A block size is a power of two that QEMU knows."""
    return Rule(
        CUSTOM,
        f"has(self.{field}) && self.{field} in {SIZES}",
        f"Provided size is not a power of 2 between {SMALLEST} and {LARGEST}",
        f"!has(self.{field}) || self.{field} < {SMALLEST} ? "
        + formatted(
            f"Provided size of %d is less than the supported minimum size of {SMALLEST}",
            f"has(self.{field}) ? self.{field} : 0",
        )
        + f" : self.{field} > {LARGEST} ? "
        + formatted(f"Provided size of %d is greater than the supported maximum size of {LARGEST}", f"self.{field}")
        + " : "
        + formatted("Provided size of %d is not a power of 2", f"self.{field}"),
        f".{field}",
    )


BLOCK_SIZE = (
    size("logical"),
    size("physical"),
    Rule(
        CUSTOM,
        "!has(self.logical) || !has(self.physical) || self.logical <= self.physical",
        "Logical size must be the same or less than the physical size",
        formatted(
            "Logical size %d must be the same or less than the physical size of %d", "self.logical", "self.physical"
        ),
        ".logical",
    ),
    Rule(
        CUSTOM,
        "!has(self.discardGranularity) || !has(self.logical) || self.logical <= 0 "
        "|| self.discardGranularity % self.logical == 0",
        "Discard granularity must be multiples of logical size",
        formatted(
            "Discard granularity %d must be multiples of logical size %d", "self.discardGranularity", "self.logical"
        ),
        ".discardGranularity",
    ),
)

# Not for a kind that brings volumes of its own.
VOLUME_OF_DISK = each(
    "",
    "d",
    Check(
        "has(self.volumes) && self.volumes.exists(v, v.name == d.name)",
        f"{DISK}.name '%s' not found.",
        ("d.name",),
    ),
    over=f"self.{DISKS}",
)

RULES = (
    VOLUME_OF_DISK,
    each(
        "",
        "v",
        Check(
            f"has(self.{DISKS}) && self.{DISKS}.exists(d, d.name == v.name && "
            "has(d.disk) && has(d.disk.bus) && d.disk.bus in ['virtio', 'scsi'])",
            "SPEC.volumes[%d] '%s' is hotpluggable: its disk must be on bus scsi or virtio",
            ("v.name",),
        ),
        where="(has(v.persistentVolumeClaim) && has(v.persistentVolumeClaim.hotpluggable) "
        "&& v.persistentVolumeClaim.hotpluggable) "
        "|| (has(v.dataVolume) && has(v.dataVolume.hotpluggable) && v.dataVolume.hotpluggable)",
        over="self.volumes",
    ),
    each(
        DISKS,
        "x",
        unique_names(DISKS),
        Check(at_most_one("x", TARGETS), f"{DISK} can only have a single target type defined"),
        Check(
            f"({BUS}) in {['', 'ide', *BUSES]}",
            f"{DISK} is set with an unrecognized bus %s, must be one of: [{' '.join(BUSES)}]",
            (BUS,),
        ),
        Check("!has(x.bootOrder) || x.bootOrder > 0", f"{DISK} must have a boot order > 0, if supplied"),
        Check(
            "!has(x.bootOrder) || !self.exists(j, o, j < k && has(o.bootOrder) && o.bootOrder == x.bootOrder)",
            f"Boot order for {DISK}.bootOrder already set for a different device.",
        ),
        Check(
            f"!has(x.serial) || x.serial.matches('{SERIAL_CHARACTERS}')",
            f"{DISK} must be made up of the following characters [A-Za-z0-9_.+-], if specified",
        ),
        Check(
            f"!has(x.serial) || size(x.serial) <= {LONGEST_SERIAL}",
            f"{DISK} must be less than or equal to {LONGEST_SERIAL} in length, if specified",
        ),
        Check(
            "!has(x.cache) || x.cache in ['', 'none', 'writethrough', 'writeback']",
            f"{DISK}.cache has invalid value %s",
            ("x.cache",),
        ),
        Check(
            "!has(x.errorPolicy) || x.errorPolicy in ['stop', 'ignore', 'report', 'enospace']",
            f'{DISK}.errorPolicy has invalid value "%s"',
            ("x.errorPolicy",),
        ),
        Check(
            f"!has(x.dedicatedIOThread) || !x.dedicatedIOThread || ({BUS}) == 'virtio'",
            "IOThreads are not supported for disks on a %s bus",
            (f"({BUS}) == '' ? '{DEFAULT_BUS}' : ({BUS})",),
        ),
    ),
    Rule(
        f"{DISKS}[].name",
        "!format.dns1123Label().validate(self).hasValue()",
        "must be a lowercase RFC 1123 label",
        "format.dns1123Label().validate(self).value()[0]",
    ),
    *(Rule(f"{DISKS}[].{target}.bus", "self != 'ide'", "IDE bus is not supported") for target in TARGETS),
    Rule(f"{DISKS}[].cdrom.bus", "self != 'virtio'", "Bus type virtio is invalid for CD-ROM device"),
    Rule(
        f"{DISKS}[].disk",
        "!(has(self.readonly) && self.readonly && has(self.bus) && self.bus == 'sata')",
        "sata hard-disks do not support read-only.",
        field=".bus",
    ),
    Rule(
        f"{DISKS}[].io",
        "self in ['', 'native', 'threads']",
        f"Disk IO mode for SPEC.{DISKS} is not supported. Supported modes are: native, threads.",
    ),
    Rule(
        f"{DISKS}[].cdrom.tray",
        "self in ['', 'open', 'closed']",
        f"SPEC.{DISKS}[].cdrom.tray is set with an unrecognized option",
        formatted(f"SPEC.{DISKS}[].cdrom.tray is set with an unrecognized option: %s", "self"),
    ),
    *BLOCK_SIZE,
)
