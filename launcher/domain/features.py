"""What the machine offers to its guest: ACPI, APIC, Hyper-V enlightenments, the emulator's limits."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from hostler.api.kubevirt.common import FeatureState
from hostler.api.kubevirt.domain import FeatureHyperv, Features
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.launcher import tb_cache_mib
from hostler.runtime.errors import Terminal
from launcher.domain.host import Host
from launcher.domain.memory import guest_bytes
from launcher.domain.xml import on, tag

RETRIES = 4096  # of a spinlock before the hypervisor is told; KubeVirt's default
# KubeVirt's word -> libvirt's element, in libvirt's order.
HYPERV = {
    "relaxed": "relaxed",
    "vapic": "vapic",
    "spinlocks": "spinlocks",
    "vpindex": "vpindex",
    "runtime": "runtime",
    "synic": "synic",
    "synictimer": "stimer",
    "reset": "reset",
    "vendorid": "vendor_id",
    "frequencies": "frequencies",
    "reenlightenment": "reenlightenment",
    "tlbflush": "tlbflush",
    "ipi": "ipi",
    "evmcs": "evmcs",
}
# QEMU refuses the one without the other.
NEEDS = {"synic": ("vpindex",), "synictimer": ("synic", "vpindex"), "tlbflush": ("vpindex",), "ipi": ("vpindex",)}
NEEDS |= {"evmcs": ("vapic",)}


def features(vmi: VirtualMachineInstance, host: Host) -> list[Element]:
    given = vmi.spec.domain.features
    wanted = given or Features()
    parts = [
        tag("acpi") if vmi.spec.domain.has_acpi else None,
        apic(wanted),
        tag("smm", state=on(enabled(wanted.smm))) if wanted.smm else None,
        tag("pvspinlock", state=on(enabled(wanted.pvspinlock))) if wanted.pvspinlock else None,
        tag("kvm", tag("hidden", state=on(bool(wanted.kvm.hidden)))) if wanted.kvm and host.kvm else None,
        hyperv(wanted, host),
        tag("vmport", state="off") if given else None,
        None if host.kvm else tag("tcg", tag("tb-cache", str(tb_cache_mib(guest_bytes(vmi))), unit="MiB")),
    ]
    return [tag("features", *parts)]


def enabled(state: FeatureState | None) -> bool:
    """Absent is off; present is on unless it says no."""
    return state is not None and state.enabled is not False


def apic(wanted: Features) -> Element | None:
    if wanted.apic is None or wanted.apic.enabled is False:
        return None
    eoi = wanted.apic.end_of_interrupt
    return tag("apic", eoi=None if eoi is None else on(eoi))


def hyperv(wanted: Features, host: Host) -> Element | None:
    """Enlightenments for Windows, and those that they need; an emulated CPU has none."""
    through = wanted.hyperv_passthrough and wanted.hyperv_passthrough.enabled is not False
    if not through and not wanted.hyperv:
        return None
    if not host.kvm:
        path = "spec.domain.features." + ("hypervPassthrough" if through else "hyperv")
        raise Terminal("NeedsKVM", f"{path}: needs KVM, and this guest is emulated; remove it or use a node with KVM")
    if through or not wanted.hyperv:
        return tag("hyperv", mode="passthrough")
    return tag("hyperv", *enlightenments(wanted.hyperv), mode="custom")


def enlightenments(wanted: FeatureHyperv) -> Iterator[Element]:
    chosen = {name for name in HYPERV if enabled(getattr(wanted, name))}
    chosen |= {need for name in chosen for need in NEEDS.get(name, ())}
    for name, element in HYPERV.items():
        if name in chosen:
            yield tag(element, *details(wanted, name), state="on", **values(wanted, name))
        elif getattr(wanted, name) is not None:
            yield tag(element, state="off")


def values(wanted: FeatureHyperv, name: str) -> dict[str, str | int | None]:
    if name == "spinlocks":
        return {"retries": (wanted.spinlocks and wanted.spinlocks.spinlocks) or RETRIES}
    if name == "vendorid" and wanted.vendorid:
        return {"value": wanted.vendorid.vendorid}
    return {}


def details(wanted: FeatureHyperv, name: str) -> list[Element]:
    """What a nested hypervisor gets of a timer or a TLB flush."""
    given = {"synictimer": wanted.synictimer, "tlbflush": wanted.tlbflush}.get(name)
    states = {part: getattr(given, part, None) for part in ("direct", "extended")}
    return [tag(part, state=on(enabled(state))) for part, state in states.items() if state]
