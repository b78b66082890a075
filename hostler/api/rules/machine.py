"""CPU, memory, firmware and direct kernel boot."""

from hostler.api.limits import MOST_CPUS
from hostler.api.rules.rule import Rule, formatted

RESOURCES = "domain.resources"
FIRMWARE = "domain.firmware"
KERNEL = f"{FIRMWARE}.kernelBoot.container"
LONGEST_SERIAL = 256


def amount(of: str) -> str:
    """CEL: the quantity at `of`, which may be a number."""
    return f"quantity(string({of}))"


def at_least(of: str, least: str) -> str:
    """CEL; what is no quantity at all is the schema's business."""
    return f"(!isQuantity(string({of})) || {amount(of)}.compareTo(quantity('{least}')) >= 0)"


def not_negative(part: str, resource: str) -> Rule:
    value, path = f"self.{part}['{resource}']", f"SPEC.{RESOURCES}.{part}.{resource}"
    return Rule(
        RESOURCES,
        f"!has(self.{part}) || !('{resource}' in self.{part}) || {at_least(value, '0')}",
        f"{path}: must be greater than or equal to 0.",
        formatted(f"{path} '%s': must be greater than or equal to 0.", value),
        f".{part}.{resource}",
    )


def within_limit(resource: str) -> Rule:
    request, limit = f"self.requests['{resource}']", f"self.limits['{resource}']"
    paths = [f"SPEC.{RESOURCES}.{part}.{resource}" for part in ("requests", "limits")]
    both = f"has(self.requests) && has(self.limits) && '{resource}' in self.requests && '{resource}' in self.limits"
    return Rule(
        RESOURCES,
        f"!({both}) || {amount(limit)}.compareTo(quantity('0')) <= 0 "
        f"|| {amount(request)}.compareTo({amount(limit)}) <= 0",
        f"{paths[0]} is greater than {paths[1]}",
        formatted(f"{paths[0]} '%s' is greater than {paths[1]} '%s'", request, limit),
        f".requests.{resource}",
    )


def file_path(field: str) -> tuple[Rule, Rule]:
    """A file inside the kernel's image; `..` would read files of the node (CVE-2022-1798)."""
    at, path = f"{KERNEL}.{field}", f"SPEC.{KERNEL}.{field}"
    return (
        Rule(at, "self != '/'", f"{path} must not point to root"),
        Rule(
            at,
            f"self in ['', '/'] || {ABSOLUTE}",
            f"{path} must be an absolute path to a file without relative components",
        ),
    )


def few(sockets: str) -> str:
    """Sockets x cores x threads, each of which may be missing, is no more than a guest may have."""
    counts = [f"(has({each}) && {each} > 1 ? {each} : 1)" for each in (sockets, "self.cores", "self.threads")]
    return " && ".join([*(f"{each} <= {MOST_CPUS}" for each in counts), f"{' * '.join(counts)} <= {MOST_CPUS}"])


TOO_MANY = f"Not more than {MOST_CPUS} virtual CPUs are supported"

# one trailing slash is forgiven, as KubeVirt does
ABSOLUTE = "self.matches('^(/[^/]+)+/?$') && !self.matches('/[.][.]?(/|$)')"
SERIAL_CHARACTERS = "^[A-Za-z0-9_.+-]*$"

CPU = (
    Rule(
        "domain.cpu",
        "!has(self.maxSockets) || self.maxSockets == 0 || !has(self.sockets) || self.sockets <= self.maxSockets",
        "Number of sockets in CPU topology is greater than the maximum sockets allowed",
        field=".sockets",
    ),
    Rule(
        "domain.cpu.features[]",
        "!has(self.policy) || self.policy in ['', 'force', 'require', 'optional', 'disable', 'forbid']",
        "CPU feature policy is not supported.",
        formatted("CPU feature %s uses policy %s that is not supported.", "self.name", "self.policy"),
        ".policy",
    ),
    Rule("domain.cpu", few("self.sockets"), f"{TOO_MANY}: sockets, cores and threads together", field=".sockets"),
    Rule(
        "domain.cpu", few("self.maxSockets"), f"{TOO_MANY}: maxSockets, cores and threads together", field=".maxSockets"
    ),
    not_negative("requests", "cpu"),
    not_negative("limits", "cpu"),
    within_limit("cpu"),
)

REQUESTED = "self.requests['memory']"
LIMITED = "self.resources.limits['memory']"

MEMORY = (
    not_negative("requests", "memory"),
    not_negative("limits", "memory"),
    Rule(
        RESOURCES,
        "!has(self.requests) || !('memory' in self.requests) "
        f"|| {amount(REQUESTED)}.compareTo(quantity('0')) <= 0 || {at_least(REQUESTED, '1M')}",
        f"SPEC.{RESOURCES}.requests.memory: must be greater than or equal to 1M.",
        formatted(f"SPEC.{RESOURCES}.requests.memory '%s': must be greater than or equal to 1M.", REQUESTED),
        ".requests.memory",
    ),
    within_limit("memory"),
    Rule(
        "domain.memory.guest",
        at_least("self", "1M"),
        "SPEC.domain.memory.guest: must be greater than or equal to 1M.",
        formatted("SPEC.domain.memory.guest '%s': must be greater than or equal to 1M.", "self"),
    ),
    Rule(
        "domain",
        "!(has(self.memory) && has(self.memory.guest) && has(self.resources) && has(self.resources.limits) "
        "&& 'memory' in self.resources.limits) "
        f"|| {amount(LIMITED)}.compareTo(quantity('0')) <= 0 "
        f"|| {amount('self.memory.guest')}.compareTo({amount(LIMITED)}) <= 0",
        "SPEC.domain.memory.guest must be equal to or less than the memory limit SPEC.domain.resources.limits.memory",
        formatted(
            "SPEC.domain.memory.guest '%s' must be equal to or less than the memory limit "
            "SPEC.domain.resources.limits.memory '%s'",
            "self.memory.guest",
            LIMITED,
        ),
        ".memory.guest",
    ),
)


def asked(part: str) -> str:
    """CEL: memory is among the requests (or limits), and more than nothing."""
    value = f"self.resources.{part}"
    memory = f"{value}['memory']"
    more = f"{amount(memory)}.compareTo(quantity('0')) > 0"
    return f"(has(self.resources) && has({value}) && 'memory' in {value} && {more})"


COMPLETE = (
    Rule(
        "domain",
        "(has(self.memory) && (has(self.memory.guest) || has(self.memory.hugepages))) "
        f"|| {asked('requests')} || {asked('limits')}",
        "no memory requested, at least one of 'SPEC.domain.memory.guest', 'SPEC.domain.memory.hugepages.size' "
        "or 'SPEC.domain.resources.requests.memory' must be set",
        reason="FieldValueRequired",
    ),
)

MACHINE = (
    Rule(
        "domain.rebootPolicy",
        "self in ['', 'Reboot', 'Terminate']",
        "SPEC.domain.rebootPolicy is set with an unrecognized option",
        formatted("SPEC.domain.rebootPolicy is set with an unrecognized option: %s", "self"),
    ),
    Rule(
        "domain.machine.type",
        "self == '' || self.startsWith('q35') || self.startsWith('pc-q35')",
        "SPEC.domain.machine.type is not supported (allowed values: [q35* pc-q35*])",
        formatted("SPEC.domain.machine.type is not supported: %s (allowed values: [q35* pc-q35*])", "self"),
    ),
    Rule(
        f"{FIRMWARE}.serial",
        f"size(self) <= {LONGEST_SERIAL}",
        f"SPEC.{FIRMWARE}.serial must be less than or equal to {LONGEST_SERIAL} in length, if specified",
    ),
    Rule(
        f"{FIRMWARE}.serial",
        f"self.matches('{SERIAL_CHARACTERS}')",
        f"SPEC.{FIRMWARE}.serial must be made up of the following characters [A-Za-z0-9_.+-], if specified",
    ),
    Rule(
        f"{FIRMWARE}.uuid",
        "self == '' || !format.uuid().validate(self).hasValue()",
        f"SPEC.{FIRMWARE}.uuid is not a UUID",
        formatted(f"SPEC.{FIRMWARE}.uuid '%s' is not a UUID", "self"),
    ),
    Rule(
        f"{FIRMWARE}.bootloader",
        "!has(self.efi) || !has(self.bios)",
        f"SPEC.{FIRMWARE}.bootloader has both EFI and BIOS configured, but they are mutually exclusive.",
    ),
    Rule(
        "domain",
        "!(has(self.firmware) && has(self.firmware.bootloader) && has(self.firmware.bootloader.efi) "
        "&& (!has(self.firmware.bootloader.efi.secureBoot) || self.firmware.bootloader.efi.secureBoot)) "
        "|| (has(self.features) && has(self.features.smm) "
        "&& (!has(self.features.smm.enabled) || self.features.smm.enabled))",
        "SPEC.domain has EFI SecureBoot enabled. SecureBoot requires SMM, which is currently disabled.",
    ),
)

KERNEL_BOOT = (
    Rule(
        f"{FIRMWARE}.kernelBoot",
        "has(self.container) || !has(self.kernelArgs) || self.kernelArgs == ''",
        "kernel arguments cannot be provided without an external kernel",
        field=".kernelArgs",
    ),
    Rule(
        KERNEL,
        "self.image != ''",
        f"SPEC.{KERNEL} must be defined with an image",
        field=".image",
        reason="FieldValueRequired",
    ),
    Rule(
        KERNEL,
        "(has(self.kernelPath) && self.kernelPath != '') || (has(self.initrdPath) && self.initrdPath != '')",
        f"SPEC.{KERNEL} must be defined with at least one of the following: kernelPath, initrdPath",
        reason="FieldValueRequired",
    ),
    *file_path("kernelPath"),
    *file_path("initrdPath"),
)

RULES = (*CPU, *MEMORY, *MACHINE, *KERNEL_BOOT)
