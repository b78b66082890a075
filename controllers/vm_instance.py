"""What a VirtualMachine's instance is made of, and whether a running one is still what its template says. Pure."""

import json
from hashlib import sha256
from typing import Any
from uuid import UUID

from hostler.api import launcher
from hostler.api.fencing import OWNER_EPOCH
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime import conditions
from hostler.runtime.errors import Terminal
from hostler.runtime.plan import owner_reference
from hostler.runtime.protocol import Raw

GENERATION = "kubevirt.io/vm-generation"  # annotation: the VM's generation that the instance was made from
TEMPLATE = "hostler.io/vm-template"  # annotation: digest of what of the template cannot change under a guest
LOCAL = 0x02  # first byte of a MAC address that nobody bought


def body(vm: VirtualMachine, now_text: str, *, paused: bool = False) -> Raw:
    """The instance's manifest; guests keep their identity because it comes from the VM's UID."""
    meta, template = vm.metadata, vm.spec.template.metadata
    spec = template_spec(vm)
    firmware = spec["domain"].setdefault("firmware", {})
    if not firmware.get("uuid"):
        firmware["uuid"] = stable_uuid(meta.uid)
    for interface in spec["domain"]["devices"].get("interfaces", ()):
        # a bridged guest takes over the pod's address, which the network may insist on
        if "bridge" not in interface and not interface.get("macAddress"):
            interface["macAddress"] = stable_mac(meta.uid, interface["name"])
    if paused:
        spec["startStrategy"] = "Paused"
    marks = {GENERATION: str(meta.generation), TEMPLATE: digest(vm)}
    if epoch := meta.annotations.get(OWNER_EPOCH):  # an earlier owner of the disks was declared dead
        marks[OWNER_EPOCH] = epoch
    pending = {"phase": "Pending", "phaseTransitionTimestamp": now_text}
    return {
        "metadata": {
            "name": meta.name,
            "namespace": meta.namespace,
            "labels": dict(template.labels) if template else {},
            "annotations": (dict(template.annotations) if template else {}) | marks,
            "finalizers": [launcher.VMI_FINALIZER, launcher.VM_FINALIZER],
            "ownerReferences": [owner_reference(vm)],
        },
        "spec": spec,
        "status": {"phase": "Pending", "phaseTransitionTimestamps": [pending]},
    }


def template_spec(vm: VirtualMachine) -> Raw:
    """The template's spec as it was given: a copy of its own."""
    spec = vm.spec.template.spec
    if spec is None:
        raise Terminal("FailedCreate", "spec.template.spec: missing virtual machine template.")
    return spec.model_dump(mode="json", by_alias=True, exclude_unset=True)


def stable_uuid(uid: str) -> str:
    """The machine's UUID: the VM's UID is one, random and kept for the VM's life, as what KubeVirt makes up is."""
    try:
        return str(UUID(uid))
    except ValueError:
        return str(UUID(bytes=sha256(uid.encode()).digest()[:16], version=5))


def stable_mac(uid: str, interface: str) -> str:
    digest_bytes = sha256(f"{uid}/{interface}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (LOCAL, *digest_bytes[:5]))


def digest(vm: VirtualMachine) -> str:
    """Stands for all of the template that a running guest cannot follow."""
    text = json.dumps(fixed(template_spec(vm)), sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:16]


def fixed(spec: Raw) -> Any:
    """The part of an instance's spec that needs a restart when it changes."""
    return spec


def outdated(vm: VirtualMachine, vmi: VirtualMachineInstance) -> str:
    """Why the guest must be restarted to be what the VM says; "" if it need not."""
    made_from = vmi.metadata.annotations.get(TEMPLATE)
    if made_from is None or made_from == digest(vm):
        return ""
    return "a non-live-updatable field was changed in the template spec"


def observed_generation(vm: VirtualMachine, vmi: VirtualMachineInstance | None) -> int:
    """The VM's generation that its guest has followed."""
    if vmi is None or not outdated(vm, vmi):
        return vm.metadata.generation
    made_from = vmi.metadata.annotations.get(GENERATION, "")
    return int(made_from) if made_from.isdecimal() else vm.metadata.generation


def phase(vmi: VirtualMachineInstance) -> str:
    return (vmi.status and vmi.status.phase) or ""


def final(vmi: VirtualMachineInstance) -> bool:
    return phase(vmi) in ("Succeeded", "Failed")


def dying(vmi: VirtualMachineInstance) -> bool:
    return vmi.metadata.deletion_timestamp is not None


def was_running(vmi: VirtualMachineInstance) -> bool:
    passed = vmi.status.phase_transition_timestamps if vmi.status else ()
    return phase(vmi) == "Running" or any(each.phase == "Running" for each in passed)


def stamp_of(text: str | None) -> float | None:
    """Seconds since 1970."""
    return conditions.parse(text).timestamp() if text else None
