"""Which cluster and namespace a command is about, and how it talks to them."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from cluster import kubeconfig as kubeconfigs
from hostler.api.meta import Resource
from hostler.runtime.errors import ApiError, Terminal
from hostler.runtime.kube import Api, connect

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


def kubeconfig_path(given: Path | None) -> Path:
    if given is not None:
        return given
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(named) if named else Path.home() / ".kube" / "config"


def namespace_of(given: str | None, path: Path) -> str:
    """The one that is given, or the current context's, or default."""
    if given:
        return given
    content = kubeconfigs.load(path)
    contexts = {each["name"]: each.get("context") or {} for each in content.get("contexts") or []}
    return str(contexts.get(content.get("current-context"), {}).get("namespace") or "default")


def run(work: Callable[[Api, str], Awaitable[T]], namespace: str | None, kubeconfig: Path | None) -> T:
    """Do it with a connection; refusals of the API server end as one line."""
    path = kubeconfig_path(kubeconfig)
    if not path.exists():
        raise Terminal("NoKubeconfig", f"{path} does not exist: run scripts/up, or set KUBECONFIG")

    async def whole() -> T:
        api = await connect(str(path), "vmctl")
        try:
            return await work(api, namespace_of(namespace, path))
        finally:
            await api.close()

    try:
        return asyncio.run(whole())
    except ApiError as error:
        raise Terminal(error.reason or "ApiError", error.message) from None


def show(data: Any) -> None:
    """As JSON."""
    print(json.dumps(data, indent=2))
