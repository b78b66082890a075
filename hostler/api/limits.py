"""How large the parts of a VMI spec may be: generous for people, finite for the cost that CEL rules may have.

Paths are below the VMI spec. A number bounds the items of a list or map, or the characters of a string.
"""

from hostler.api.schema import Schema, at

ITEMS = 128
NAME = 253
WORD = 64
TEXT = 1024
PATH = 4096
MOST_CPUS = 512  # of a guest: QEMU's q35 takes more, but no tested guest does
DATA = 8000  # cloud-init data; 2048 bytes are accepted, and the message should say so

LIMITS = {
    "architecture": WORD,
    "dnsConfig.nameservers": 64,
    "dnsConfig.nameservers[]": WORD,
    "dnsConfig.options": 64,
    "dnsConfig.options[].name": NAME,
    "dnsConfig.searches": 64,
    "evictionStrategy": WORD,
    "hostname": NAME,
    "startStrategy": WORD,
    "subdomain": NAME,
    "domain.cpu.features": ITEMS,
    "domain.cpu.features[].name": WORD,
    "domain.cpu.features[].policy": WORD,
    "domain.firmware.kernelBoot.container.initrdPath": PATH,
    "domain.firmware.kernelBoot.container.kernelPath": PATH,
    "domain.firmware.kernelBoot.kernelArgs": PATH,
    "domain.firmware.serial": TEXT,
    "domain.firmware.uuid": WORD,
    "domain.ioThreadsPolicy": WORD,
    "domain.machine.type": WORD,
    "domain.rebootPolicy": WORD,
    "domain.resources.limits": WORD,
    "domain.resources.requests": WORD,
    "domain.devices.disks": ITEMS,
    "domain.devices.disks[].cache": WORD,
    "domain.devices.disks[].cdrom.bus": WORD,
    "domain.devices.disks[].cdrom.tray": WORD,
    "domain.devices.disks[].disk.bus": WORD,
    "domain.devices.disks[].disk.pciAddress": WORD,
    "domain.devices.disks[].errorPolicy": WORD,
    "domain.devices.disks[].io": WORD,
    "domain.devices.disks[].lun.bus": WORD,
    "domain.devices.disks[].name": NAME,
    "domain.devices.disks[].serial": TEXT,
    "domain.devices.disks[].tag": NAME,
    "domain.devices.filesystems": 64,
    "domain.devices.gpus": 64,
    "domain.devices.hostDevices": 64,
    "domain.devices.inputs": 16,
    "domain.devices.inputs[].bus": WORD,
    "domain.devices.inputs[].type": WORD,
    "domain.devices.interfaces": 32,
    "domain.devices.interfaces[].macAddress": WORD,
    "domain.devices.interfaces[].model": WORD,
    "domain.devices.interfaces[].name": NAME,
    "domain.devices.interfaces[].pciAddress": WORD,
    "domain.devices.interfaces[].portRanges": 64,
    "domain.devices.interfaces[].portRanges[].protocol": WORD,
    "domain.devices.interfaces[].ports": 64,
    "domain.devices.interfaces[].ports[].name": WORD,
    "domain.devices.interfaces[].ports[].protocol": WORD,
    "domain.devices.interfaces[].state": WORD,
    "domain.devices.interfaces[].tag": NAME,
    "domain.devices.panicDevices": 16,
    "domain.devices.panicDevices[].model": WORD,
    "domain.devices.video.type": WORD,
    "domain.devices.watchdog.i6300esb.action": WORD,
    "networks": 32,
    "networks[].name": NAME,
    "networks[].pod.vmIPv6NetworkCIDR": WORD,
    "networks[].pod.vmNetworkCIDR": WORD,
    "volumes": ITEMS,
    "volumes[].containerDisk.path": PATH,
    "volumes[].name": NAME,
} | {
    f"volumes[].{source}.{field}": size
    for source in ("cloudInitConfigDrive", "cloudInitNoCloud")
    for field, size in {
        "networkData": DATA,
        "networkDataBase64": DATA,
        "networkDataSecretRef.name": NAME,
        "secretRef.name": NAME,
        "userData": DATA,
        "userDataBase64": DATA,
    }.items()
}

# Above these kinds' templates: paths below their own root.
TEMPLATE_LIMITS = {
    "spec.template.metadata.labels": ITEMS,
    "spec.template.metadata.labels{}": NAME,
}
REPLICA_SET_LIMITS = TEMPLATE_LIMITS | {
    "spec.selector.matchLabels": WORD,
    "spec.selector.matchLabels{}": NAME,
    "spec.selector.matchExpressions": WORD,
    "spec.selector.matchExpressions[].key": TEXT,
    "spec.selector.matchExpressions[].operator": WORD,
    "spec.selector.matchExpressions[].values": WORD,
    "spec.selector.matchExpressions[].values[]": NAME,
}
MIGRATION_LIMITS = {
    "spec.addedNodeSelector": WORD,
    "spec.addedNodeSelector{}": NAME,
    "spec.priority": WORD,
    "spec.vmiName": NAME,
}
VIRTUAL_MACHINE_LIMITS = TEMPLATE_LIMITS | {
    "spec.dataVolumeTemplates": WORD,
    "spec.dataVolumeTemplates[].metadata.name": NAME,
    "spec.runStrategy": WORD,
    "spec.updateVolumesStrategy": WORD,
    "spec.template.spec.volumes[].dataVolume.name": NAME,
    "spec.template.spec.volumes[].persistentVolumeClaim.claimName": NAME,
}
DATA_VOLUME_LIMITS = {
    "spec.checkpoints": ITEMS,
    "spec.contentType": WORD,
    "spec.source.http.checksum": NAME,
    "spec.source.http.extraHeaders": WORD,
    "spec.source.http.extraHeaders[]": PATH,
    "spec.source.http.secretExtraHeaders": WORD,
    "spec.source.http.url": PATH,
    "spec.source.vddk.backingFile": PATH,
    "spec.source.vddk.extraArgs": NAME,
    "spec.source.vddk.initImageURL": NAME,
    "spec.source.vddk.secretRef": NAME,
    "spec.source.vddk.url": PATH,
    "spec.source.vddk.uuid": NAME,
}

# The smallest value, where the API's type does not say it.
MINIMUM = {
    "domain.cpu.cores": 0,
    "domain.cpu.sockets": 0,
    "domain.cpu.threads": 0,
}

KEYWORD = {"array": "maxItems", "object": "maxProperties", "string": "maxLength"}


def bound(schema: Schema, limits: dict[str, int]) -> None:
    """Write the limits into a schema."""
    for path, size in limits.items():
        node = at(schema, path)
        node[KEYWORD[node["type"]]] = size


def floor(schema: Schema, minimum: dict[str, int]) -> None:
    for path, least in minimum.items():
        at(schema, path)["minimum"] = least
