"""vmctl migrate, migrate-cancel: move a running guest to another node, and watch it go."""

import asyncio
import json
from typing import Annotated, Any

import typer

from hostler.api import launcher
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigration as Migration
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.cli.target import Kubeconfig, Namespace, run
from hostler.runtime.errors import NotFound, Terminal
from hostler.runtime.kube import Api
from hostler.runtime.protocol import Raw

LOOK = 0.5  # seconds
FINAL = ("Succeeded", "Failed")
MIB = 2**20

Name = Annotated[str, typer.Argument(help="The virtual machine.")]
Selector = list[str]


def migrate(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    name: Name,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    to: Annotated[
        Selector | None, typer.Option("--added-node-selector", help="KEY=VALUE that the target node must have.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait for the end, and show how far it is.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 600.0,
) -> None:
    """Move a running virtual machine to another node.

    Examples:

      vmctl migrate web                   it goes

      vmctl migrate web --wait            and one sees how far it is

      vmctl migrate web --added-node-selector=zone=b
    """
    selector = dict(word.partition("=")[::2] for word in to or ())

    async def work(api: Api, place: str) -> int:
        spec: Raw = {"vmiName": name} | ({"addedNodeSelector": selector} if selector else {})
        body = {"metadata": {"generateName": f"kubevirt-migrate-{name}-", "namespace": place}, "spec": spec}
        made = await api.create(Migration, place, body)
        print(f"VM {name} was scheduled to migrate ({made['metadata']['name']})", flush=True)
        if not wait:
            return 0
        try:
            async with asyncio.timeout(timeout):
                return await follow(api, place, made["metadata"]["name"])
        except TimeoutError:
            raise Terminal("TimeOut", f"not over after {timeout:.0f} s; it goes on") from None

    raise typer.Exit(run(work, namespace, kubeconfig))


def migrate_cancel(name: Name, namespace: Namespace = None, kubeconfig: Kubeconfig = None) -> None:
    """End the migration of a virtual machine; it stays where it is.

    Examples:

      vmctl migrate-cancel web
    """

    async def work(api: Api, place: str) -> None:
        moves, _ = await api.list(Migration, place)
        running = [
            each for each in map(Migration.model_validate, moves) if each.spec.vmi_name == name and not over(each)
        ]
        if not running:
            raise Terminal("NoMigration", f"Found no migration to cancel for {name}")
        for each in running:
            await api.delete(Migration, place, each.metadata.name, uid=each.metadata.uid)
        print(f"VM {name} was scheduled to cancel its migration")

    run(work, namespace, kubeconfig)


def over(move: Migration) -> bool:
    return move.status is not None and move.status.phase in FINAL


async def follow(api: Api, namespace: str, name: str) -> int:
    """Print each phase, and the bytes while there are some to copy; 0 if it succeeds."""
    said, shown = "", ""
    while True:
        try:
            move = Migration.model_validate(await api.get(Migration, namespace, name))
        except NotFound:
            raise Terminal("Cancelled", f"the migration {name} was deleted") from None
        phase = (move.status and move.status.phase) or "Pending"
        if phase != said:
            print(f"{phase}{why(move)}", flush=True)
            said = phase
        if phase in FINAL:
            return 0 if phase == "Succeeded" else 1
        if phase == "Running" and (line := await progress(api, namespace, move.spec.vmi_name or "")) != shown:
            print(line, flush=True)
            shown = line
        await asyncio.sleep(LOOK)


def why(move: Migration) -> str:
    """What a person wants to know beside the phase."""
    status = move.status
    if status is None:
        return ""
    state = status.migration_state
    if status.phase == "Failed" and state:
        return f": {state.failure_reason}"
    if status.phase == "Succeeded" and state:
        return f": {state.source_node} -> {state.target_node}"
    waits = [each.message or "" for each in status.conditions if each.status == "False"]
    return f": {waits[0]}" if waits else ""


async def progress(api: Api, namespace: str, name: str) -> str:
    vmi = VirtualMachineInstance.model_validate(await api.get(VirtualMachineInstance, namespace, name))
    text = vmi.metadata.annotations.get(launcher.PROGRESS)
    if not text:
        return ""
    told: dict[str, Any] = json.loads(text)
    return "  {processed} MiB copied, {remaining} MiB left of {total}".format(
        **{key: int(told.get(key, 0)) // MIB for key in ("processed", "remaining", "total")}
    )


def add(app: typer.Typer) -> None:
    app.command("migrate")(migrate)
    app.command("migrate-cancel")(migrate_cancel)
