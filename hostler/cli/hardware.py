"""vmctl cluster bmc, vmctl cluster node: the machines under a cluster of this host, as far as they can be broken."""

import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer
import yaml

from cluster import bmcs, power, registry
from cluster.errors import ClusterError
from cluster.layout import Cluster, Node
from hostler.cli.options import DEFAULT, ClusterName


class After(StrEnum):
    STAY_OFF = "StayOff"
    POWER_ON = "PowerOn"


class Happening(StrEnum):
    """What can happen to a node."""

    OFF = "off"
    ON = "on"
    CRASH = "crash"
    FREEZE = "freeze"
    THAW = "thaw"
    CUT = "cut"
    MEND = "mend"


HAPPENINGS: dict[Happening, Callable[[Node], None]] = {
    Happening.OFF: power.off,
    Happening.ON: power.on,
    Happening.CRASH: power.crash,
    Happening.FREEZE: power.freeze,
    Happening.THAW: power.thaw,
    Happening.CUT: power.cut,
    Happening.MEND: power.mend,
}


def bmc(
    name: ClusterName = DEFAULT,
    fault: Annotated[
        list[str] | None, typer.Option(help=f"NODE=FAULT: how a BMC behaves from now on; {', '.join(bmcs.FAULTS)}.")
    ] = None,
    after: Annotated[After, typer.Option(help="What becomes of a node that was fenced.")] = After.STAY_OFF,
    namespace: Annotated[str, typer.Option(help="Where Hostler is installed.")] = "hostler",
) -> None:
    """Give each node an emulated BMC; prints the manifests that tell Hostler of them: `| vmctl kubectl apply -f -`.

    Examples:

      vmctl cluster bmc | vmctl kubectl apply -f -

      vmctl cluster bmc --fault hostler-2=stuck    that one does not do what it is told
    """
    cluster = registry.get(name)
    for entry in fault or ():
        which, _, how = entry.partition("=")
        bmcs.set_fault(find(cluster, which), how)
    bmcs.enable(cluster)
    power.follow(cluster)
    for each in map(bmcs.Bmc, cluster.nodes):
        print(f"BMC of {each.node.name}: {each.address}:{each.port} ({each.fault})", file=sys.stderr)
    print(yaml.safe_dump_all(bmcs.manifests(cluster, namespace, after.value), sort_keys=False), end="")


def node(
    which: Annotated[str, typer.Argument(metavar="NODE")],
    what: Annotated[Happening, typer.Argument(metavar="|".join(Happening))],
    name: ClusterName = DEFAULT,
) -> None:
    """Let something happen to a node: power off and on, a crash, a freeze, a cut wire to the control plane.

    Examples:

      vmctl cluster node hostler-2 crash

      vmctl cluster node hostler-2 on
    """
    HAPPENINGS[what](find(registry.get(name), which))


def find(cluster: Cluster, which: str) -> Node:
    found = next((each for each in cluster.nodes if each.name == which), None)
    if found is None:
        raise ClusterError(f"no node {which}; there are: {', '.join(each.name for each in cluster.nodes)}")
    return found


def add(app: typer.Typer) -> None:
    app.command()(bmc)
    app.command()(node)
