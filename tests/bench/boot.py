"""`kubectl apply` of one VMI -> the guest's first line, against the same QEMU, image and node started by hand.

The rival runs in a pod of the launcher image that is there already: its time is QEMU's and the guest's alone.
"""

import argparse
import json
import statistics
import time
from typing import Any

from tests.bench import guests, report
from tests.bench.kubectl import Kubectl

NAMESPACE = "default"
BY_HAND = "bench-by-hand"

# runs in the rival's pod: an overlay is made, then the clock starts, then QEMU
SCRIPT = """
import glob, subprocess, sys, time
disk, = glob.glob('/image/disk/*')
fmt = 'qcow2' if disk.endswith('qcow2') else 'raw'
subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', fmt, '-b', disk, '/tmp/overlay'], check=True)
start = time.time()
qemu = subprocess.Popen(['qemu-system-x86_64', '-machine', 'q35', '-accel', 'tcg,tb-size=32', '-cpu', 'max',
    '-m', sys.argv[1], '-nodefaults', '-no-user-config', '-display', 'none', '-serial', 'stdio',
    '-drive', 'file=/tmp/overlay,format=qcow2,if=none,id=d', '-device', 'virtio-blk-pci,drive=d,bootindex=1',
    '-object', 'rng-random,id=r,filename=/dev/urandom', '-device', 'virtio-rng-pci,rng=r'],
    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
for line in qemu.stdout:
    if sys.argv[2].encode() in line:
        print(time.time() - start)
        break
qemu.kill()
"""


def run(options: argparse.Namespace) -> None:
    kubectl = Kubectl()
    node = guests.nodes(kubectl)[0]
    ours, by_hand = [], []
    try:
        _rival(kubectl, node)
        for i in range(options.rounds + 1):  # taken in turn, so that a slow spell hits both; the first does not count
            by_hand.append(_by_hand(kubectl))
            ours.append(_ours(kubectl, f"bench-boot-{i}", node))
    finally:
        kubectl("delete", "pod", "-n", NAMESPACE, BY_HAND, "--ignore-not-found", "--grace-period=0", "--force")
    result = summary(ours[1:], by_hand[1:])
    report.write("boot", result)
    print(_table(result))


def summary(ours: list[float], by_hand: list[float]) -> dict[str, Any]:
    mine, rival = statistics.median(ours), statistics.median(by_hand)
    return {
        "rounds": len(ours),
        "hostler_seconds": [round(value, 2) for value in ours],
        "by_hand_seconds": [round(value, 2) for value in by_hand],
        "hostler_median": round(mine, 2),
        "by_hand_median": round(rival, 2),
        "more_seconds": round(mine - rival, 2),
        "ratio": round(mine / rival, 2),
    }


def _ours(kubectl: Kubectl, name: str, node: str) -> float:
    start = time.time()
    kubectl.apply(guests.vmi(name, node), namespace=NAMESPACE)
    pod = guests.pod_of(kubectl, name, NAMESPACE)["metadata"]["name"]
    first = guests.console_line(kubectl, pod, NAMESPACE, guests.FIRST_LINE)
    kubectl("delete", "vmi", "-n", NAMESPACE, name, "--wait=true")
    return first - start


def _by_hand(kubectl: Kubectl) -> float:
    command = ["python3", "-c", SCRIPT, str(guests.MEMORY_MIB), guests.FIRST_LINE]
    return float(kubectl("exec", "-n", NAMESPACE, BY_HAND, "--", *command))


def _rival(kubectl: Kubectl, node: str) -> None:
    image = _launcher_image(kubectl)
    container = {
        "name": "compute",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", "import time; time.sleep(36000)"],
        "env": [{"name": "HOME", "value": "/tmp"}],
        "volumeMounts": [{"name": "image", "mountPath": "/image"}, {"name": "tmp", "mountPath": "/tmp"}],
    }
    volumes = [{"name": "image", "image": {"reference": guests.IMAGE, "pullPolicy": "IfNotPresent"}}]
    spec = {
        "nodeName": node,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsUser": 107, "runAsGroup": 107},
        "containers": [container],
        "volumes": [*volumes, {"name": "tmp", "emptyDir": {}}],
    }
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": BY_HAND}, "spec": spec}, namespace=NAMESPACE)
    kubectl("wait", "-n", NAMESPACE, "--for=condition=Ready", f"pod/{BY_HAND}", "--timeout=60s")


def _launcher_image(kubectl: Kubectl) -> str:
    """The image that the installed manager gives to its launchers."""
    manager = kubectl.json("get", "deployment", "-n", "hostler", "hostler-manager")
    env = manager["spec"]["template"]["spec"]["containers"][0]["env"]
    return str(next(item["value"] for item in env if item["name"] == "HOSTLER_LAUNCHER_IMAGE"))


def _table(result: dict[str, Any]) -> str:
    rows: list[tuple[object, ...]] = [
        ("kubectl apply -> guest's first line, s", result["hostler_median"], result["by_hand_median"], result["ratio"]),
        ("more than by hand, s", result["more_seconds"], "-", "-"),
    ]
    rounds = json.dumps(result["hostler_seconds"])
    return report.table(
        f"boot: median of {result['rounds']}: {rounds}", ("what", "hostler", "QEMU by hand", "ratio"), rows
    )
