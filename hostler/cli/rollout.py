"""vmctl rollout: how deployments, daemon sets, stateful sets and pools follow their template, and back again."""

from dataclasses import asdict
from typing import Annotated

import typer

from cluster import status
from hostler.api import apps
from hostler.api.kubevirt.pool import VirtualMachinePool
from hostler.cli import progress, revisions
from hostler.cli.options import Output, OutputOption
from hostler.cli.progress import State
from hostler.cli.revisions import Revision
from hostler.cli.target import Kubeconfig, Namespace, run, show
from hostler.runtime.conditions import stamp
from hostler.runtime.errors import Terminal
from hostler.runtime.kube import Api
from hostler.runtime.loop import utc_now
from hostler.runtime.protocol import Raw

app = typer.Typer(help="Rollouts of deployments, daemon sets, stateful sets and pools of VMs.", no_args_is_help=True)

What = Annotated[
    str, typer.Argument(metavar="KIND/NAME", help="As in vmdeploy/web, vmds/probe, vmsts/db, vmpool/desk.")
]
Revised = Annotated[int, typer.Option("--to-revision", min=0, help="Which one; 0: the one before.")]


@app.command("status")
def status_(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    what: What,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", "-w", help="Wait until it is done.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most; 0: for ever.")] = 0,
    output: OutputOption = Output.TEXT,
) -> None:
    """Tell how far a rollout is, until it is done; and, when it does not get on, why.

    Examples:

      vmctl rollout status vmdeploy/web

      vmctl rollout status vmpool/desk --timeout 300          exit code 1 if it is not done by then

      vmctl rollout status vmsts/db --no-watch -o json        how it is now: counts, done, causes
    """
    follow = progress.last if output is Output.JSON else progress.tell

    async def work(kube: Api, place: str) -> State:
        return await follow(progress.states(kube, place, what, watch, timeout))

    end = run(work, namespace, kubeconfig)
    if output is Output.JSON:
        show(asdict(end))
    if end.failed:
        raise Terminal(end.failed, end.message)


@app.command()
def history(
    what: What,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    revision: Annotated[int, typer.Option(help="Show the template of this one.")] = 0,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the revisions, the oldest first.

    Examples:

      vmctl rollout history vmdeploy/web

      vmctl rollout history vmdeploy/web --revision 2    its template

      vmctl rollout history vmdeploy/web -o json
    """

    async def ask(kube: Api, place: str) -> list[Revision]:
        return await revisions.known(kube, await revisions.find(kube, place, what))

    known = run(ask, namespace, kubeconfig)
    one = chosen(known, revision) if revision else None
    if output is Output.JSON:
        show(one.told() | {"template": one.template} if one else [each.told() for each in known])
    elif one:
        print(revisions.template_text(one))
    else:
        rows = [[str(each.number), each.cause or "<none>"] for each in known]
        print(status.aligned([["REVISION", "CHANGE-CAUSE"], *rows]))


@app.command()
def undo(what: What, namespace: Namespace = None, kubeconfig: Kubeconfig = None, to_revision: Revised = 0) -> None:
    """Go back to the revision before, or to any that is kept.

    Examples:

      vmctl rollout undo vmdeploy/web                    to the one before

      vmctl rollout undo vmdeploy/web --to-revision 2    see vmctl rollout history
    """

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
    """Let a deployment's template be changed without a rollout; a pool rests altogether.

    Examples:

      vmctl rollout pause vmdeploy/web
    """
    run(lambda kube, place: set_paused(kube, place, what, True), namespace, kubeconfig)


@app.command()
def resume(what: What, namespace: Namespace = None, kubeconfig: Kubeconfig = None) -> None:
    """Roll out what was changed while it was paused.

    Examples:

      vmctl rollout resume vmdeploy/web
    """
    run(lambda kube, place: set_paused(kube, place, what, False), namespace, kubeconfig)


@app.command()
def restart(what: What, namespace: Namespace = None, kubeconfig: Kubeconfig = None) -> None:
    """Replace all guests, as if the template had changed.

    Examples:

      vmctl rollout restart vmsts/db
    """

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
