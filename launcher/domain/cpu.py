"""Virtual CPUs: how many, in which topology, of which model."""

from xml.etree.ElementTree import Element

from hostler.api import quantity
from hostler.api.kubevirt.domain import CPU
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.limits import MOST_CPUS
from hostler.runtime.errors import Terminal
from launcher.domain.host import Host
from launcher.domain.memory import cells
from launcher.domain.xml import tag, yes

HOST_MODEL = "host-model"  # KubeVirt's default
PASSTHROUGH = "host-passthrough"


def cpu(vmi: VirtualMachineInstance, host: Host) -> list[Element]:
    wanted = vmi.spec.domain.cpu or CPU()
    sockets, cores, threads = topology(vmi)
    most = max(wanted.max_sockets or 0, sockets)
    shape = tag("topology", sockets=most, dies=1, cores=cores, threads=threads)
    count, total = cpus(vmi), most * cores * threads
    if total > MOST_CPUS:  # limits.cpu, too, can ask for as many: the XML, and this process, would grow without end
        raise Terminal("TooManyCPUs", f"spec.domain.cpu: {total} virtual CPUs; at most {MOST_CPUS} are supported")
    grows = cells(vmi, total)
    parts = [tag("vcpu", str(total), placement="static", current=count if count < total else None)]
    if count < total:
        parts.append(plugs(count, total, first=cores * threads))
    chosen = model(wanted, host, shape)
    if grows is not None:
        chosen.append(grows)
    return [*parts, chosen]


def topology(vmi: VirtualMachineInstance) -> tuple[int, int, int]:
    """Sockets, cores, threads: those given, else one socket for each CPU of limits or requests."""
    wanted, resources = vmi.spec.domain.cpu, vmi.spec.domain.resources
    if wanted and (wanted.sockets or wanted.cores or wanted.threads):
        return wanted.sockets or 1, wanted.cores or 1, wanted.threads or 1
    asked = resources and (resources.limits.get("cpu") or resources.requests.get("cpu"))
    return max(1, quantity.whole(asked)) if asked else 1, 1, 1


def cpus(vmi: VirtualMachineInstance) -> int:
    """How many virtual CPUs the guest starts with."""
    sockets, cores, threads = topology(vmi)
    return sockets * cores * threads


def plugs(count: int, total: int, first: int) -> Element:
    """Which CPUs are there from the start; those of the first socket cannot be unplugged."""
    states = [
        tag("vcpu", id=number, enabled=yes(number < count), hotpluggable=yes(number >= first))
        for number in range(total)
    ]
    return tag("vcpus", *states)


def model(wanted: CPU, host: Host, shape: Element) -> Element:
    """What CPU the guest sees.

    Emulated CPUs have nothing of the host's: "the host's model" then means all that the emulator can do ("maximum"),
    so that guests built for x86-64-v2 or v3 run; and a named model is taken less what the emulator cannot do.
    """
    features = [tag("feature", name=one.name, policy=one.policy or "require") for one in wanted.features]
    name = wanted.model or HOST_MODEL
    if name in (HOST_MODEL, PASSTHROUGH):
        return tag("cpu", shape, *features, mode=name if host.kvm else "maximum")
    if all(one.name != "mpx" for one in wanted.features):  # gone from CPUs and Linux, still in libvirt's models
        features.append(tag("feature", name="mpx", policy="disable"))
    check = None if host.kvm else "none"
    return tag("cpu", shape, tag("model", name), *features, mode="custom", match="exact", check=check)
