"""vmctl start, stop, restart, pause, unpause, softreboot."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from hostler.api.meta import Resource
from hostler.cli.target import Kubeconfig, Namespace, VirtualMachineInstances, VirtualMachines, parse, run
from hostler.runtime.errors import Terminal
from hostler.runtime.kube import Api

VM = Annotated[str, typer.Argument(metavar="VM", help="Name of the VirtualMachine.")]
VMI = Annotated[str, typer.Argument(metavar="VMI", help="Name of the VirtualMachineInstance, or vm/NAME.")]


def start(
    name: VM,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    paused: Annotated[bool, typer.Option(help="Do not let its CPUs run yet.")] = False,
) -> None:
    """Start a VirtualMachine.

    Examples:

      vmctl start web             it gets an instance, which boots

      vmctl start web --paused    it waits for vmctl unpause
    """
    ask(VirtualMachines, name, "start", {"paused": True} if paused else {}, namespace, kubeconfig)
    print(f"VM {name} was scheduled to start")


def stop(
    name: VM,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    grace: Annotated[int | None, typer.Option("--grace-period", min=0, help="Seconds to shut down in.")] = None,
    force: Annotated[bool, typer.Option(help="With --grace-period: pull the plug when they are over.")] = False,
) -> None:
    """Stop a VirtualMachine: its guest is shut down.

    Examples:

      vmctl stop web                             by its power button, then after its own grace period for good

      vmctl stop web --grace-period=0 --force    at once
    """
    if force and grace is None:
        raise Terminal("GraceMissing", "--force needs --grace-period=SECONDS")
    body: dict[str, Any] = {} if grace is None else {"gracePeriod": grace}
    ask(VirtualMachines, name, "stop", body, namespace, kubeconfig)
    print(f"VM {name} was scheduled to stop")


def restart(
    name: VM,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    force: Annotated[bool, typer.Option(help="Do not wait for the guest to shut down.")] = False,
) -> None:
    """Restart a VirtualMachine: its guest is shut down, and another instance made.

    Examples:

      vmctl restart web

      vmctl restart web --force
    """
    body: dict[str, Any] = {"gracePeriodSeconds": 0} if force else {}
    ask(VirtualMachines, name, "restart", body, namespace, kubeconfig)
    print(f"VM {name} was scheduled to restart")


def instance_command(verb: str, done: str, text: str) -> Callable[..., None]:
    def command(name: VMI, namespace: Namespace = None, kubeconfig: Kubeconfig = None) -> None:
        _, only = parse(name)  # a VM and its instance have one name
        ask(VirtualMachineInstances, only, verb, {}, namespace, kubeconfig)
        print(f"VMI {only} was {done}")

    command.__doc__ = text
    return command


pause = instance_command(
    "pause",
    "paused",
    """Stop the guest's CPUs; its memory stays.

    Examples:

      vmctl pause web
    """,
)
unpause = instance_command(
    "unpause",
    "unpaused",
    """Let a paused guest go on.

    Examples:

      vmctl unpause web
    """,
)
softreboot = instance_command(
    "softreboot",
    "told to reboot",
    """Ask the guest, by its agent or its power button, to reboot; its instance stays.

    Examples:

      vmctl softreboot web
    """,
)


def ask(  # noqa: PLR0913, PLR0917
    kind: type[Resource],
    name: str,
    verb: str,
    body: dict[str, Any],
    namespace: str | None,
    kubeconfig: Any,
) -> None:
    async def work(api: Api, place: str) -> None:
        await api.put(kind, place, name, verb, body)

    run(work, namespace, kubeconfig)


def add(app: typer.Typer) -> None:
    app.command()(start)
    app.command()(stop)
    app.command()(restart)
    app.command("pause")(pause)
    app.command("unpause")(unpause)
    app.command("softreboot")(softreboot)
    app.command("soft-reboot", hidden=True)(softreboot)
