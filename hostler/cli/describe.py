"""vmctl describe: one machine, as a person wants to read it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.objects import Event
from hostler.cli.options import Output, OutputOption
from hostler.cli.target import Kubeconfig, Namespace, VirtualMachines, parse, run, show
from hostler.runtime.conditions import parse as parse_time
from hostler.runtime.errors import NotFound
from hostler.runtime.kube import Api

EVENTS = 12
GOOD = {"Running", "Ready", "Succeeded"}
BAD = {"Failed", "CrashLoopBackOff", "ErrorUnschedulable", "ErrImagePull", "ImagePullBackOff", "ErrorPvcNotFound"}
# conditions whose being True is trouble
UNWELCOME = {"Paused", "Failure", "RestartRequired", "SoftwareEmulation", "ManualRecoveryRequired"}
Raw = dict[str, Any]


def describe(
    what: Annotated[str, typer.Argument(metavar="vm|vmi", help="What it is; or vm/NAME, vmi/NAME.")],
    name: Annotated[str | None, typer.Argument(metavar="NAME")] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Tell all about one machine: what it is, how it came here, how it is, and what happened last.

    Examples:

      vmctl describe vm web

      vmctl describe vmi/web -o json
    """
    kind, only = parse(what if name is None else f"{what}/{name}")

    async def work(api: Api, place: str) -> Raw:
        return await gather(api, place, only, machine=kind is VirtualMachines)

    found = run(work, namespace, kubeconfig)
    if output is Output.JSON:
        show(found)
    else:
        Console(highlight=False).print(page(found, datetime.now(UTC)))


async def gather(api: Api, namespace: str, name: str, *, machine: bool) -> Raw:
    """The VM, its instance (None if there is none), and the events about both, oldest first."""
    vm = await api.get(VirtualMachine, namespace, name) if machine else None
    vmi = None
    try:
        vmi = await api.get(VirtualMachineInstance, namespace, name)
    except NotFound:
        if not machine:
            raise
    events: list[Raw] = []
    for each in (vm, vmi):
        if each is not None:
            listed, _ = await api.list(Event, namespace, fields=f"regarding.uid={each['metadata']['uid']}")
            events += listed
    return {"vm": vm, "vmi": vmi, "events": sorted(events, key=when)[-EVENTS:]}


def page(found: Raw, now: datetime) -> RenderableType:
    vm, vmi = found["vm"], found["vmi"]
    whole = vm or vmi
    spec = vmi["spec"] if vmi else vm["spec"]["template"]["spec"]
    status = (vmi or {}).get("status") or {}
    parts: list[RenderableType | None] = [
        title(vm, vmi, now),
        section("Machine", facts(machine(spec, status))),
        section("Volumes", grid(("NAME", "DISK", "SOURCE"), volumes(spec, status))),
        section("Addresses", grid(("NAME", "ADDRESSES", "MAC", "IN THE GUEST"), addresses(status))),
        section("Timeline", facts(timeline(whole, status))),
        section("Conditions", conditions((vm or vmi).get("status") or {}, now)),
        section("Events", events(found["events"], now)),
    ]
    return Group(*(part for part in parts if part is not None))


def title(vm: Raw | None, vmi: Raw | None, now: datetime) -> Text:
    whole = vm or vmi or {}
    meta = whole["metadata"]
    state = (vm["status"].get("printableStatus") if vm and vm.get("status") else None) or phase(vmi) or "unknown"
    style = "green" if state in GOOD else "red" if state in BAD else "yellow"
    text = Text.assemble((f"{whole['kind']} ", "dim"), (f"{meta['namespace']}/{meta['name']}", "bold"), "  ")
    text.append(state, style)
    text.append(f"  {age(meta['creationTimestamp'], now)} old", "dim")
    if vm:
        text.append(
            f"  run strategy {vm['spec'].get('runStrategy') or ('Always' if vm['spec'].get('running') else 'Halted')}"
        )
    if vmi and (node := (vmi.get("status") or {}).get("nodeName")):
        text.append(f"  on node {node}")
    return text


def machine(spec: Raw, status: Raw) -> list[tuple[str, str]]:
    domain = spec.get("domain") or {}
    cpu, memory = domain.get("cpu") or {}, domain.get("memory") or {}
    topology = status.get("currentCPUTopology") or cpu
    counts = [int(topology.get(each) or 1) for each in ("sockets", "cores", "threads")]
    system = status.get("guestOSInfo") or {}
    loader = ((domain.get("firmware") or {}).get("bootloader") or {}).keys()
    total = counts[0] * counts[1] * counts[2]
    return [
        (
            "CPUs",
            f"{total} (sockets {counts[0]}, cores {counts[1]}, threads {counts[2]}), {cpu.get('model') or ''}",
        ),
        ("memory", str((status.get("memory") or {}).get("guestCurrent") or memory.get("guest") or "as requested")),
        ("machine", str((status.get("machine") or domain.get("machine") or {}).get("type") or "q35")),
        (
            "firmware",
            "kernel" if "kernelBoot" in (domain.get("firmware") or {}) else next(iter(loader), "bios").upper(),
        ),
        ("guest", str(system.get("prettyName") or "")),
        ("eviction", str(spec.get("evictionStrategy") or "")),
    ]


def volumes(spec: Raw, status: Raw) -> list[tuple[str, ...]]:
    disks = {each["name"]: each for each in (spec.get("domain") or {}).get("devices", {}).get("disks") or []}
    targets = {each["name"]: each.get("target") or "" for each in status.get("volumeStatus") or []}
    rows: list[tuple[str, ...]] = []
    for volume in spec.get("volumes") or []:
        name = volume["name"]
        source = next((key for key in volume if key != "name"), "")
        detail = volume.get(source) or {}
        named = detail.get("image") or detail.get("claimName") or detail.get("name") or detail.get("capacity") or ""
        disk = disks.get(name) or {}
        form = next((key for key in ("disk", "cdrom", "lun") if key in disk), "disk")
        bus = (disk.get(form) or {}).get("bus") or "default"
        rows.append((name, f"{targets.get(name) or '-'} ({bus} {form})", f"{source} {named}".strip()))
    return rows


def addresses(status: Raw) -> list[tuple[str, ...]]:
    return [
        (
            nic.get("name") or "-",
            ", ".join(nic.get("ipAddresses") or []) or "-",
            nic.get("mac") or "-",
            nic.get("interfaceName") or "-",
        )
        for nic in status.get("interfaces") or []
    ]


def timeline(whole: Raw, status: Raw) -> list[tuple[str, str]]:
    """Each phase, and how long after the one before."""
    rows = [("created", whole["metadata"]["creationTimestamp"])]
    rows += [
        (each["phase"], each["phaseTransitionTimestamp"]) for each in status.get("phaseTransitionTimestamps") or []
    ]
    told, before = [], None
    for name, at in rows:
        time = parse_time(at)
        told.append((name, f"{time:%H:%M:%S}" + (f"  +{(time - before).total_seconds():.0f} s" if before else "")))
        before = time
    return told


def conditions(status: Raw, now: datetime) -> RenderableType | None:
    """What is well in green, what is not in yellow, with the reason in words."""
    shown = Table.grid(padding=(0, 2))
    for each in status.get("conditions") or []:
        good = (each["status"] == "True") is not (each["type"] in UNWELCOME)
        said = "yes" if each["status"] == "True" else "no"
        why = ": ".join(filter(None, (each.get("reason"), each.get("message"))))
        since = each.get("lastTransitionTime")
        shown.add_row(
            each["type"],
            Text(said, "green" if good else "yellow"),
            Text(why),
            Text(f"for {age(since, now)}" if since else "", "dim"),
        )
    return shown if shown.row_count else None


def events(found: Iterable[Raw], now: datetime) -> RenderableType | None:
    shown = Table.grid(padding=(0, 2))
    for each in found:
        count = (each.get("series") or {}).get("count")
        note = each.get("note", "") + (f" ({count} times)" if count else "")
        style = "yellow" if each.get("type") == "Warning" else ""
        shown.add_row(
            Text(f"{age(when(each), now)} ago", "dim"), Text(each.get("reason", ""), style), Text(note, style)
        )
    return shown if shown.row_count else None


def when(event: Raw) -> str:
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("eventTime") or event["metadata"]["creationTimestamp"])


def facts(rows: Iterable[tuple[str, str]]) -> RenderableType | None:
    shown = Table.grid(padding=(0, 2))
    for key, value in rows:
        if value:
            shown.add_row(Text(key, "dim"), Text(value))
    return shown if shown.row_count else None


def grid(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> RenderableType | None:
    shown = Table.grid(padding=(0, 2))
    shown.add_row(*(Text(each, "dim") for each in head))
    for row in rows:
        shown.add_row(*(Text(each) for each in row))
    return shown if shown.row_count > 1 else None


def section(name: str, content: RenderableType | None) -> RenderableType | None:
    return None if content is None else Group(Text(f"\n{name}", "bold"), content)


def phase(vmi: Raw | None) -> str:
    return str(((vmi or {}).get("status") or {}).get("phase") or "")


def age(stamp: str, now: datetime) -> str:
    seconds = max(0, int((now - parse_time(stamp)).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def add(app: typer.Typer) -> None:
    app.command()(describe)
