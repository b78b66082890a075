"""vmctl fence: what is thought of the nodes, what would be done to one, and a person's word where no device has one."""

import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import typer

from cluster.status import aligned
from hostler.api import launcher
from hostler.api.fencing import (
    FINAL,
    LEASE_LABEL,
    LEASE_PREFIX,
    MAINTENANCE,
    OBSERVED,
    PENDING,
    FenceOperation,
    NodeFencing,
)
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import Resource
from hostler.api.objects import Lease, Node, Pod
from hostler.cli.options import Output, OutputOption
from hostler.cli.target import Kubeconfig, run, show
from hostler.runtime.conditions import parse
from hostler.runtime.errors import NotFound, Terminal
from hostler.runtime.protocol import Kube

R = TypeVar("R", bound=Resource)

app = typer.Typer(help="Nodes that fell silent: look, plan, acknowledge, switch off.", no_args_is_help=True)

Message = Annotated[str, typer.Option("--message", "-m", help="How you know, for the record.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Where Hostler is installed.")]


class SelfSubjectReview(Resource):
    """Who am I?"""

    group_version = "authentication.k8s.io/v1"
    plural = "selfsubjectreviews"


@dataclass(frozen=True)
class NodeState:
    """A line of `status`."""

    node: str
    ready: bool
    lease_age: float | None  # seconds by the clocks of node and reader, for the eye only
    boot_id: str
    devices: str
    maintenance: bool
    operation: str
    phase: str
    message: str


@app.command()
def status(namespace: Namespace = "hostler", kubeconfig: Kubeconfig = None, output: OutputOption = Output.TEXT) -> None:
    """Every node: its lease, its devices, and its latest operation. Exit code 1 if an operation needs somebody.

    Examples:

      vmctl fence status

      vmctl fence status -o json
    """
    states = run(_states, namespace, kubeconfig)
    if output is Output.JSON:
        show([asdict(each) for each in states])
    else:
        head = ["NODE", "READY", "LEASE", "DEVICES", "OPERATION", "PHASE", "MESSAGE"]
        print(aligned([head, *map(_row, states)]))
    raise typer.Exit(int(any(each.phase in ("NeedsAck", "Failed") for each in states)))


async def _states(api: Kube, namespace: str) -> list[NodeState]:
    nodes = await _all(api, Node)
    leases = {lease.metadata.name: lease for lease in await _all(api, Lease, namespace, LEASE_LABEL)}
    configs = {config.metadata.name: config for config in await _all(api, NodeFencing)}
    latest: dict[str, FenceOperation] = {}
    for op in sorted(await _all(api, FenceOperation), key=lambda op: op.metadata.creation_timestamp or ""):
        latest[op.spec.node_name] = op
    names = sorted({node.metadata.name for node in nodes} | latest.keys())
    by_name = {node.metadata.name: node for node in nodes}
    return [
        _state(name, by_name.get(name), leases.get(LEASE_PREFIX + name), configs.get(name), latest.get(name))
        for name in names
    ]


def _state(
    name: str, node: Node | None, lease: Lease | None, config: NodeFencing | None, op: FenceOperation | None
) -> NodeState:
    renewed = lease.spec.renew_time if lease else None
    told = op.status if op else None
    return NodeState(
        node=name,
        ready=bool(node and node.ready),
        lease_age=round((datetime.now(UTC) - parse(renewed)).total_seconds(), 1) if renewed else None,
        boot_id=(lease and lease.spec.holder_identity) or "",
        devices=_devices(config),
        maintenance=bool(node and node.metadata.annotations.get(MAINTENANCE, "false") != "false"),
        operation=op.metadata.name if op else "",
        phase=(op.phase + (" (rejoined)" if told and told.rejoined_at else "")) if op else "",
        message=(told and told.message) or "",
    )


def _devices(config: NodeFencing | None) -> str:
    if config is None:
        return "none"
    ready = next((c for c in config.status.conditions if c.type == "Ready"), None) if config.status else None
    if ready is None:
        return "not asked yet"
    power = (config.status and config.status.power) or "Unknown"
    return power if ready.status == "True" else f"{ready.reason}"


def _row(state: NodeState) -> list[str]:
    age = "none" if state.lease_age is None else f"{state.lease_age:.0f} s ago"
    ready = "maintenance" if state.maintenance else "yes" if state.ready else "no"
    return [state.node, ready, age, state.devices, state.operation or "-", state.phase or "-", state.message or "-"]


@app.command()
def plan(node: str, kubeconfig: Kubeconfig = None, output: OutputOption = Output.TEXT) -> None:
    """What fencing the node would do, and to whom. Nothing is done.

    Examples:

      vmctl fence plan node-1

      vmctl fence plan node-1 -o json
    """
    told = run(lambda api, _: _plan(api, node), None, kubeconfig)
    if output is Output.JSON:
        show(told)
        return
    print(f"node {node}{' (in maintenance: it is not fenced)' if told['maintenance'] else ''}")
    for number, level in enumerate(told["levels"], 1):
        print(f"  {'switch off' if number == 1 else 'or else'}: {' and '.join(level)}")
    if not told["levels"]:
        print("  nothing says how to switch it off: make a NodeFencing of its name")
    print("  then: read the power twice more, listen to the node, and only then")
    print(f"  taint it, and delete {told['pods']} pods")
    for vmi in told["instances"]:
        print(f"  end {vmi}, to be started elsewhere by its owner")


async def _plan(api: Kube, node: str) -> dict[str, Any]:
    found = Node.model_validate(await _get(api, Node, node))
    configs = [config for config in await _all(api, NodeFencing) if config.metadata.name == node]
    levels = [[f"{d.agent} ({d.name})" for d in level.devices] for c in configs for level in c.spec.levels]
    pods = (await api.list(Pod, fields=f"spec.nodeName={node}"))[0]
    daemons = [p for p in pods if any(o["kind"] == "DaemonSet" for o in p["metadata"].get("ownerReferences", ()))]
    vmis = await _all(api, VirtualMachineInstance, labels=f"{launcher.NODE_NAME}={node}")
    return {
        "node": node,
        "maintenance": found.metadata.annotations.get(MAINTENANCE, "false") != "false",
        "levels": levels,
        "pods": len(pods) - len(daemons),
        "instances": sorted(f"{vmi.metadata.namespace}/{vmi.metadata.name}" for vmi in vmis),
    }


@app.command()
def ack(operation: str, message: Message, yes: Yes = False, kubeconfig: Kubeconfig = None) -> None:
    """Say that the node of an operation is off: you looked, and nothing of it runs. Its VMs are started elsewhere.

    Examples:

      vmctl fence ack node-1-x7k2p -m "its plug is in my hand"

      vmctl fence ack node-1-x7k2p -m "rack 4 has no power" --yes    asks nothing
    """
    run(lambda api, _: _ack(api, operation, message, yes), None, kubeconfig)


async def _ack(api: Kube, name: str, message: str, yes: bool) -> None:
    op = FenceOperation.model_validate(await _get(api, FenceOperation, name))
    if op.phase in FINAL or op.proof is not None:
        raise Terminal("NothingToAcknowledge", f"{name} is {op.phase}: there is nothing to acknowledge")
    warning = f"If anything of {op.spec.node_name} still runs, its disks get a second writer and are lost."
    _confirm(op.spec.node_name, warning, yes)
    said = {"by": await _me(api), "message": message}
    await api.patch(FenceOperation, None, name, {"spec": {"acknowledgement": said}})
    print(f"{name}: acknowledged by {said['by']}")


@app.command()
def off(node: str, message: Message, yes: Yes = False, kubeconfig: Kubeconfig = None) -> None:
    """Fence a node now, also one that is alive; whatever the mode.

    Examples:

      vmctl fence off node-1 -m "its disk controller is broken"
    """
    name = run(lambda api, _: _off(api, node, message, yes), None, kubeconfig)
    print(f"fenceoperation {name}: watch it with  vmctl fence status")


async def _off(api: Kube, node: str, message: str, yes: bool) -> str:
    found = Node.model_validate(await _get(api, Node, node))
    _confirm(node, f"All that runs on {node} ends at once.", yes)
    running = [op for op in await _all(api, FenceOperation) if op.spec.node_name == node and not passive(op)]
    if running:
        raise Terminal("Busy", f"{node} has {running[0].metadata.name} in phase {running[0].phase} already")
    leases = [each for each in await _all(api, Lease, None, LEASE_LABEL) if each.metadata.name == LEASE_PREFIX + node]
    spec = {
        "nodeName": node,
        "nodeUID": found.metadata.uid,
        "bootID": (leases and leases[0].spec.holder_identity) or "",
        "mode": "Enforce",
        "reason": "Requested",
        "requestedBy": f"{await _me(api)}: {message}"[:253],
    }
    name = f"{node[:200]}-{uuid.uuid4().hex[:5]}"
    await api.create(FenceOperation, None, {"metadata": {"name": name}, "spec": spec})
    return name


def passive(op: FenceOperation) -> bool:
    """It has ended, or does nothing but tell: that one gives way."""
    return op.phase in FINAL or (op.spec.mode == "Observe" and op.phase in (PENDING, OBSERVED))


def _confirm(node: str, warning: str, yes: bool) -> None:
    if not yes and typer.prompt(f"{warning}\nType the name of the node to go on") != node:
        raise Terminal("NotConfirmed", "not confirmed: nothing was done")


async def _me(api: Kube) -> str:
    review = await api.create(SelfSubjectReview, None, {})
    return str(review["status"]["userInfo"]["username"])


async def _get(api: Kube, kind: type[Resource], name: str) -> dict[str, Any]:
    try:
        return await api.get(kind, None, name)
    except NotFound as error:
        raise Terminal("NotFound", f"there is no {kind.kind()} {name}") from error


async def _all(api: Kube, kind: type[R], namespace: str | None = None, labels: str = "") -> list[R]:
    return [kind.model_validate(raw) for raw in (await api.list(kind, namespace, labels=labels))[0]]


def add(whole: typer.Typer) -> None:
    whole.add_typer(app, name="fence")
