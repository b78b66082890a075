"""Which cluster and namespace a command is about, and how it talks to them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from hostler.api.meta import Resource
from hostler.cli.kubeconfig import login
from hostler.runtime.errors import ApiError, NoAnswer, Terminal
from hostler.runtime.kube import Api, connect
from hostler.runtime.unreachable import plain

T = TypeVar("T")
PROTOCOL = "plain.kubevirt.io"


class VirtualMachines(Resource):
    """What can be asked of a VM."""

    group_version = "subresources.kubevirt.io/v1"
    plural = "virtualmachines"


class VirtualMachineInstances(Resource):
    """What can be asked of a VMI."""

    group_version = "subresources.kubevirt.io/v1"
    plural = "virtualmachineinstances"


WORDS = {
    **dict.fromkeys(("vm", "vms", "virtualmachine", "virtualmachines"), VirtualMachines),
    **dict.fromkeys(("vmi", "vmis", "virtualmachineinstance", "virtualmachineinstances"), VirtualMachineInstances),
}

Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Default: that of kubectl's context.")]
Kubeconfig = Annotated[
    Path | None, typer.Option("--kubeconfig", help="Default: KUBECONFIG, else ~/.kube/config.", dir_okay=False)
]
Name = Annotated[str, typer.Argument(metavar="NAME")]


def parse(word: str, default: str = "vmi") -> tuple[type[Resource], str]:
    """vm/NAME, vmi/NAME or NAME -> what it is, and its name."""
    kind, slash, name = word.partition("/")
    if not slash:
        kind, name = default, word
    if kind not in WORDS or not name or "/" in name:
        raise Terminal("InvalidTarget", f"{word!r}: write vm/NAME, vmi/NAME or NAME")
    return WORDS[kind], name


def run(work: Callable[[Api, str], Awaitable[T]], namespace: str | None, kubeconfig: Path | None) -> T:
    """Do it with a connection, in the namespace that is given or the context's; refusals end as one line."""
    user = login(kubeconfig)

    async def whole() -> T:
        api = await connect(user.path, "vmctl", user.context)
        try:
            return await work(api, namespace or user.namespace)
        finally:
            await api.close()

    try:
        return asyncio.run(whole())
    except ApiError as error:
        raise Terminal(error.reason or "ApiError", told(error)) from None


def told(error: ApiError) -> str:
    """What the API server said; or why it says nothing, and where to look."""
    if not isinstance(error, NoAnswer):
        return error.message
    why = plain(error.__cause__ or error)
    return f"{error.server}: {why}: is it the right one (KUBECONFIG, --kubeconfig), and up (vmctl cluster status)?"


def show(data: Any) -> None:
    """As JSON."""
    print(json.dumps(data, indent=2))
