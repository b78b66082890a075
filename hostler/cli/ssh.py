"""vmctl ssh: this host's ssh, through the API server, to a guest."""

import os
import shlex
import shutil
import sys
from typing import Annotated

import typer

from hostler.cli.kubeconfig import login
from hostler.cli.target import Kubeconfig, Namespace, parse
from hostler.runtime.errors import Terminal


def ssh(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    target: Annotated[str, typer.Argument(metavar="[USER@]VMI", help="NAME, vmi/NAME or vm/NAME.")],
    command: Annotated[list[str] | None, typer.Argument(help="What to run there; a shell without it.")] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    identity: Annotated[str | None, typer.Option("--identity-file", "-i", help="Private key.")] = None,
    port: Annotated[int, typer.Option(help="Where the guest's sshd listens.")] = 22,
    option: Annotated[list[str] | None, typer.Option("--ssh-option", help="As ssh's -o.")] = None,
) -> None:
    """Log in to a guest: ssh, carried by the API server; the guest needs no address that this host can reach.

    Examples:

      vmctl ssh root@web

      vmctl ssh debian@vm/web -i ~/.ssh/id_ed25519 -- uptime
    """
    if shutil.which("ssh") is None:
        raise Terminal("NoSsh", "there is no ssh here: install openssh-client")
    user, _, thing = target.rpartition("@")
    kind, name = parse(thing)
    place = namespace or login(kubeconfig).namespace
    word = "vm" if kind.plural == "virtualmachines" else "vmi"
    proxy = [sys.executable, "-m", "hostler.cli.main", "port-forward", "--stdio"]
    proxy += [f"--kubeconfig={kubeconfig}"] if kubeconfig else []  # else it finds the same as we do
    proxy += [f"--namespace={place}", f"{word}/{name}", str(port)]
    words = ["ssh", "-o", f"ProxyCommand={shlex.join(proxy).replace('%', '%%')}"]
    words += [f"-oHostKeyAlias={word}.{name}.{place}"]
    words += [f"-o{each}" for each in option or ()]
    words += ["-i", identity] if identity else []
    words += ["-l", user] if user else []
    os.execvp("ssh", [*words, "--", f"{word}.{name}.{place}", *(command or [])])  # noqa: S606 - the terminal is ssh's


def add(app: typer.Typer) -> None:
    app.command()(ssh)
