"""vmctl guestosinfo: what the agent in a guest says of it."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hostler.cli.options import Output, OutputOption
from hostler.cli.target import Kubeconfig, Namespace, VirtualMachineInstances, parse, run, show
from hostler.runtime.kube import Api


def guestosinfo(
    name: Annotated[str, typer.Argument(metavar="VMI", help="NAME, vmi/NAME or vm/NAME.")],
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Tell the guest's system, users and file systems; the guest must run qemu-guest-agent.

    Examples:

      vmctl guestosinfo web

      vmctl guestosinfo web -o json
    """
    _, only = parse(name)

    async def work(api: Api, place: str) -> Any:
        return await api.read(VirtualMachineInstances, place, only, "guestosinfo")

    found = run(work, namespace, kubeconfig)
    if output is Output.JSON:
        show(found)
    else:
        Console().print(table(found))


def table(found: dict[str, Any]) -> Table:
    """Short, for people."""
    system = found.get("os") or {}
    rows = [
        ("host name", found.get("hostname")),
        ("system", system.get("prettyName") or system.get("name")),
        ("kernel", " ".join(filter(None, (system.get("kernelRelease"), system.get("machine"))))),
        ("time zone", found.get("timezone")),
        ("agent", found.get("guestAgentVersion")),
        ("users", ", ".join(each["userName"] for each in found.get("userList") or [])),
    ]
    disks = (found.get("fsInfo") or {}).get("disks") or []
    rows += [
        (f"at {each['mountPoint']}", f"{each['fileSystemType']} on {each['diskName']}, {used(each)}") for each in disks
    ]
    shown = Table(show_header=False, box=None, pad_edge=False)
    for key, value in rows:
        if value:
            shown.add_row(f"[bold]{key}[/]", str(value))
    return shown


def used(disk: dict[str, Any]) -> str:
    total, part = disk.get("totalBytes") or 0, disk.get("usedBytes") or 0
    return f"{part / 2**20:.0f} of {total / 2**20:.0f} MiB used" if total else "size unknown"


def add(app: typer.Typer) -> None:
    app.command()(guestosinfo)
