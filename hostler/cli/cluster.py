"""vmctl cluster: a real Kubernetes on this host."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from cluster import down as remove
from cluster import kubeconfig as kubeconfigs
from cluster import load as loading
from cluster import logfile, proxy, registry
from cluster import status as state
from cluster import up as make
from cluster.errors import ClusterError
from cluster.layout import Cluster
from cluster.progress import Progress
from hostler.cli import hardware
from hostler.cli.options import DEFAULT, ClusterName, Output, OutputOption

FOLLOW_SECONDS = 0.3

app = typer.Typer(help="A real Kubernetes on this host: make it, look at it, remove it.", no_args_is_help=True)


@app.command()
def up(
    name: ClusterName = DEFAULT,
    nodes: Annotated[
        int | None,
        typer.Option(help="How many nodes, 0: a control plane only. Default: as many as it has; 2 if it is new."),
    ] = None,
    programs: Annotated[
        Path | None,
        typer.Option(envvar="HOSTLER_PROGRAMS", help="Folder with etcd, kube-apiserver, ... to use.", file_okay=False),
    ] = None,
    merge: Annotated[
        bool,
        typer.Option(envvar="HOSTLER_MERGE", help="Make it kubectl's current context (never if KUBECONFIG is set)."),
    ] = True,
) -> None:
    """Make a cluster, or mend one: what is right already stays as it is.

    Examples:

      vmctl cluster up                 two nodes, current context of kubectl afterwards

      vmctl cluster up --nodes 3       also adds a node to one that is up

      vmctl cluster up --name other    a second one beside it
    """
    progress = Progress()
    print(f"cluster {name}", file=sys.stderr)
    cluster = make.up(name, registry.size_of(name) if nodes is None else nodes, programs, progress)
    print(f"cluster {name} is up after {progress.seconds:.0f} s", file=sys.stderr)
    introduce(cluster, merge=merge)


def introduce(cluster: Cluster, *, merge: bool) -> None:
    """Make the cluster the user's current context, if it may be, and tell how to talk to it."""
    if merge and not os.environ.get("KUBECONFIG") and added(cluster):
        print(f"kubectl talks to it by default (context {cluster.name})", file=sys.stderr)
    else:
        print(f"export KUBECONFIG={cluster.kubeconfig}", file=sys.stderr)
    if advice := proxy.advice(cluster):
        print(advice, file=sys.stderr)
    if shutil.which("kubectl") is None:
        print(f"no kubectl on PATH: use `vmctl kubectl`, or {cluster.bin / 'kubectl'}", file=sys.stderr)


def added(cluster: Cluster) -> bool:
    """Whether the user's kubeconfig has it now; the cluster is up in any case."""
    try:
        kubeconfigs.add_to_users(cluster)
    except kubeconfigs.Taken as error:
        print(f"warning: {error}", file=sys.stderr)
        return False
    return True


@app.command()
def down(name: ClusterName = DEFAULT) -> None:
    """Remove a cluster and everything in it.

    Examples:

      vmctl cluster down

      vmctl cluster down --name other
    """
    progress = Progress()
    print(f"removing cluster {name}", file=sys.stderr)
    remove.down(name, progress)
    print(f"cluster {name} is gone after {progress.seconds:.0f} s", file=sys.stderr)


@app.command()
def status(
    name: Annotated[str | None, typer.Option("--name", envvar="HOSTLER_CLUSTER", help="Only this one.")] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Tell what runs, what died, when and how often. Exit code 1 if something is wrong.

    Examples:

      vmctl cluster status

      vmctl cluster status --name other -o json
    """
    found = [state.read(cluster) for cluster in ([registry.get(name)] if name else registry.clusters())]
    if output is Output.JSON:
        print(json.dumps(found[0] if name else found, indent=2))
    elif not found:
        hidden = "" if os.geteuid() == 0 else " that you may look at"  # root's are root's alone
        print(f"no cluster on this host{hidden}: `vmctl cluster up` makes one")
    else:
        print("\n\n".join(map(_told, found)))
    raise typer.Exit(0 if all(content["healthy"] for content in found) else 1)


def _told(content: dict[str, object]) -> str:
    wrong = [f"! {line}" for line in state.complaints(content)]
    head = f"cluster {content['name']}  {content['server']}"
    nodes = [["NODE", "STATE"], *([name, what] for name, what in dict(content["nodes"]).items())]  # type: ignore[call-overload]
    return "\n".join([head, state.aligned(state.programs_table(content)), "", state.aligned(nodes), *wrong])


@app.command()
def logs(
    program: Annotated[str | None, typer.Argument(help="Which; all names are told without it.")] = None,
    name: ClusterName = DEFAULT,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0)] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written.")] = False,
) -> None:
    """Print the end of a program's log.

    Examples:

      vmctl cluster logs                                 which programs there are

      vmctl cluster logs kube-apiserver --lines 200

      vmctl cluster logs kube-apiserver --follow
    """
    cluster = registry.get(name)
    known = sorted(path.stem for path in cluster.logs.glob("*.log"))
    if program not in known:
        raise ClusterError(f"which program's log? There are: {', '.join(known)}")
    path = cluster.logs / f"{program}.log"
    position = path.stat().st_size
    print("\n".join(logfile.tail(path, lines)), flush=True)
    for piece in logfile.follow(path, position) if follow else ():
        sys.stdout.buffer.write(piece)
        sys.stdout.flush()
        time.sleep(FOLLOW_SECONDS)


@app.command()
def load(archives: Annotated[list[Path], typer.Argument(metavar="TAR...")], name: ClusterName = DEFAULT) -> None:
    """Put OCI image archives into every node.

    Examples:

      vmctl cluster load image.tar other.tar
    """
    for line in loading.load(registry.get(name), archives):
        print(line)


@app.command()
def kubeconfig(
    name: ClusterName = DEFAULT, path: Annotated[bool, typer.Option("--path", help="Only where it is.")] = False
) -> None:
    """Print the administrator's kubeconfig.

    Examples:

      vmctl cluster kubeconfig > elsewhere

      export KUBECONFIG=$(vmctl cluster kubeconfig --path)
    """
    file = registry.get(name).kubeconfig
    print(file if path else file.read_text(), end="\n" if path else "")


def kubectl(context: typer.Context) -> None:
    """Run kubectl on the cluster of this host (HOSTLER_CLUSTER, default hostler)."""
    cluster: Cluster = registry.get(os.environ.get("HOSTLER_CLUSTER", DEFAULT))
    words = sys.argv[sys.argv.index(context.info_name or "kubectl") + 1 :]  # as they were typed: click drops a "--"
    command = [str(cluster.bin / "kubectl"), f"--kubeconfig={cluster.kubeconfig}", *words]
    raise typer.Exit(subprocess.run(command, check=False, env=proxy.direct(os.environ)).returncode)


def add(whole: typer.Typer) -> None:
    hardware.add(app)
    whole.add_typer(app, name="cluster")
    settings = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    whole.command(context_settings=settings)(kubectl)
