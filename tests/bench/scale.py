"""One replica set 0 -> N -> 0 VMIs on 50 simulated nodes: seconds, API writes, CPU and memory of the manager.

The rival's figures are KubeVirt's virt-controller (v1.9), measured the same way on this kind of machine beside other
work: 1000 VMIs Running in 70 s, 26 s of CPU, 261 MB. Its code cannot be run here, so they are quoted.
"""

import argparse
import json
import time
from typing import Any

from tests.bench import process, report
from tests.bench.kubectl import Kubectl
from tests.bench.simulation import NAMESPACE, NODES, Simulation, requests, simulation

KUBEVIRT = {"seconds_to_running": 70.0, "controller_cpu_seconds": 26.0, "controller_peak_mib": 261.0}
SET = "scale"
LIMIT = 600  # seconds for either way
WRITES = ("POST", "PUT", "PATCH", "APPLY", "DELETE")
OURS = ("virtualmachineinstances", "virtualmachineinstancereplicasets", "virtualmachineinstancereplicasets/status")


def run(options: argparse.Namespace) -> None:
    with simulation() as world:
        result = measure(world, options.members)
    report.write("scale", result)
    print(_table(result))


def measure(world: Simulation, members: int) -> dict[str, Any]:
    world.kubectl.apply(replica_set(), namespace=NAMESPACE)
    time.sleep(2)
    before, cpu = requests(world.kubectl), process.cpu_seconds(world.manager)
    up = scale(world.kubectl, members)
    time.sleep(3)  # late events and status writes count too
    middle, cpu_up = requests(world.kubectl), process.cpu_seconds(world.manager)
    down = scale(world.kubectl, 0)
    time.sleep(3)
    after, cpu_down = requests(world.kubectl), process.cpu_seconds(world.manager)
    raised, ended = writes(before, middle), writes(middle, after)
    idle = process.cpu_seconds(world.manager)
    return {
        "members": members,
        "nodes": NODES,
        "seconds_to_running": up,
        "seconds_to_zero": down,
        "writes_per_vmi": round(sum(raised.values()) / members, 3),
        "writes_per_vmi_ending": round(sum(ended.values()) / members, 3),
        "writes_raising": raised,
        "writes_ending": ended,
        "requests": per_vmi(before, middle, members),
        "controller_cpu_seconds": round(cpu_up - cpu, 2),
        "controller_cpu_seconds_ending": round(cpu_down - cpu_up, 2),
        "controller_peak_mib": round(process.peak_mib(world.manager), 1),
        "controller_cpu_seconds_in_all": round(idle, 2),
        "kubevirt": KUBEVIRT,
    }


def writes(before: dict[tuple[str, str], int], after: dict[tuple[str, str], int]) -> dict[str, int]:
    """Writes of ours by verb and resource: all to our kinds, the pods we made or deleted, and events about our kinds.

    The simulated kubelet deletes each pod once more, after us; those are not ours. Events are all counted as ours,
    though the scheduler writes one for each pod: so theirs are taken off, one a pod bound.
    """
    delta = {key: after[key] - before.get(key, 0) for key in after}
    bound = delta.get(("POST", "pods/binding"), 0)
    ours = {f"{verb} {name}": delta.get((verb, name), 0) for name in OURS for verb in WRITES}
    ours["POST pods"] = delta.get(("POST", "pods"), 0)
    ours["DELETE pods"] = min(delta.get(("DELETE", "pods"), 0) // 2, ours.get("DELETE virtualmachineinstances", 0))
    events = sum(count for (verb, name), count in delta.items() if name == "events" and verb in WRITES)
    ours["events"] = max(events - bound, 0)
    return {key: count for key, count in ours.items() if count}


def per_vmi(before: dict[tuple[str, str], int], after: dict[tuple[str, str], int], members: int) -> dict[str, float]:
    """All requests of everyone, per member, the busiest first."""
    delta = {f"{verb} {name}": (after[verb, name] - before.get((verb, name), 0)) / members for verb, name in after}
    busiest = sorted(delta.items(), key=lambda item: -item[1])
    return {key: round(value, 3) for key, value in busiest if value >= 0.01}


def scale(kubectl: Kubectl, members: int) -> float:
    """Seconds until as many VMIs are Running, or none is left."""
    start = time.monotonic()
    kubectl("scale", "-n", NAMESPACE, "vmirs", SET, f"--replicas={members}")
    while time.monotonic() - start < LIMIT:
        if reached(kubectl, members):
            return round(time.monotonic() - start, 1)
        time.sleep(0.5)
    raise RuntimeError(f"{members} members not reached in {LIMIT} s")


def reached(kubectl: Kubectl, members: int) -> bool:
    status = kubectl.json("get", "-n", NAMESPACE, "vmirs", SET).get("status", {})
    if status.get("readyReplicas", 0) != members or status.get("replicas", 0) != members:
        return False
    place = f"/apis/kubevirt.io/v1/namespaces/{NAMESPACE}/virtualmachineinstances?limit=1"
    return bool(members) or not json.loads(kubectl("get", "--raw", place))["items"]  # the last finalizer is off, too


def replica_set() -> dict[str, Any]:
    labels = {"app": SET}
    disk = {"name": "root", "disk": {"bus": "virtio"}}
    volume = {"name": "root", "containerDisk": {"image": "docker.io/hostler/tiny:1"}}
    domain = {"memory": {"guest": "96Mi"}, "devices": {"disks": [disk]}}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstanceReplicaSet",
        "metadata": {"name": SET},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"domain": domain, "volumes": [volume]}},
        },
    }


def _table(result: dict[str, Any]) -> str:
    rows: list[tuple[object, ...]] = [
        (name, result[name], KUBEVIRT[name], result[name] / KUBEVIRT[name]) for name in KUBEVIRT
    ]
    rows += [(name, result[name], "-", "-") for name in ("seconds_to_zero", "writes_per_vmi", "writes_per_vmi_ending")]
    rows += [
        (f"  raising: {key}", count / result["members"], "-", "-") for key, count in result["writes_raising"].items()
    ]
    rows += [
        (f"  ending: {key}", count / result["members"], "-", "-") for key, count in result["writes_ending"].items()
    ]
    title = f"scale: one replica set 0 -> {result['members']} -> 0 on {result['nodes']} simulated nodes"
    return report.table(title, ("what", "hostler", "KubeVirt (quoted)", "ratio"), rows)
