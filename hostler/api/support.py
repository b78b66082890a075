"""Fields of KubeVirt's API that Hostler does not carry out yet: refused, never ignored.

Paths are below the VMI spec. A field that says nothing (false, empty, zero) is let through. Whoever implements a
field deletes its line here.
"""

from hostler.api.kubevirt.vmi import VirtualMachineInstanceSpec
from hostler.api.rules.rule import Rule
from hostler.api.schema import at, model_schema

NOT_YET = """
accessCredentials
resourceClaims
utilityVolumes

domain.cpu.dedicatedCpuPlacement
domain.cpu.isolateEmulatorThread
domain.cpu.numa
domain.cpu.realtime
domain.firmware.acpi
domain.firmware.bootloader.efi
domain.ioThreads
domain.launchSecurity
domain.memory.hugepages
domain.memory.reservedOverhead

domain.devices.autoattachVSOCK
domain.devices.clientPassthrough
domain.devices.downwardMetrics
domain.devices.filesystems
domain.devices.gpus
domain.devices.hostDevices
domain.devices.networkInterfaceMultiqueue
domain.devices.sound
domain.devices.tpm
domain.devices.watchdog.diag288

domain.devices.disks[].blockSize.matchVolume
domain.devices.disks[].changedBlockTracking
domain.devices.disks[].disk.pciAddress
domain.devices.disks[].lun
domain.devices.disks[].tag

domain.devices.interfaces[].binding
domain.devices.interfaces[].dhcpOptions
domain.devices.interfaces[].passtBinding
domain.devices.interfaces[].pciAddress
domain.devices.interfaces[].sriov
domain.devices.interfaces[].tag

networks[].multus
networks[].pod.vmIPv6NetworkCIDR
networks[].resourceClaim

volumes[].configMap
volumes[].containerPath
volumes[].downwardAPI
volumes[].downwardMetrics
volumes[].ephemeral
volumes[].hostDisk
volumes[].memoryDump
volumes[].secret
volumes[].serviceAccount
volumes[].sysprep
"""

# Fields of which some values are carried out: the CEL that is true of those.
ONLY = {
    "domain.ioThreadsPolicy": "self != 'supplementalPool'",
    "domain.devices.interfaces[].state": "self != 'absent'",
}

MESSAGE = "not supported by hostler"
# What a field of each type may be, since it says nothing then. Others ask for something by being there.
NOTHING = {
    "array": "size(self) == 0",
    "boolean": "!self",
    "integer": "self == 0",
    "string": "self == ''",
}


def refusal(path: str, holds: str) -> Rule:
    """A rule that sits on the field itself: it costs nothing where the field is absent."""
    return Rule(path, holds, f"SPEC.{path}: {MESSAGE}", reason="FieldValueForbidden")


def refusals() -> tuple[Rule, ...]:
    schema = model_schema(VirtualMachineInstanceSpec)
    never = {path: NOTHING.get(at(schema, path).get("type", ""), "false") for path in NOT_YET.split()}
    return tuple(refusal(path, holds) for path, holds in (never | ONLY).items())


UNSUPPORTED = refusals()
