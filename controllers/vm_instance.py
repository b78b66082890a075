"""What a VirtualMachine's instance is made of, and whether a running one is still what its template says. Pure."""

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any
from uuid import UUID

from controllers.launcher_volumes import claim_name
from controllers.resources import vcpus
from hostler.api import launcher, quantity
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.limits import MOST_CPUS
from hostler.runtime import conditions
from hostler.runtime.errors import Terminal
from hostler.runtime.plan import owner_reference
from hostler.runtime.protocol import Raw

GENERATION = "kubevirt.io/vm-generation"  # annotation: the VM's generation that the instance was made from
TEMPLATE = "hostler.io/vm-template"  # annotation: digest of what of the template cannot change under a guest
RATIO = 4  # how far a guest may grow where nothing is said
SMALL = 1 << 30  # bytes: a guest with less memory than this gets no room for more unless it asks
STEP = 2 << 20  # bytes: memory grows in such steps
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
    room_to_grow(vm, spec["domain"])
    if paused:
        spec["startStrategy"] = "Paused"
    marks = {GENERATION: str(meta.generation), TEMPLATE: digest(vm)}
    if epoch := meta.annotations.get(launcher.OWNER_EPOCH):  # an earlier owner of the disks was declared dead
        marks[launcher.OWNER_EPOCH] = epoch
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


def room_to_grow(vm: VirtualMachine, domain: Raw) -> None:
    """How many sockets, and how much memory, the guest can have without a restart: KubeVirt's defaults."""
    given = vm.spec.template.spec
    if given is None:
        return
    cpu = domain.setdefault("cpu", {})
    if not cpu.get("maxSockets"):
        sockets = cpu.get("sockets") or (1 if cpu.get("cores") or cpu.get("threads") else vcpus(given))
        each = (cpu.get("cores") or 1) * (cpu.get("threads") or 1)
        cpu["maxSockets"] = max(sockets, min(sockets * RATIO, MOST_CPUS // each))
    memory = domain.get("memory", {})
    if memory.get("guest") is not None and memory.get("maxGuest") is None:
        size = quantity.whole(memory["guest"])
        if size >= SMALL:
            memory["maxGuest"] = str(size * RATIO)


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


def fixed(spec: Raw) -> Raw:
    """The part of an instance's spec that needs a restart when it changes."""
    hot = hotpluggable(spec)
    domain = spec["domain"]
    for part, name in (("cpu", "sockets"), ("memory", "guest")):
        if part in domain:
            domain[part].pop(name, None)
            if not domain[part]:
                del domain[part]
    domain["devices"]["disks"] = [each for each in domain["devices"].get("disks", ()) if each["name"] not in hot]
    spec["volumes"] = [each for each in spec.get("volumes", ()) if each["name"] not in hot]
    return spec


def hotpluggable(spec: Raw) -> set[str]:
    """Names of the volumes that come while the guest runs."""
    sources = ("persistentVolumeClaim", "dataVolume")
    volumes = spec.get("volumes", ())
    return {each["name"] for each in volumes if any(each.get(source, {}).get("hotpluggable") for source in sources)}


def outdated(vm: VirtualMachine, vmi: VirtualMachineInstance) -> str:
    """Why the guest must be restarted to be what the VM says; "" if it need not."""
    made_from = vmi.metadata.annotations.get(TEMPLATE)
    if made_from is not None and made_from != digest(vm):
        return "a non-live-updatable field was changed in the template spec"
    return live_cpu(vm, vmi)[1] or live_memory(vm, vmi)[1] if made_from is not None else ""


def live(vm: VirtualMachine, vmi: VirtualMachineInstance) -> Raw:
    """A merge patch of a running instance's spec: what of the VM's template its guest can follow."""
    sockets, memory, disks = live_cpu(vm, vmi)[0], live_memory(vm, vmi)[0], live_disks(vm, vmi)
    domain: Raw = {}
    if sockets is not None:
        domain["cpu"] = {"sockets": sockets}
    if memory is not None:
        domain["memory"] = {"guest": memory}
    if disks is not None:
        domain["devices"] = {"disks": disks[1]}
        return {"domain": domain, "volumes": disks[0]}
    return {"domain": domain} if domain else {}


def live_cpu(vm: VirtualMachine, vmi: VirtualMachineInstance) -> tuple[int | None, str]:
    """Sockets to have now, and why it takes a restart."""
    spec, now = vm.spec.template.spec, vmi.spec.domain.cpu
    wanted = spec.domain.cpu.sockets if spec and spec.domain.cpu else None
    have = (now.sockets if now else None) or 1
    if not wanted or wanted == have:
        return None, ""
    if wanted < have:
        return None, "Reduction of CPU socket count requires a restart"
    if wanted > ((now.max_sockets if now else None) or have):
        return None, "CPU sockets updated in template spec to a value higher than what's available"
    return wanted, ""


def live_memory(vm: VirtualMachine, vmi: VirtualMachineInstance) -> tuple[Any, str]:
    """Memory to have now, and why it takes a restart."""
    spec, now = vm.spec.template.spec, vmi.spec.domain.memory
    wanted = spec.domain.memory.guest if spec and spec.domain.memory else None
    if wanted is None or now is None or now.guest is None or quantity.whole(wanted) == quantity.whole(now.guest):
        return None, ""
    known = vmi.status.memory if vmi.status else None
    first = quantity.whole(known.guest_at_boot if known and known.guest_at_boot is not None else now.guest)
    size = quantity.whole(wanted)
    if size < first:
        return None, "memory updated in template spec to a value lower than what the VM started with"
    if size > quantity.whole(now.max_guest if now.max_guest is not None else now.guest):
        return None, "memory updated in template spec to a value higher than what's available"
    if (size - first) % STEP:
        return None, "Guest memory must be 2Mi aligned"
    return wanted, ""


def live_disks(vm: VirtualMachine, vmi: VirtualMachineInstance) -> tuple[list[Raw], list[Raw]] | None:
    """All volumes and disks of the instance, if those that come and go are others by now."""
    wanted, now = template_spec(vm), vmi.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    want, have = hotpluggable(wanted) - exchanged(vm, vmi), hotpluggable(now)
    if picked(wanted.get("volumes", ()), want) == picked(now.get("volumes", ()), have):
        return None
    devices, old = wanted["domain"]["devices"].get("disks", ()), now["domain"]["devices"].get("disks", ())
    volumes = [each for each in now.get("volumes", ()) if each["name"] not in have]
    disks = [each for each in old if each["name"] not in have]
    return volumes + picked(wanted.get("volumes", ()), want), disks + picked(devices, want)


def exchanged(vm: VirtualMachine, vmi: VirtualMachineInstance) -> set[str]:
    """Volumes that are of another claim by now: the guest gives the old disk back before it gets the new one."""
    spec, told = vm.spec.template.spec, vmi.status.volume_status if vmi.status else ()
    held = {each.name: each.persistent_volume_claim_info for each in told if each.hotplug_volume}
    had = {name: info and info.claim_name for name, info in held.items()}
    had |= {each.name: claim_name(each) for each in vmi.spec.volumes if each.name in held}
    wanted = {each.name: claim_name(each) for each in spec.volumes} if spec else {}
    return {name for name in held if name in wanted and wanted[name] != had.get(name)}


def picked(items: Iterable[Raw], names: set[str]) -> list[Raw]:
    return [each for each in items if each["name"] in names]


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
