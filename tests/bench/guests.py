"""The guest that the benchmarks start, and what can be seen of it."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench.kubectl import Kubectl

IMAGE = "docker.io/hostler/tiny:1"
MEMORY_MIB = 96
FIRST_LINE = "hostler-guest: userland"


def vmi(name: str, node: str) -> dict[str, Any]:
    """A tiny guest that is pinned to a node, so that all rounds run on the same one."""
    devices = {
        "disks": [{"name": "root", "disk": {"bus": "virtio"}}],
        "interfaces": [{"name": "default", "masquerade": {}}],
        "rng": {},
    }
    spec = {
        "nodeSelector": {"kubernetes.io/hostname": node},
        "terminationGracePeriodSeconds": 0,
        "domain": {"memory": {"guest": f"{MEMORY_MIB}Mi"}, "devices": devices},
        "networks": [{"name": "default", "pod": {}}],
        "volumes": [{"name": "root", "containerDisk": {"image": IMAGE}}],
    }
    return {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "metadata": {"name": name}, "spec": spec}


def pod_of(kubectl: Kubectl, name: str, namespace: str) -> dict[str, Any]:
    """The launcher pod of a VMI, once there is one."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        items = kubectl.json("get", "pods", "-n", namespace, "-l", f"vm.kubevirt.io/name={name}")["items"]
        if items:
            return dict(items[0])
        time.sleep(0.2)
    raise RuntimeError(f"VMI {name} has no launcher pod after 60 s")


def console_line(kubectl: Kubectl, pod: str, namespace: str, text: str, limit: float = 120) -> float:
    """When (seconds since the epoch, by the node's clock) the guest printed a line with `text` on its console."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        try:
            log = kubectl("logs", "-n", namespace, pod, "-c", "compute", "--timestamps")
        except RuntimeError:
            log = ""  # the container is being created
        for line in log.splitlines():
            if text in line:
                return datetime.fromisoformat(line.split(" ", 1)[0]).timestamp()
        time.sleep(0.3)
    raise RuntimeError(f"{text!r} did not come on the console of {pod} within {limit} s")


def processes(pod_uid: str) -> dict[int, str]:
    """pid -> program of everything in a pod; the nodes' processes are this host's when it made the cluster."""
    marks = (pod_uid, pod_uid.replace("-", "_"))
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if any(mark in (entry / "cgroup").read_text() for mark in marks):
                    found[int(entry.name)] = (entry / "comm").read_text().strip()
            except OSError:
                continue  # it ended meanwhile
    return found


def nodes(kubectl: Kubectl) -> list[str]:
    items = kubectl.json("get", "nodes", "-l", "kubevirt.io/schedulable=true")["items"]
    return [item["metadata"]["name"] for item in items]


def dump(value: object) -> str:
    return json.dumps(value)
