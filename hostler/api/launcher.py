"""The launcher pod: the names and places that the controllers, the pod and the node agent agree on.

Names that KubeVirt's tools look for are KubeVirt's; the rest are ours.
"""

import json
from base64 import b64encode
from typing import Annotated, Literal

from pydantic import PlainSerializer

from hostler.api.meta import Model

# labels and annotations (KubeVirt's)
APP_LABEL = "kubevirt.io"
APP_VALUE = "virt-launcher"
CREATED_BY = "kubevirt.io/created-by"  # label: UID of the VMI
VMI_NAME = "vm.kubevirt.io/name"  # label
SET = "hostler.io/set"  # label: UID of the set that controls the VMI
DOMAIN = "kubevirt.io/domain"  # annotation: name of the VMI
NODE_NAME = "kubevirt.io/nodeName"  # label on the VMI once it runs on a node
SCHEDULABLE = "kubevirt.io/schedulable"  # label on nodes
HEARTBEAT = "kubevirt.io/heartbeat"  # annotation on nodes: RFC 3339 time of the agent's last sign of life
NOT_PROBED = "ContainersNotReady"  # reason of Ready=False while the guest's readiness probe fails; Kubernetes' own
VMI_FINALIZER = "kubevirt.io/foregroundDeleteVirtualMachine"
VM_FINALIZER = "kubevirt.io/virtualMachineControllerFinalize"  # on a VM, and on its VMI

# by which a guest says how it went; docs/jobs.md
# condition of a pod that is ended through no fault of its own: Kubernetes' own, copied to the VMI
DISRUPTION = "DisruptionTarget"
PORTS = "hostler.io/outcome-ports"  # annotation on a VMI: "true" gives the guest these two virtio-serial ports
EXIT_PORT = "io.hostler.exit.0"  # the last line is the exit code
RESULT_PORT = "io.hostler.result.0"  # the last RESULT_LIMIT bytes are the result
RESULT_LIMIT = 3584
# live migration (KubeVirt's names, but for those of hostler.io)
MIGRATION_FINALIZER = "kubevirt.io/migrationJobFinalize"
MIGRATION_VMI = "kubevirt.io/vmi-name"  # label on a migration: whom it moves
MIGRATION_UID = "kubevirt.io/migrationJobUID"  # label on a pod that a guest moves into, or moved into: UID of the move
MIGRATION_NAME = "kubevirt.io/migrationJobName"  # annotation beside it
TARGET_NODE = "kubevirt.io/migrationTargetNodeName"  # label on the VMI while it moves
EVACUATION = "kubevirt.io/evacuationMigration"  # annotation on a migration: the node that is to be empty
MIGRATABLE = "hostler.io/live-migratable"  # annotation on a launcher pod: "True", or "REASON: why not"
# annotation on the VMI and its pods: the guest runs where they agree; on a VM: raised when an owner is declared dead
OWNER_EPOCH = "hostler.io/owner-epoch"
TARGET_EPOCH = "hostler.io/target-epoch"  # annotation on a VMI that moves: its epoch after the hand-over
PROGRESS = "hostler.io/migration-progress"  # annotation on a VMI that moves: JSON of bytes, for people who wait
MIGRATION_PORTS = (49152, 49153)  # in the target pod: memory and disks; KubeVirt's

# device plugin resources
KVM = "devices.kubevirt.io/kvm"
TUN = "devices.kubevirt.io/tun"
VHOST_NET = "devices.kubevirt.io/vhost-net"

ATTACHMENT = "hotplug-disk"  # value of APP_LABEL, and the container, of the pod that brings a disk to a running guest
PODS = f"{APP_LABEL} in ({APP_VALUE},{ATTACHMENT})"  # selects all pods of guests
PLUGGED = "hp-"  # what libvirt calls the descriptors of a disk that came to a running guest begins with it

TB_CACHE = (32, 128)  # MiB: the least and the most

COMPUTE = "compute"  # the container that holds libvirtd and QEMU
# Its command; the image has launcher/pod/*.py there. What a PID 1 has no handler for yet, Linux drops, unless it is
# blocked; and Python takes a while to start.
PID1 = ("env", "--block-signal=TERM", "python3", "-S", "-E", "/usr/lib/hostler/pid1.py")
PROBE = ("python3", "-S", "-E", "/usr/lib/hostler/probe.py")  # asks the agent in the guest; launcher/pod/probe.py
ATTACH = ("python3", "-S", "-E", "/usr/lib/hostler/attach.py")  # the command of an attachment pod
UID = 107  # of everything in the pod; libvirt-qemu in the image's /etc/passwd

# places inside the compute container
PRIVATE_VOLUME = "private"  # emptyDir; the agent finds it below the kubelet's pods directory by the pod's UID
PRIVATE = "/var/run/kubevirt-private"
LIBVIRT_SOCKET = f"{PRIVATE}/libvirt/libvirt-sock"
SERIAL_SOCKET = f"{PRIVATE}/virt-serial0"
SERIAL_LOG = f"{PRIVATE}/serial.fifo"  # PID 1 copies it to its standard output: `kubectl logs` shows the console
EXIT_FIFO = f"{PRIVATE}/exit.fifo"  # what the guest writes to its port EXIT_PORT; PID 1 reads it
RESULT_FIFO = f"{PRIVATE}/result.fifo"
VNC_SOCKET = f"{PRIVATE}/virt-vnc"
PKI = f"{PRIVATE}/pki"  # certificates of one migration; the agents write them
GUEST_AGENT_SOCKET = f"{PRIVATE}/guest-agent"
DISKS_VOLUME = "disks"  # emptyDir: overlays, empty disks, cloud-init images
DISKS = "/var/run/hostler/disks"
IMAGES = "/var/run/hostler/images"  # IMAGES/<volume>: a containerDisk's image volume, read-only
HOTPLUG = "/run/hostler/hotplug"  # in an attachment pod: the folder of a filesystem PVC, with disk.img,
HOTPLUG_DEVICE = "/dev/hotplug"  # or the device node of a block PVC
KERNEL_VOLUME = "kernel-boot"
KERNEL = f"{IMAGES}/{KERNEL_VOLUME}"
CLAIMS = "/var/run/kubevirt-private/vmi-disks"  # CLAIMS/<volume>/disk.img: a filesystem PVC
DEVICES = "/dev"  # DEVICES/<volume>: a block PVC
SECRETS = "/var/run/hostler/secrets"  # SECRETS/<volume>/{userdata,networkdata}: cloud-init data from Secrets
# How the guest ended: one line of JSON, {"reason": ..., "message": ..., "exitCode": ...}, then the guest's result
TERMINATION_LOG = "/dev/termination-log"

PREPARE_ENV = "HOSTLER_PREPARE"  # JSON of what PID 1 makes before libvirtd starts; see launcher/pod/prepare.py

TAP = "tap0"
BRIDGE = "k6t-eth0"


def domain_name(namespace: str, name: str) -> str:
    """libvirt's name for the domain of a VMI, as KubeVirt spells it."""
    return f"{namespace}_{name}"


def ending_reason(message: str) -> str:
    """Why the guest ended, by the pod's termination log; "" if PID 1 did not write that. A tenant may have."""
    try:
        reason = json.loads(message.partition("\n")[0])["reason"]
    except (ValueError, TypeError, KeyError):
        return ""
    return reason if isinstance(reason, str) else ""


def disk_path(volume: str) -> str:
    """Where PID 1 leaves the image of an overlay, empty or cloud-init disk."""
    return f"{DISKS}/{volume}"


def claim_path(volume: str) -> str:
    """The raw disk image on a filesystem PVC."""
    return f"{CLAIMS}/{volume}/disk.img"


def device_path(volume: str) -> str:
    """The device node of a block PVC."""
    return f"{DEVICES}/{volume}"


Encoded = Annotated[bytes, PlainSerializer(lambda data: b64encode(data).decode(), when_used="unless-none")]


class Overlay(Model):
    """A containerDisk: a fresh qcow2 overlay over the image file; `path` None means the only file in /disk."""

    kind: Literal["overlay"] = "overlay"
    volume: str
    path: str | None = None


class EmptyDisk(Model):
    """A fresh, empty qcow2 image."""

    kind: Literal["empty"] = "empty"
    volume: str
    bytes: int


class ClaimDisk(Model):
    """A filesystem PVC: a sparse raw disk.img of this size is made if there is none; an existing one is kept."""

    kind: Literal["claim"] = "claim"
    volume: str
    bytes: int


class CloudInit(Model):
    """A cloud-init ISO: label "cidata" is NoCloud's layout, "config-2" the config drive's.

    `secrets` names what to read from SECRETS/<volume>/ in place of the bytes given here.
    """

    kind: Literal["cloudInit"] = "cloudInit"
    volume: str
    label: Literal["cidata", "config-2"]
    instance_id: str
    hostname: str
    user_data: Encoded | None = None
    network_data: Encoded | None = None
    secrets: tuple[Literal["userdata", "networkdata"], ...] = ()


class Boot(Model):
    """kernelBoot: paths of kernel and initrd inside the image mounted at KERNEL."""

    kernel: str | None = None
    initrd: str | None = None


class Prepare(Model):
    """What PID 1 makes before libvirtd starts, and how long it lets the guest shut down. Travels in PREPARE_ENV.

    The pod's own terminationGracePeriodSeconds must be longer than `grace_seconds` (KubeVirt: 15 s longer).
    """

    domain: str
    grace_seconds: int
    boot: Boot | None = None
    disks: tuple[Overlay | EmptyDisk | ClaimDisk | CloudInit, ...] = ()

    def json_text(self) -> str:
        return self.model_dump_json(by_alias=True, exclude_none=True)


def tb_cache_mib(memory: int) -> int:
    """MiB of translated code that QEMU keeps for an emulated guest of `memory` bytes: a quarter of them, in bounds.

    With less, a system of that size translates the same code again and again: a whole Debian of 512 MiB boots in 0.57
    of the CPU time with 128 MiB that it takes with 32, and with more it gains nothing, nor does a small Linux of 96 MiB
    with more than 32 (tests/bench/emulation.py).
    """
    least, most = TB_CACHE
    return min(max(memory >> 22, least), most)
