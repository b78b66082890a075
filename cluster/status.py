"""What a cluster is doing: its programs by the supervisor's journal, its nodes by the API server."""

import json
from dataclasses import asdict
from typing import Any

from cluster import host, journal, supervisor
from cluster.errors import ClusterError
from cluster.layout import Cluster

API_SECONDS = 5
Table = list[list[str]]


def read(cluster: Cluster) -> dict[str, Any]:
    """Everything that is known, as plain data."""
    page = journal.read(cluster.state / supervisor.JOURNAL)
    me, entries = page.supervisor, page.entries
    programs = {name: asdict(entry) | {"alive": entry.alive} for name, entry in entries.items()}
    for program in programs.values():
        del program["ticks"], program["spec"]
    content: dict[str, Any] = {
        "name": cluster.name,
        "server": cluster.server,
        "kubeconfig": str(cluster.kubeconfig),
        "supervisor": {"pid": me.pid, "alive": me.alive},
        "programs": programs,
    }
    content |= _nodes(cluster)
    return content | {"healthy": not complaints(content)}


def _nodes(cluster: Cluster) -> dict[str, Any]:
    words = (cluster.bin / "kubectl", f"--kubeconfig={cluster.kubeconfig}", f"--request-timeout={API_SECONDS}s")
    try:
        items = json.loads(host.run(*words, "get", "nodes", "-o", "json"))["items"]
    except ClusterError as error:
        return {"nodes": {}, "api": str(error)}
    ready = {item["metadata"]["name"]: _ready(item) for item in items}
    return {"nodes": {node.name: ready.get(node.name, "NotRegistered") for node in cluster.nodes}, "api": "ok"}


def _ready(node: dict[str, Any]) -> str:
    conditions = {item["type"]: item["status"] for item in node["status"].get("conditions", [])}
    return "Ready" if conditions.get("Ready") == "True" else "NotReady"


def complaints(content: dict[str, Any]) -> list[str]:
    """What is wrong, one line each, with what to do about it."""
    name = content["name"]
    lines = []
    if not content["supervisor"]["alive"]:
        lines.append(f"the supervisor is not running: `vmctl cluster up --name {name}` starts it again")
    for program, entry in content["programs"].items():
        if not entry["alive"] or entry["state"] == "failed":
            lines.append(f"{program} is not running: see `vmctl cluster logs --name {name} {program}`")
    if content["api"] != "ok":
        lines.append(f"the API server does not answer: {content['api']}")
    return lines + [f"node {node} is {state}" for node, state in content["nodes"].items() if state != "Ready"]


def programs_table(content: dict[str, Any]) -> Table:
    head = ["PROGRAM", "STATE", "PID", "SINCE", "DEATHS", "LAST DEATH"]
    return [head, *(_row(name, entry) for name, entry in content["programs"].items())]


def _row(name: str, entry: dict[str, Any]) -> list[str]:
    state = entry["state"] if entry["alive"] or entry["state"] != "running" else "dead"
    last = entry["deaths"][-1] if entry["deaths"] else None
    told = journal.told(last) if last else "-"
    return [name, state, str(entry["pid"] or "-"), entry["since"], str(len(entry["deaths"])), told]


def aligned(table: Table) -> str:
    """Columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    rows = ("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(row.rstrip() for row in rows)
