"""vmctl rollout: how deployments, daemon sets, stateful sets and pools follow their template, and back again."""

import asyncio
import math
import sys
import time
from typing import Annotated

import typer

from cluster import status
from hostler.api import apps
from hostler.api.kubevirt.pool import VirtualMachinePool
from hostler.cli import revisions, trouble
from hostler.cli.revisions import Found, Revision
from hostler.cli.target import Kubeconfig, Namespace, run
from hostler.runtime.conditions import stamp
from hostler.runtime.errors import Terminal
from hostler.runtime.kube import Api
from hostler.runtime.loop import utc_now
from hostler.runtime.protocol import Raw

POLL = 0.5  # seconds
PATIENCE = 5.0  # seconds without progress, after which the cause is looked for

app = typer.Typer(help="Rollouts of deployments, daemon sets, stateful sets and pools of VMs.", no_args_is_help=True)

What = Annotated[
    str, typer.Argument(metavar="KIND/NAME", help="As in vmdeploy/web, vmds/probe, vmsts/db, vmpool/desk.")
]
Revised = Annotated[int, typer.Option("--to-revision", min=0, help="Which one; 0: the one before.")]


@app.command("status")
def status_(
    what: What,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", "-w", help="Wait until it is done.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most; 0: for ever.")] = 0,
) -> None:
    """Tell how far a rollout is, until it is done; and, when it does not get on, why."""
    run(lambda kube, place: follow(kube, place, what, watch, timeout), namespace, kubeconfig)


async def follow(kube: Api, place: str, what: str, watch: bool, limit: float) -> None:
    """What stands in the way is told on stderr, each once, when nothing has happened for some seconds."""
    deadline = time.monotonic() + (limit or math.inf)
    said, patience, known = "", 0.0, set[str]()

    async def explain(found: Found) -> None:
        for each in await trouble.of(kube, found):
            if each not in known:
                print(f"  {each}", file=sys.stderr, flush=True)
            known.add(each)

    while True:
        found = await revisions.find(kube, place, what)
        try:
            line, done = revisions.progress(found)
        except Terminal:
            await explain(found)
            raise
        if line != said:
            print(line, flush=True)
            said, patience = line, time.monotonic() + PATIENCE if watch else 0
        if not done and time.monotonic() > patience:
            await explain(found)
            patience = time.monotonic() + PATIENCE
        if done or not watch:
            return
        if time.monotonic() > deadline:
            raise Terminal("TimedOut", f"{what}: not done within {limit:g} seconds")
        await asyncio.sleep(POLL)


@app.command()
def history(
    what: What,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    revision: Annotated[int, typer.Option(help="Show the template of this one.")] = 0,
) -> None:
    """List the revisions, the oldest first."""

    async def tell(kube: Api, place: str) -> None:
        found = await revisions.find(kube, place, what)
        known = await revisions.known(kube, found)
        if revision:
            print(revisions.template_text(chosen(known, revision)))
            return
        rows = [[str(each.number), each.cause or "<none>"] for each in known]
        print(status.aligned([["REVISION", "CHANGE-CAUSE"], *rows]))

    run(tell, namespace, kubeconfig)


@app.command()
def undo(what: What, namespace: Namespace = None, kubeconfig: Kubeconfig = None, to_revision: Revised = 0) -> None:
    """Go back to the revision before, or to any that is kept."""

    async def back(kube: Api, place: str) -> None:
        found = await revisions.find(kube, place, what)
        if found.body["spec"].get("paused"):
            raise Terminal("Paused", f"{what} is paused: vmctl rollout resume {what}")
        known = await revisions.known(kube, found)
        if to_revision == 0 and len(known) < 2:
            raise Terminal("NoRevision", f"no rollout history found for {what}")
        goal = chosen(known, to_revision) if to_revision else known[-2]
        field = revisions.template_of(found.kind)
        if revisions.plain(goal.template) == revisions.plain(found.body["spec"][field]):
            print(f"{what} skipped rollback (current template already matches revision {goal.number})")
            return
        change = [{"op": "replace", "path": f"/spec/{field}", "value": goal.template}, *revisions.cause(found, goal)]
        await kube.patch(found.kind, place, found.name, change)
        print(f"{what} rolled back")

    run(back, namespace, kubeconfig)


@app.command()
def pause(what: What, namespace: Namespace = None, kubeconfig: Kubeconfig = None) -> None:
    """Let a deployment's template be changed without a rollout; a pool rests altogether."""
    run(lambda kube, place: set_paused(kube, place, what, True), namespace, kubeconfig)


@app.command()
def resume(what: What, namespace: Namespace = None, kubeconfig: Kubeconfig = None) -> None:
    """Roll out what was changed while it was paused."""
    run(lambda kube, place: set_paused(kube, place, what, False), namespace, kubeconfig)


@app.command()
def restart(what: What, namespace: Namespace = None, kubeconfig: Kubeconfig = None) -> None:
    """Replace all guests, as if the template had changed."""

    async def again(kube: Api, place: str) -> None:
        found = await revisions.find(kube, place, what)
        if found.body["spec"].get("paused"):
            raise Terminal("Paused", f"{what} is paused: vmctl rollout resume {what}")
        mark = {apps.RESTARTED_AT: stamp(utc_now())}
        template: Raw = {"template": {"metadata": {"annotations": mark}}}
        of_pool = found.kind is VirtualMachinePool
        change = {"spec": {"virtualMachineTemplate": {"spec": template}} if of_pool else template}
        await kube.patch(found.kind, place, found.name, change)
        print(f"{what} restarted")

    run(again, namespace, kubeconfig)


async def set_paused(kube: Api, place: str, what: str, paused: bool) -> None:
    word = "paused" if paused else "resumed"
    found = await revisions.find(kube, place, what)
    if found.kind not in (apps.VirtualMachineDeployment, VirtualMachinePool):
        raise Terminal("NotPausable", f"{what}: only deployments and pools can be {word}")
    if bool(found.body["spec"].get("paused")) == paused:
        raise Terminal("Already", f"{what} is {'already paused' if paused else 'not paused'}")
    await kube.patch(found.kind, place, found.name, {"spec": {"paused": paused}})
    print(f"{what} {word}")


def chosen(known: list[Revision], number: int) -> Revision:
    for each in known:
        if each.number == number:
            return each
    there = ", ".join(str(each.number) for each in known)
    raise Terminal("NoRevision", f"unable to find revision {number}; there are: {there}")


def add(whole: typer.Typer) -> None:
    whole.add_typer(app, name="rollout")
