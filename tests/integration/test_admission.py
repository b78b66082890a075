"""What the API server itself says to objects, good and bad: schemas, CEL rules and admission policies at work."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from hostler.api.kubevirt.vmi import VirtualMachineInstanceSpec
from hostler.api.schema import Schema, model_schema
from hostler.api.support import NOT_YET
from tests.integration.apiserver import Answer, ApiServer, Raw

EXAMPLES = Path(__file__).parents[2] / "examples"
VMI, VMIRS, VM = "VirtualMachineInstance", "VirtualMachineInstanceReplicaSet", "VirtualMachine"
DISKS, INTERFACES = "domain.devices.disks", "domain.devices.interfaces"
SECRET = {"name": "s"}

GOOD: Raw = {
    "domain": {
        "memory": {"guest": "64Mi"},
        "devices": {
            "disks": [{"name": "root", "disk": {"bus": "virtio"}}],
            "interfaces": [{"name": "default", "masquerade": {}}],
        },
    },
    "networks": [{"name": "default", "pod": {}}],
    "volumes": [{"name": "root", "containerDisk": {"image": "docker.io/hostler/tiny:1"}}],
}


def vmi(*changes: tuple[str, Any], name: str = "vmi") -> Raw:
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": VMI,
        "metadata": {"name": name},
        "spec": changed(GOOD, changes),
    }


def replica_set(*changes: tuple[str, Any], spec: tuple[tuple[str, Any], ...] = ()) -> Raw:
    labels = {"app": "x"}
    whole: Raw = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": changed(GOOD, spec)},
    }
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": VMIRS,
        "metadata": {"name": "set"},
        "spec": changed(whole, changes),
    }


def vm(*changes: tuple[str, Any], spec: tuple[tuple[str, Any], ...] = ()) -> Raw:
    whole: Raw = {"runStrategy": "Always", "template": {"metadata": {}, "spec": changed(GOOD, spec)}}
    return {"apiVersion": "kubevirt.io/v1", "kind": VM, "metadata": {"name": "vm"}, "spec": changed(whole, changes)}


def changed(whole: Raw, changes: tuple[tuple[str, Any], ...]) -> Raw:
    """A copy with the value at each dotted path replaced; None removes."""
    result = copy.deepcopy(whole)
    for path, value in changes:
        *parents, last = path.split(".")
        node = result
        for parent in parents:
            node = node.setdefault(parent, {})
        if value is None:
            node.pop(last, None)
        else:
            node[last] = value
    return result


def url(kind: str, namespace: str, version: str = "v1") -> str:
    return f"/apis/kubevirt.io/{version}/namespaces/{namespace}/{kind.lower()}s"


def create(server: ApiServer, namespace: str, body: Raw, **query: str) -> Answer:
    return server.create(url(body["kind"], namespace), body, **query)


def blamed(answer: Answer, field: str, message: str) -> bool:
    return any(cause[0] == field and message in cause[1] for cause in answer.causes)


def disk(name: str = "root", **more: Any) -> Raw:
    return {"name": name, **more}


def interface(name: str = "default", **more: Any) -> Raw:
    return {"name": name, "masquerade": {}, **more}


def volume(name: str = "root", **source: Any) -> Raw:
    return {"name": name, **source}


IMAGE = {"containerDisk": {"image": "x"}}
TWO = [volume("root", **IMAGE), volume("data", **IMAGE)]

# id, changes to a good VMI spec, the field that is blamed, what is said; SPEC is the path of the VMI spec.
REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("disk without volume", {DISKS: [disk(), disk("ghost")]}, DISKS, f"SPEC.{DISKS}[1].name 'ghost' not found."),
    (
        "two disks of one name",
        {DISKS: [disk(), disk("b"), disk()]},
        DISKS,
        f"SPEC.{DISKS}[2] and SPEC.{DISKS}[0] must not have the same Name.",
    ),
    (
        "two volumes of one name",
        {"volumes": [volume(**IMAGE), volume(**IMAGE)]},
        "volumes",
        "SPEC.volumes[1] and SPEC.volumes[0] must not have the same Name.",
    ),
    ("no source", {"volumes": [volume()]}, "volumes", "SPEC.volumes[0] must have exactly one source type set"),
    (
        "two sources",
        {"volumes": [volume(**IMAGE, emptyDisk={"capacity": "1Gi"})]},
        "volumes",
        "SPEC.volumes[0] must have exactly one source type set",
    ),
    (
        "two targets",
        {DISKS: [disk(disk={}, cdrom={})]},
        DISKS,
        f"SPEC.{DISKS}[0] can only have a single target type defined",
    ),
    ("IDE", {DISKS: [disk(disk={"bus": "ide"})]}, f"{DISKS}[0].disk.bus", "IDE bus is not supported"),
    (
        "unknown bus",
        {DISKS: [disk(disk={"bus": "nvme"})]},
        DISKS,
        f"SPEC.{DISKS}[0] is set with an unrecognized bus nvme, must be one of: [virtio scsi sata usb]",
    ),
    (
        "CD-ROM on virtio",
        {DISKS: [disk(cdrom={"bus": "virtio"})]},
        f"{DISKS}[0].cdrom.bus",
        "Bus type virtio is invalid for CD-ROM device",
    ),
    (
        "read-only SATA disk",
        {DISKS: [disk(disk={"bus": "sata", "readonly": True})]},
        f"{DISKS}[0].disk.bus",
        "sata hard-disks do not support read-only.",
    ),
    (
        "boot order 0",
        {DISKS: [disk(bootOrder=0)]},
        DISKS,
        f"SPEC.{DISKS}[0] must have a boot order > 0, if supplied",
    ),
    (
        "one boot order twice",
        {DISKS: [disk(bootOrder=1), disk("data", bootOrder=1)], "volumes": TWO},
        DISKS,
        f"Boot order for SPEC.{DISKS}[1].bootOrder already set for a different device.",
    ),
    (
        "boot order of a disk and an interface",
        {DISKS: [disk(bootOrder=1)], INTERFACES: [interface(bootOrder=1)]},
        INTERFACES,
        f"Boot order for SPEC.{INTERFACES}[0].bootOrder already set for a different device.",
    ),
    (
        "serial too long",
        {DISKS: [disk(serial="x" * 257)]},
        DISKS,
        f"SPEC.{DISKS}[0] must be less than or equal to 256 in length, if specified",
    ),
    (
        "serial with a blank",
        {DISKS: [disk(serial="a b")]},
        DISKS,
        f"SPEC.{DISKS}[0] must be made up of the following characters [A-Za-z0-9_.+-], if specified",
    ),
    ("cache", {DISKS: [disk(cache="fast")]}, DISKS, f"SPEC.{DISKS}[0].cache has invalid value fast"),
    (
        "io",
        {DISKS: [disk(io="uring")]},
        f"{DISKS}[0].io",
        f"Disk IO mode for SPEC.{DISKS} is not supported. Supported modes are: native, threads.",
    ),
    (
        "disk name that no container could have",
        {DISKS: [disk("Root_1")], "volumes": [volume("root-1", **IMAGE)]},
        f"{DISKS}[0].name",
        "regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    ),
    (
        "error policy",
        {DISKS: [disk(errorPolicy="shrug")]},
        DISKS,
        f'SPEC.{DISKS}[0].errorPolicy has invalid value "shrug"',
    ),
    *(
        (
            f"thread for a disk on {bus or 'no bus'}",
            {DISKS: [disk(disk={"bus": bus} if bus else {}, dedicatedIOThread=True)]},
            DISKS,
            f"IOThreads are not supported for disks on a {bus or 'sata'} bus",
        )
        for bus in ("scsi", "")
    ),
    (
        "tray",
        {DISKS: [disk(cdrom={"tray": "ajar"})]},
        f"{DISKS}[0].cdrom.tray",
        f"SPEC.{DISKS}[].cdrom.tray is set with an unrecognized option: ajar",
    ),
    *(
        (
            f"block size {custom}",
            {DISKS: [disk(blockSize={"custom": custom})]},
            f"{DISKS}[0].blockSize.custom.{field}",
            message,
        )
        for custom, field, message in (
            ({"logical": 256, "physical": 512}, "logical", "256 is less than the supported minimum size of 512"),
            ({"logical": 512}, "physical", "Provided size of 0 is less than the supported minimum size of 512"),
            ({"logical": 512, "physical": 2**22}, "physical", "is greater than the supported maximum size of 2097152"),
            ({"logical": 512, "physical": 1000}, "physical", "Provided size of 1000 is not a power of 2"),
            (
                {"logical": 4096, "physical": 512},
                "logical",
                "Logical size 4096 must be the same or less than the physical size of 512",
            ),
            (
                {"logical": 512, "physical": 512, "discardGranularity": 700},
                "discardGranularity",
                "Discard granularity 700 must be multiples of logical size 512",
            ),
        )
    ),
    (
        "reboot policy",
        {"domain.rebootPolicy": "Never"},
        "domain.rebootPolicy",
        "SPEC.domain.rebootPolicy is set with an unrecognized option: Never",
    ),
    (
        "threads",
        {"domain.ioThreadsPolicy": "many"},
        "domain.ioThreadsPolicy",
        "Invalid IOThreadsPolicy (many)",
    ),
    *(
        (
            f"network {cidr}",
            {"networks": [{"name": "default", "pod": {"vmNetworkCIDR": cidr}}]},
            "networks[0].pod.vmNetworkCIDR",
            f"SPEC.networks[].pod.vmNetworkCIDR '{cidr}' is not an IPv4 network of /30 or larger",
        )
        for cidr in ("10.0.0.0", "10.0.0.0/31", "fd00::/64")
    ),
    *(
        (
            f"port range {id}",
            {INTERFACES: [interface(portRanges=[{"start": 1, "end": 2, "protocol": "TCP"} | wrong])]},
            f"{INTERFACES}[0].portRanges[0].{field}",
            message,
        )
        for id, wrong, field, message in (
            ("start", {"start": 0}, "start", "Port field must be in range 0 < x < 65536."),
            ("end", {"end": 70000}, "end", "Port field must be in range 0 < x < 65536."),
            ("upside down", {"start": 3}, "start", "the start of a port range must not be greater than its end"),
            ("protocol", {"protocol": "ICMP"}, "protocol", "Unknown protocol, only TCP or UDP allowed"),
        )
    ),
    (
        "root as the image's disk",
        {"volumes": [volume(containerDisk={"image": "x", "path": "/"})]},
        "volumes",
        "SPEC.volumes[0].containerDisk must not point to root",
    ),
    *(
        (
            f"path {path} in an image",
            {"volumes": [volume(containerDisk={"image": "x", "path": path})]},
            "volumes",
            "SPEC.volumes[0].containerDisk must be an absolute path to a file without relative components",
        )
        for path in ("disk.img", "/disk/../../etc/shadow", "/./disk", "//disk", "/disk/..", "/disk//")
    ),
    *(
        (
            f"{field} {path}",
            {"domain.firmware.kernelBoot.container": {"image": "x", field: path}},
            f"domain.firmware.kernelBoot.container.{field}",
            f"SPEC.domain.firmware.kernelBoot.container.{field} "
            "must be an absolute path to a file without relative components",
        )
        for field in ("kernelPath", "initrdPath")
        for path in ("../vmlinuz", "/boot/../../../etc/shadow")
    ),
    (
        "root as the kernel",
        {"domain.firmware.kernelBoot.container": {"image": "x", "kernelPath": "/"}},
        "domain.firmware.kernelBoot.container.kernelPath",
        "SPEC.domain.firmware.kernelBoot.container.kernelPath must not point to root",
    ),
    (
        "kernel arguments without a kernel",
        {"domain.firmware.kernelBoot": {"kernelArgs": "quiet"}},
        "domain.firmware.kernelBoot.kernelArgs",
        "kernel arguments cannot be provided without an external kernel",
    ),
    (
        "kernel container without a kernel",
        {"domain.firmware.kernelBoot.container": {"image": "x"}},
        "domain.firmware.kernelBoot.container",
        "SPEC.domain.firmware.kernelBoot.container must be defined with at least one of the following: "
        "kernelPath, initrdPath",
    ),
    (
        "kernel container without an image",
        {"domain.firmware.kernelBoot.container": {"image": "", "kernelPath": "/k"}},
        "domain.firmware.kernelBoot.container.image",
        "SPEC.domain.firmware.kernelBoot.container must be defined with an image",
    ),
    (
        "BIOS and EFI",
        {"domain.firmware.bootloader": {"bios": {}, "efi": {}}},
        "domain.firmware.bootloader",
        "SPEC.domain.firmware.bootloader has both EFI and BIOS configured, but they are mutually exclusive.",
    ),
    (
        "SecureBoot without SMM",
        {"domain.firmware.bootloader": {"efi": {}}},
        "domain",
        "SPEC.domain has EFI SecureBoot enabled. SecureBoot requires SMM, which is currently disabled.",
    ),
    (
        "firmware serial",
        {"domain.firmware.serial": "x" * 300},
        "domain.firmware.serial",
        "SPEC.domain.firmware.serial must be less than or equal to 256 in length, if specified",
    ),
    (
        "firmware UUID",
        {"domain.firmware.uuid": "1-2"},
        "domain.firmware.uuid",
        "SPEC.domain.firmware.uuid '1-2' is not a UUID",
    ),
    (
        "machine type",
        {"domain.machine.type": "pc-i440fx-2.12"},
        "domain.machine.type",
        "SPEC.domain.machine.type is not supported: pc-i440fx-2.12 (allowed values: [q35* pc-q35*])",
    ),
    (
        "no memory",
        {"domain.memory": None},
        "domain",
        "no memory requested, at least one of 'SPEC.domain.memory.guest', 'SPEC.domain.memory.hugepages.size' "
        "or 'SPEC.domain.resources.requests.memory' must be set",
    ),
    (
        "a request for zero memory",
        {"domain.memory": None, "domain.resources.requests": {"memory": "0"}},
        "domain",
        "or 'SPEC.domain.resources.requests.memory' must be set",
    ),
    (
        "zero memory",
        {"domain.memory.guest": 0},
        "domain.memory.guest",
        "SPEC.domain.memory.guest '0': must be greater than or equal to 1M.",
    ),
    (
        "hardly any memory",
        {"domain.resources.requests": {"memory": "100k"}},
        "domain.resources.requests[memory]",
        "SPEC.domain.resources.requests.memory '100k': must be greater than or equal to 1M.",
    ),
    (
        "negative memory",
        {"domain.resources.limits": {"memory": "-1Gi"}},
        "domain.resources.limits[memory]",
        "SPEC.domain.resources.limits.memory '-1Gi': must be greater than or equal to 0.",
    ),
    (
        "negative CPU",
        {"domain.resources.requests": {"cpu": -1}},
        "domain.resources.requests[cpu]",
        "SPEC.domain.resources.requests.cpu '-1': must be greater than or equal to 0.",
    ),
    *(
        (
            f"{resource} request above the limit",
            {"domain.resources": {"requests": {resource: more}, "limits": {resource: less}}},
            f"domain.resources.requests[{resource}]",
            f"SPEC.domain.resources.requests.{resource} '{more}' is greater than "
            f"SPEC.domain.resources.limits.{resource} '{less}'",
        )
        for resource, more, less in (("memory", "2Gi", "1500Mi"), ("cpu", "2", "1500m"))
    ),
    (
        "guest larger than its pod may be",
        {"domain.memory.guest": "2Gi", "domain.resources.limits": {"memory": "1Gi"}},
        "domain.memory.guest",
        "SPEC.domain.memory.guest '2Gi' must be equal to or less than the memory limit "
        "SPEC.domain.resources.limits.memory '1Gi'",
    ),
    ("memory that is no quantity", {"domain.memory.guest": "lots"}, "domain.memory.guest", "should match '^[+-]?"),
    ("cores below zero", {"domain.cpu.cores": -1}, "domain.cpu.cores", "should be greater than or equal to 0"),
    (
        "more sockets than there may be",
        {"domain.cpu": {"sockets": 4, "maxSockets": 2}},
        "domain.cpu.sockets",
        "Number of sockets in CPU topology is greater than the maximum sockets allowed",
    ),
    *(
        (
            f"more CPUs than a guest may have: {cpu}",
            {"domain.cpu": cpu},
            f"domain.cpu.{field}",
            f"Not more than 512 virtual CPUs are supported: {field}, cores and threads together",
        )
        for field, cpu in (
            ("maxSockets", {"sockets": 1, "maxSockets": 2000000}),
            ("maxSockets", {"cores": 2, "threads": 2, "maxSockets": 129}),
            ("sockets", {"sockets": 26, "cores": 20}),
            ("sockets", {"sockets": 2**62, "cores": 2**62}),
        )
    ),
    (
        "CPU feature policy",
        {"domain.cpu.features": [{"name": "apic", "policy": "please"}]},
        "domain.cpu.features[0].policy",
        "CPU feature apic uses policy please that is not supported.",
    ),
    (
        "interface without network",
        {INTERFACES: [interface(), interface("ghost")]},
        INTERFACES,
        f"SPEC.{INTERFACES}[1].name 'ghost' not found.",
    ),
    (
        "network without interface",
        {"networks": [{"name": "default", "pod": {}}, {"name": "ghost", "multus": {"networkName": "x"}}]},
        "networks",
        "SPEC.networks[1].name 'ghost' not found.",
    ),
    (
        "two interfaces of one name",
        {INTERFACES: [interface(), interface()]},
        INTERFACES,
        "Only one interface can be connected to one specific network",
    ),
    (
        "two networks of one name",
        {"networks": [{"name": "default", "pod": {}}, {"name": "default", "pod": {}}]},
        "networks",
        'Network with name "default" already exists, every network must have a unique name',
    ),
    (
        "two pod networks",
        {"networks": [{"name": "default", "pod": {}}, {"name": "b", "pod": {}}]},
        "networks",
        "more than one interface is connected to a pod network in SPEC.interfaces",
    ),
    ("network of no type", {"networks": [{"name": "default"}]}, "networks[0]", "should have a network type"),
    (
        "network of two types",
        {"networks": [{"name": "default", "pod": {}, "multus": {"networkName": "x"}}]},
        "networks[0]",
        "should have only one network type",
    ),
    (
        "no binding",
        {INTERFACES: [{"name": "default"}]},
        INTERFACES,
        "logical default interface must have exactly one binding method or binding plugin",
    ),
    (
        "two bindings",
        {INTERFACES: [interface(bridge={})]},
        INTERFACES,
        "logical default interface must have exactly one binding method or binding plugin",
    ),
    *(
        (
            f"binding {gone}",
            {INTERFACES: [{"name": "default", gone: {}}]},
            f"{INTERFACES}[0].{gone}",
            f"{gone.capitalize()} interface support has been discontinued since v1.3",
        )
        for gone in ("slirp", "macvtap", "passt")
    ),
    (
        "masquerade elsewhere",
        {"networks": [{"name": "default", "multus": {"networkName": "x"}}]},
        INTERFACES,
        "Masquerade interface only implemented with pod network",
    ),
    (
        "interface name",
        {INTERFACES: [interface("a b")], "networks": [{"name": "a b", "pod": {}}]},
        f"{INTERFACES}[0].name",
        "Network interface name can only contain alphabetical characters, numbers, dashes (-) or underscores (_)",
    ),
    (
        "interface model",
        {INTERFACES: [interface(model="ne2000")]},
        INTERFACES,
        f"interface SPEC.{INTERFACES}[0].name uses model ne2000 that is not supported.",
    ),
    *(
        (
            f"MAC address {mac}",
            {INTERFACES: [interface(macAddress=mac)]},
            INTERFACES,
            f"interface SPEC.{INTERFACES}[0].name has malformed MAC address ({mac}).",
        )
        for mac in ("02:00:00:00:00", "02:00:00:00:00:0g", "01:00:5e:00:00:01")
    ),
    (
        "MAC address of the bridge",
        {INTERFACES: [interface(macAddress="02:00:00:00:00:00")]},
        f"{INTERFACES}[0].macAddress",
        "The requested MAC address is reserved for the in-pod bridge. Please choose another one.",
    ),
    (
        "interface state",
        {INTERFACES: [interface(state="sideways")]},
        INTERFACES,
        "logical default interface state value is unsupported: sideways",
    ),
    (
        "port 65536",
        {INTERFACES: [interface(ports=[{"port": 65536}])]},
        f"{INTERFACES}[0].ports[0]",
        "Port field must be in range 0 < x < 65536.",
    ),
    (
        "port 0",
        {INTERFACES: [interface(ports=[{"port": 0}])]},
        f"{INTERFACES}[0].ports[0]",
        "Port field is mandatory.",
    ),
    (
        "protocol",
        {INTERFACES: [interface(ports=[{"port": 1, "protocol": "SCTP"}])]},
        f"{INTERFACES}[0].ports[0].protocol",
        "Unknown protocol, only TCP or UDP allowed",
    ),
    (
        "port name",
        {INTERFACES: [interface(ports=[{"port": 1, "name": "80"}])]},
        f"{INTERFACES}[0].ports[0].name",
        "Invalid name of the port: 80",
    ),
    (
        "one port name twice",
        {INTERFACES: [interface(ports=[{"port": 1, "name": "a"}, {"port": 2, "name": "a"}])]},
        f"{INTERFACES}[0].ports",
        "Duplicate name of the port: a",
    ),
    *(
        (
            f"{source} {id}",
            {"volumes": [volume(**{source: data})]},
            "volumes",
            f"SPEC.volumes[0].{source}{message}",
        )
        for source in ("cloudInitNoCloud", "cloudInitConfigDrive")
        for id, data, message in (
            ("without data", {}, " must have at least one userdatasource or one networkdatasource set."),
            (
                "with two",
                {"userData": "a", "secretRef": SECRET},
                " must have only one userdatasource set.",
            ),
            (
                "with two for the network",
                {"networkData": "a", "networkDataBase64": "YQ=="},
                " must have only one networkdata source set.",
            ),
            (
                "too long",
                {"userData": "x" * 2049},
                " userdata exceeds 2048 byte limit. Should use UserDataSecretRef for larger data.",
            ),
            (
                "too long in bytes",
                {"userData": "\u00e4" * 1025},
                " userdata exceeds 2048 byte limit. Should use UserDataSecretRef for larger data.",
            ),
            (
                "too long for the network",
                {"networkDataBase64": "A" * 2736},
                " networkdata exceeds 2048 byte limit. Should use NetworkDataSecretRef for larger data.",
            ),
            (
                "not base64",
                {"userDataBase64": "!"},
                f".userDataBase64.{source}.userDataBase64 is not a valid base64 value.",
            ),
        )
    ),
    (
        "hostname",
        {"hostname": "Web_1"},
        "hostname",
        "regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    ),
    (
        "subdomain",
        {"subdomain": "-a"},
        "subdomain",
        "regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    ),
    (
        "eviction strategy",
        {"evictionStrategy": "Run"},
        "evictionStrategy",
        "SPEC.evictionStrategy is set with an unrecognized option: Run",
    ),
    (
        "start strategy",
        {"startStrategy": "Fast"},
        "startStrategy",
        "SPEC.startStrategy is set with an unrecognized option: Fast",
    ),
    ("architecture", {"architecture": "vax"}, "architecture", "unsupported architecture: vax"),
    (
        "grace below zero",
        {"terminationGracePeriodSeconds": -1},
        "terminationGracePeriodSeconds",
        "must be greater than or equal to 0",
    ),
    ("DNS policy", {"dnsPolicy": "Mine"}, "dnsPolicy", '"Default", "None"'),
    (
        "no DNS at all",
        {"dnsPolicy": "None"},
        "dnsConfig",
        "must provide `dnsConfig` when `dnsPolicy` is None",
    ),
    (
        "no name server",
        {"dnsPolicy": "None", "dnsConfig": {}},
        "dnsConfig",
        "must provide at least one DNS nameserver when `dnsPolicy` is None",
    ),
    (
        "name server",
        {"dnsConfig": {"nameservers": ["one"]}},
        "dnsConfig.nameservers[0]",
        "must be valid IP address: one",
    ),
    (
        "two probes in one",
        {"readinessProbe": {"httpGet": {"port": 80}, "tcpSocket": {"port": 80}}},
        "readinessProbe",
        "SPEC.readinessProbe must have exactly one probe type set",
    ),
    (
        "probe of nothing",
        {"livenessProbe": {}},
        "livenessProbe",
        "either SPEC.livenessProbe.tcpSocket, SPEC.livenessProbe.exec or SPEC.livenessProbe.httpGet must be set "
        "if a SPEC.livenessProbe is specified",
    ),
    (
        "input bus",
        {"domain.devices.inputs": [{"name": "t", "type": "tablet", "bus": "ps2"}]},
        "domain.devices.inputs[0].bus",
        "Input device can have only virtio or usb bus.",
    ),
    (
        "input type",
        {"domain.devices.inputs": [{"name": "t", "type": "mouse"}]},
        "domain.devices.inputs[0].type",
        "Input device can have only tablet type.",
    ),
    (
        "watchdog of nothing",
        {"domain.devices.watchdog": {"name": "w"}},
        "domain.devices.watchdog",
        "amd64 only supports I6300ESB watchdog device",
    ),
    (
        "watchdog action",
        {"domain.devices.watchdog": {"name": "w", "i6300esb": {"action": "bark"}}},
        "domain.devices.watchdog.i6300esb.action",
        "SPEC.domain.devices.watchdog.i6300esb.action is set with an unrecognized option: bark",
    ),
    (
        "video",
        {"domain.devices.video": {"type": "s3"}},
        "domain.devices.video.type",
        "video model 's3' is not supported on amd64 architecture",
    ),
    (
        "video without graphics",
        {"domain.devices.video": {"type": "vga"}, "domain.devices.autoattachGraphicsDevice": False},
        "domain.devices.video",
        "Video configuration is not allowed when autoattachGraphicsDevice is set to false",
    ),
    (
        "panic device",
        {"domain.devices.panicDevices": [{"model": "loud"}]},
        "domain.devices.panicDevices[0].model",
        "invalid PanicDeviceModel(loud)",
    ),
    (
        "value that is not carried out yet",
        {"domain.ioThreadsPolicy": "supplementalPool"},
        "domain.ioThreadsPolicy",
        "SPEC.domain.ioThreadsPolicy: not supported by hostler",
    ),
]


@pytest.mark.parametrize(("changes", "field", "message"), [pytest.param(*rest, id=name) for name, *rest in REFUSED])
def test_bad_specification(hostler: ApiServer, changes: dict[str, Any], field: str, message: str) -> None:
    """In a VMI and in the template of a replica set, with the path of each."""
    spec = tuple(changes.items())
    for body, path in ((vmi(*spec), "spec"), (replica_set(spec=spec), "spec.template.spec")):
        answer = create(hostler, "default", body, dryRun="All")
        assert answer.code == 422, answer.body
        assert blamed(answer, f"{path}.{field}", message.replace("SPEC", path)), answer.message


def sample(schema: Schema) -> Any:
    """Some value that says something, with all that it must have."""
    if schema.get("x-kubernetes-int-or-string"):
        return 1
    match schema["type"]:
        case "object":
            return {name: sample(schema["properties"][name]) for name in schema.get("required", ())}
        case "array":
            return [sample(schema["items"])]
        case kind:
            return {"boolean": True, "integer": 1, "string": schema.get("enum", ["x"])[0]}[kind]


def holding(schema: Schema, path: str) -> Any:
    """A value that has the field at `path`, with all that its parents must have."""
    value = sample(schema)
    if path:
        part, _, rest = path.partition(".")
        name = part.removesuffix("[]")
        node = schema["properties"][name]
        value[name] = [holding(node["items"], rest)] if part.endswith("[]") else holding(node, rest)
    return value


def merged(one: Any, other: Any) -> Any:
    """Objects are merged, everything else is taken from the second."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one | {key: merged(one.get(key), value) for key, value in other.items()}
    return other


@pytest.mark.parametrize("path", NOT_YET.split())
def test_field_that_is_not_implemented(hostler: ApiServer, path: str) -> None:
    spec = merged(GOOD, holding(model_schema(VirtualMachineInstanceSpec), path))
    answer = create(hostler, "default", vmi() | {"spec": spec}, dryRun="All")
    assert answer.code == 422, answer.body
    field = path.replace("[]", "[0]")
    assert (f"spec.{field}", f"Forbidden: spec.{path}: not supported by hostler") in answer.causes


def test_unknown_field(hostler: ApiServer) -> None:
    answer = create(hostler, "default", vmi(("domain.devices.flux", {})), dryRun="All")
    assert (answer.code, 'unknown field "spec.domain.devices.flux"' in answer.message) == (400, True)


def test_missing_field(hostler: ApiServer) -> None:
    answer = create(hostler, "default", vmi(("domain", None)), dryRun="All")
    assert ("spec.domain", "Required value") in answer.causes


@pytest.mark.parametrize(("field", "value"), [("volumes", 3), ("domain", []), ("networks", "x"), (DISKS, {})])
def test_wrong_type(hostler: ApiServer, field: str, value: object) -> None:
    """What is malformed is told by the schema, not by a policy that stumbled over it."""
    answer = create(hostler, "default", vmi((field, value)), dryRun="All")
    assert answer.code == 422
    assert blamed(answer, f"spec.{field}", ""), answer.message


REFUSED_SETS = [
    pytest.param({"replicas": -1}, "spec.replicas", "must be greater than or equal to 0", id="negative replicas"),
    pytest.param(
        {"selector": {"matchLabels": {"app": "y"}}}, "spec.selector", "selector does not match labels.", id="value"
    ),
    pytest.param(
        {"selector": {"matchLabels": {"tier": "x"}}}, "spec.selector", "selector does not match labels.", id="label"
    ),
    pytest.param({"template.metadata": None}, "spec.selector", "selector does not match labels.", id="no labels"),
    *(
        pytest.param(
            {"selector": {"matchExpressions": [expression]}},
            "spec.selector",
            "selector does not match labels.",
            id=f"{expression['operator']}",
        )
        for expression in (
            {"key": "app", "operator": "In", "values": ["y", "z"]},
            {"key": "app", "operator": "NotIn", "values": ["x"]},
            {"key": "tier", "operator": "Exists"},
            {"key": "app", "operator": "DoesNotExist"},
        )
    ),
    pytest.param({"selector": {}}, "spec.selector", "of the namespace", id="a selector of everything"),
    pytest.param(
        {"template.metadata.labels": {"app": "x", "kubevirt.io/nodeName": "n"}},
        "spec.template.metadata.labels",
        "creation of the following reserved kubevirt.io/ labels on a VMI object is prohibited",
        id="reserved label",
    ),
    pytest.param({"template": None}, "spec.template", "Required value", id="no template"),
]


@pytest.mark.parametrize(("changes", "field", "message"), REFUSED_SETS)
def test_bad_replica_set(hostler: ApiServer, changes: dict[str, Any], field: str, message: str) -> None:
    answer = create(hostler, "default", replica_set(*changes.items()), dryRun="All")
    assert answer.code == 422, answer.body
    assert blamed(answer, field, message), answer.message


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {"app": "x"}},
        {"matchExpressions": [{"key": "app", "operator": "In", "values": ["x", "y"]}]},
        {"matchExpressions": [{"key": "app", "operator": "Exists"}, {"key": "b", "operator": "DoesNotExist"}]},
        {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["y"]}]},
    ],
)
def test_selector_that_matches(hostler: ApiServer, selector: Raw) -> None:
    answer = create(hostler, "default", replica_set(("selector", selector), ("replicas", None)), dryRun="All")
    assert answer.code == 201, answer.message
    assert answer.body["spec"]["replicas"] == 1


def test_virtual_machine(hostler: ApiServer) -> None:
    """It gets our finalizer beside the user's, and nothing else."""
    given = vm()
    given["metadata"]["finalizers"] = ["example.com/mine"]
    answer = create(hostler, "default", given, dryRun="All")
    assert answer.code == 201, answer.message
    ours = "kubevirt.io/virtualMachineControllerFinalize"
    assert answer.body["metadata"]["finalizers"] == ["example.com/mine", ours]
    assert answer.body["spec"] == given["spec"]


TEMPLATE = {"metadata": {"name": "dv"}, "spec": {"source": {"blank": {}}}}


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        pytest.param(
            {"running": True},
            "spec.running",
            "Running and RunStrategy are mutually exclusive. "
            "Note that Running is deprecated, please use RunStrategy instead",
            id="running and runStrategy",
        ),
        pytest.param({"runStrategy": None}, "spec.runStrategy", "RunStrategy must be specified", id="neither"),
        pytest.param({"runStrategy": "Now"}, "spec.runStrategy", "Invalid RunStrategy (Now)", id="unknown"),
        pytest.param(
            {"runStrategy": "WaitAsReceiver"}, "spec.runStrategy", "WaitAsReceiver: not supported by hostler", id="wait"
        ),
        pytest.param(
            {"instancetype": {"name": "u1.small"}}, "spec.instancetype", "not supported by hostler", id="instancetype"
        ),
        pytest.param({"preference": {"name": "x"}}, "spec.preference", "not supported by hostler", id="preference"),
        pytest.param(
            {"updateVolumesStrategy": "Migration"}, "spec.updateVolumesStrategy", "not supported by hostler", id="move"
        ),
        pytest.param({"template": {}}, "spec.template.spec", "missing virtual machine template.", id="no template"),
        pytest.param(
            {"dataVolumeTemplates": [TEMPLATE]},
            "spec.dataVolumeTemplates",
            "DataVolumeTemplate entry spec.dataVolumeTemplate[0] must be referenced in the VMI template's "
            "'volumes' list",
            id="a template that nothing uses",
        ),
        pytest.param(
            {"template.metadata": {"labels": {"kubevirt.io/created-by": "me"}}},
            "spec.template.metadata.labels",
            "creation of the following reserved kubevirt.io/ labels on a VMI object is prohibited",
            id="reserved label",
        ),
    ],
)
def test_bad_virtual_machine(hostler: ApiServer, changes: dict[str, Any], field: str, message: str) -> None:
    answer = create(hostler, "default", vm(*changes.items()), dryRun="All")
    assert blamed(answer, field, message), answer.message


def manifests() -> list[Raw]:
    return [body for path in sorted(EXAMPLES.glob("*.yaml")) for body in yaml.safe_load_all(path.read_text())]


@pytest.mark.parametrize("body", manifests(), ids=lambda body: f"{body['kind']}-{body['metadata']['name']}")
def test_example(hostler: ApiServer, body: Raw) -> None:
    answer = create(hostler, "default", body, dryRun="All")
    assert answer.code == 201, answer.message


EVERYTHING = {
    "architecture": "amd64",
    "nodeSelector": {"a": "b"},
    "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}],
    "hostname": "web",
    "subdomain": "sub",
    "terminationGracePeriodSeconds": 0,
    "evictionStrategy": "None",
    "dnsPolicy": "None",
    "dnsConfig": {"nameservers": ["10.0.0.1", "fd00::1"], "options": [{"name": "ndots", "value": "2"}]},
    "priorityClassName": "high",
    "domain.cpu": {
        "sockets": 2,
        "cores": 1,
        "threads": 1,
        "maxSockets": 4,
        "model": "host-model",
        "features": [{"name": "apic"}],
    },
    "networks": [{"name": "default", "pod": {"vmNetworkCIDR": "10.0.2.5/24"}}],
    "domain.chassis": {"serial": "1"},
    "domain.ioThreadsPolicy": "auto",
    "domain.rebootPolicy": "Terminate",
    "domain.clock": {"utc": {"offsetSeconds": 3600}, "timer": {"hpet": {"present": False}}},
    "domain.features": {"acpi": {}, "apic": {"endOfInterrupt": True}, "hyperv": {"relaxed": {"enabled": True}}},
    "domain.firmware": {
        "uuid": "5d307ca9-b3ef-428c-8861-06e72d69f223",
        "serial": "A-1",
        "bootloader": {"bios": {"useSerial": True}},
        "kernelBoot": {"kernelArgs": "quiet", "container": {"image": "x", "kernelPath": "/boot/vmlinuz"}},
    },
    "domain.machine": {"type": "pc-q35-10.0"},
    "domain.memory.guest": "1Gi",
    "domain.resources": {"requests": {"memory": "1Gi", "cpu": "500m"}, "limits": {"memory": "1.5Gi", "cpu": 2}},
    "domain.devices.autoattachSerialConsole": False,
    "domain.devices.blockMultiQueue": False,
    "domain.devices.gpus": [],
    "domain.devices.inputs": [{"name": "t", "type": "tablet", "bus": "usb"}],
    "domain.devices.rng": {},
    "domain.devices.video": {"type": "vga"},
    "domain.devices.watchdog": {"name": "w", "i6300esb": {"action": "reset"}},
    DISKS: [
        disk(
            "root",
            disk={"bus": "virtio"},
            bootOrder=1,
            serial="root.1",
            cache="none",
            io="native",
            dedicatedIOThread=True,
        ),
        disk("claim", disk={"bus": "scsi", "readonly": True}, shareable=True, errorPolicy="report"),
        disk("empty", disk={"bus": "sata"}, blockSize={"custom": {"logical": 512, "physical": 4096}}),
        disk("cloud", cdrom={"bus": "sata", "tray": "open"}),
        disk("config", disk={"bus": "usb"}),
    ],
    INTERFACES: [
        {
            "name": "default",
            "bridge": {},
            "model": "e1000e",
            "macAddress": "02:00:00:00:00:01",
            "state": "down",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}, {"port": 65535}],
            "portRanges": [{"start": 8000, "end": 8100, "protocol": "UDP"}],
            "bootOrder": 2,
            "acpiIndex": 1,
        }
    ],
    "volumes": [
        volume("root", containerDisk={"image": "x:1", "path": "/disk/my disk.qcow2", "imagePullSecret": "s"}),
        volume("claim", persistentVolumeClaim={"claimName": "c"}),
        volume("empty", emptyDisk={"capacity": "1Gi"}),
        volume("cloud", cloudInitNoCloud={"userData": "x" * 2048, "networkDataBase64": "YQ=="}),
        volume("config", cloudInitConfigDrive={"secretRef": SECRET, "networkDataSecretRef": SECRET}),
    ],
}


def test_everything_at_once(hostler: ApiServer) -> None:
    answer = create(hostler, "default", vmi(*EVERYTHING.items()), dryRun="All")
    assert answer.code == 201, answer.message


def test_the_older_version_warns(hostler: ApiServer) -> None:
    body = vmi() | {"apiVersion": "kubevirt.io/v1alpha3"}
    answer = hostler.create(url(VMI, "default", "v1alpha3"), body, dryRun="All")
    assert answer.code == 201
    assert "kubevirt.io/v1alpha3 is now deprecated and will be removed in a future release." in answer.warnings[0]


def test_defaults(hostler: ApiServer) -> None:
    body = vmi(
        ("domain", {"devices": {}, "resources": {"requests": {"memory": "64Mi", "cpu": "1500m"}}}), ("networks", None)
    )
    made = create(hostler, "default", body, dryRun="All").body
    assert made["spec"] == body["spec"] | {
        "architecture": "amd64",
        "evictionStrategy": "None",
        "networks": [{"name": "default", "pod": {}}],
        "domain": body["spec"]["domain"]
        | {
            "cpu": {"sockets": 2, "cores": 1, "threads": 1, "model": "host-model"},
            "machine": {"type": "q35"},
            "memory": {"guest": "64Mi"},
            "devices": {"disks": [{"name": "root"}], "interfaces": [{"name": "default", "bridge": {}}]},
        },
    }
    assert made["metadata"]["finalizers"] == ["kubevirt.io/foregroundDeleteVirtualMachine"]
    assert made["status"] == {"phase": "Pending"}


def test_defaults_leave_what_was_said(hostler: ApiServer) -> None:
    body = vmi(*EVERYTHING.items())
    body["metadata"]["finalizers"] = ["example.com/mine"]
    made = create(hostler, "default", body, dryRun="All").body
    assert made["spec"] == body["spec"]
    assert made["metadata"]["finalizers"] == ["example.com/mine", "kubevirt.io/foregroundDeleteVirtualMachine"]


def test_no_network_is_no_network(hostler: ApiServer) -> None:
    body = vmi((INTERFACES, None), ("networks", None), ("domain.devices.autoattachPodInterface", False))
    made = create(hostler, "default", body, dryRun="All").body
    assert "networks" not in made["spec"]
    assert "interfaces" not in made["spec"]["domain"]["devices"]


def test_apply_twice(hostler: ApiServer, namespace: str) -> None:
    """The defaults are not taken for a change by whoever applies the same manifest again."""
    first = hostler.apply(url(VMI, namespace), vmi())
    again = hostler.apply(url(VMI, namespace), vmi())
    assert (first.code, again.code) == (201, 200), again.message
    assert again.body["spec"] == first.body["spec"]


# Who may write what


@pytest.fixture
def manager(hostler: ApiServer) -> ApiServer:
    return hostler.account("hostler", "hostler-manager")


@pytest.fixture
def existing(hostler: ApiServer, namespace: str) -> str:
    """The path of a VMI that somebody made."""
    answer = create(hostler, namespace, vmi())
    assert answer.code == 201, answer.message
    return f"{url(VMI, namespace)}/vmi"


def on_node(manager: ApiServer, path: str, node: str) -> None:
    patch = {"status": {"nodeName": node}, "metadata": {"labels": {"kubevirt.io/nodeName": node}}}
    answer = manager.merge(path, patch)
    assert answer.code == 200, answer.message


def test_nobody_is_born_running(hostler: ApiServer, namespace: str) -> None:
    answer = create(hostler, namespace, vmi() | {"status": {"phase": "Running", "nodeName": "n"}})
    assert answer.body["status"] == {"phase": "Pending"}


def test_what_the_manager_makes_keeps_its_status(manager: ApiServer, namespace: str) -> None:
    stamps = [{"phase": "Pending", "phaseTransitionTimestamp": "2026-01-01T00:00:00Z"}]
    status = {"phase": "Pending", "phaseTransitionTimestamps": stamps}
    answer = create(manager, namespace, vmi() | {"status": status})
    assert (answer.code, answer.body.get("status")) == (201, status)


def test_a_person_cannot_write_the_status(hostler: ApiServer, manager: ApiServer, existing: str) -> None:
    on_node(manager, existing, "n")
    answer = hostler.merge(
        existing, {"status": {"phase": "Succeeded", "nodeName": "m"}, "metadata": {"labels": {"a": "b"}}}
    )
    assert answer.code == 200
    assert answer.body["status"] == {"phase": "Pending", "nodeName": "n"}
    assert answer.body["metadata"]["labels"] == {"a": "b", "kubevirt.io/nodeName": "n"}


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        pytest.param({"spec": {"hostname": "other"}}, "update of VMI object is restricted", id="spec"),
        pytest.param(
            {"metadata": {"labels": {"kubevirt.io/nodeName": "n"}}},
            "modification of the following reserved kubevirt.io/ labels on a VMI object is prohibited",
            id="reserved label",
        ),
        pytest.param(
            {"metadata": {"annotations": {"hooks.kubevirt.io/hookSidecars": "[]"}}},
            "sidecar feature gate is not enabled in kubevirt-config, "
            "invalid entry metadata.annotations.hooks.kubevirt.io/hookSidecars",
            id="sidecar",
        ),
    ],
)
def test_a_person_cannot_change(hostler: ApiServer, existing: str, patch: Raw, message: str) -> None:
    answer = hostler.merge(existing, patch)
    assert answer.code == 422
    assert answer.message.endswith(message)


def test_a_person_cannot_set_our_labels(hostler: ApiServer) -> None:
    body = vmi()
    body["metadata"]["labels"] = {"kubevirt.io/created-by": "me"}
    answer = create(hostler, "default", body)
    assert answer.code == 422
    assert answer.message.endswith("reserved kubevirt.io/ labels on a VMI object is prohibited")


def test_a_person_may_let_go(hostler: ApiServer, existing: str) -> None:
    """Deleting and taking the finalizer off work without us."""
    assert hostler.request("DELETE", existing).code == 200
    assert hostler.merge(existing, {"metadata": {"finalizers": []}}).code == 200
    assert hostler.get(existing).code == 404


@pytest.fixture(scope="module")
def nodes(hostler: ApiServer) -> tuple[str, str]:
    for name in ("node-a", "node-b"):
        answer = hostler.create("/api/v1/nodes", {"metadata": {"name": name, "labels": {"zone": "z"}}})
        assert answer.code == 201, answer.message
    return "node-a", "node-b"


@pytest.fixture
def agent(hostler: ApiServer, nodes: tuple[str, str]) -> ApiServer:
    """The agent of the first node, by a token of a pod on it."""
    return hostler.account("hostler", "hostler-agent", node=nodes[0])


RUNNING = {
    "metadata": {"labels": {"kubevirt.io/nodeName": "node-a"}},
    "status": {"phase": "Running", "nodeName": "node-a", "activePods": {"uid": "node-a"}},
}


def test_the_agent_reports_its_guests(agent: ApiServer, existing: str) -> None:
    claimed = agent.merge(existing, RUNNING)
    later = agent.merge(existing, {"status": {"phase": "Running", "interfaces": [{"ipAddress": "10.0.0.1"}]}})
    assert (claimed.code, later.code) == (200, 200), claimed.message + later.message


def test_the_agent_keeps_off_other_nodes_guests(agent: ApiServer, manager: ApiServer, existing: str) -> None:
    on_node(manager, existing, "node-b")
    for patch in ({"status": {"phase": "Failed"}}, RUNNING):
        answer = agent.merge(existing, patch)
        assert answer.code == 403
        assert "Node restriction, hostler-agent is only allowed to modify VMIs it owns" in answer.message


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"status": {"nodeName": "node-b"}}, "not allowed to set target node"),
        ({"metadata": {"labels": {"kubevirt.io/nodeName": "node-b"}}}, "not allowed to set target node"),
        ({"spec": {"hostname": "x"}}, "only allowed to report the status of a VMI"),
        ({"metadata": {"finalizers": []}}, "only allowed to report the status of a VMI"),
    ],
)
def test_the_agent_may_not(agent: ApiServer, existing: str, patch: Raw, message: str) -> None:
    answer = agent.merge(existing, patch)
    assert answer.code == 403
    assert f"Node restriction, hostler-agent is {message}" in answer.message


def test_an_agent_without_a_node_may_nothing(hostler: ApiServer, existing: str) -> None:
    answer = hostler.account("hostler", "hostler-agent").merge(existing, RUNNING)
    assert "Node restriction, the token of hostler-agent names no node" in answer.message


MARKS = {"labels": {"kubevirt.io/schedulable": "true"}, "annotations": {"kubevirt.io/heartbeat": "now"}}


def test_the_agent_marks_its_node(agent: ApiServer) -> None:
    answer = agent.merge("/api/v1/nodes/node-a", {"metadata": MARKS})
    assert answer.code == 200, answer.message
    assert agent.merge("/api/v1/nodes/node-a", {"metadata": {"labels": {"kubevirt.io/schedulable": None}}}).code == 200


@pytest.mark.parametrize(
    ("node", "patch", "message"),
    [
        pytest.param("node-b", {"metadata": MARKS}, "its own node", id="another node"),
        pytest.param("node-a", {"spec": {"unschedulable": True}}, "labels and annotations", id="spec"),
        pytest.param("node-a", {"metadata": {"labels": {"zone": "y"}}}, "labels and annotations", id="label"),
        pytest.param("node-a", {"metadata": {"labels": {"zone": None}}}, "labels and annotations", id="no label"),
        pytest.param("node-a", {"metadata": {"labels": {"a.io/b": "c"}}}, "labels and annotations", id="new label"),
        pytest.param("node-a", {"metadata": {"labels": {"xkubevirt.io/b": "c"}}}, "labels and annotations", id="like"),
    ],
)
def test_the_agent_keeps_off_nodes(agent: ApiServer, node: str, patch: Raw, message: str) -> None:
    answer = agent.merge(f"/api/v1/nodes/{node}", patch)
    assert answer.code == 403
    assert "Node restriction, hostler-agent is only allowed to" in answer.message
    assert message in answer.message
