"""`kubectl apply` of one VMI -> the guest's first line, against the same QEMU, image and node started by hand.

The rival runs in a pod of the launcher image that is there already, with the command line of Hostler's QEMU: its time
is QEMU's and the guest's alone.
"""

import argparse
import json
import re
import statistics
import time
from typing import Any

from tests.bench import guests, report
from tests.bench.kubectl import Kubectl

ROUNDS = 5  # starts of each kind
NAMESPACE = "default"
BY_HAND = "bench-by-hand"
FLAGS = ("-no-user-config", "-nodefaults")  # of QEMU's options, those without a value

# Runs in the rival's pod: an overlay is made, then the clock starts, then QEMU, with all devices of the other guest.
SCRIPT = """
import glob, json, subprocess, sys, time
disk, = glob.glob('/image/disk/*')
fmt = 'qcow2' if disk.endswith('qcow2') else 'raw'
subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', fmt, '-b', disk, '/tmp/overlay'], check=True)
command = [word.replace('@image@', disk) for word in json.loads(sys.argv[1])]
start = time.time()
qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
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
        command: list[str] = []
        # taken in turn, so that a slow spell hits both; the first does not count
        for i in range((options.rounds or ROUNDS) + 1):
            seconds, seen = _ours(kubectl, f"bench-boot-{i}", node)
            ours.append(seconds)
            command = command or by_hand_command(seen)
            by_hand.append(_by_hand(kubectl, command))
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


def by_hand_command(command: list[str]) -> list[str]:
    """QEMU's command line without what ties it to libvirt and to the pod's network; the devices stay as they are."""
    words = iter(command)
    result = [next(words)]
    for word in words:
        if word in ("-S", "-no-shutdown"):
            continue
        value = "" if word in FLAGS else next(words)
        if word in ("-name", "-mon", "-add-fd") or "masterKey0" in value or "charmonitor" in value:
            continue
        if word == "-netdev":
            value = "user,id=" + json.loads(value)["id"]
        elif word == "-vnc":
            value = "vnc=unix:/tmp/vnc" + value[value.find(",") :]
        elif word == "-chardev":
            ident = re.search(r"id=([^,]+)", value).group(1)  # type: ignore[union-attr]
            value = (
                f"stdio,id={ident}" if "serial" in ident else f"socket,id={ident},path=/tmp/{ident},server=on,wait=off"
            )
        elif word == "-blockdev":
            value = re.sub(r'/run/hostler/images/[^"]*', "@image@", value)
            value = re.sub(r'/var/run/hostler/disks/[^"]*', "/tmp/overlay", value)
        result += [word, value] if value else [word]
    return result


def _ours(kubectl: Kubectl, name: str, node: str) -> tuple[float, list[str]]:
    """Seconds to the first line, and the command line of the QEMU that printed it."""
    start = time.time()
    kubectl.apply(guests.vmi(name, node), namespace=NAMESPACE)
    pod = guests.pod_of(kubectl, name, NAMESPACE)["metadata"]["name"]
    first = guests.console_line(kubectl, pod, NAMESPACE, guests.FIRST_LINE)
    script = "cat /proc/$(pidof qemu-system-x86_64)/cmdline"
    command = kubectl("exec", "-n", NAMESPACE, pod, "-c", "compute", "--", "sh", "-c", script)
    kubectl("delete", "vmi", "-n", NAMESPACE, name, "--wait=true")
    return first - start, command.rstrip("\0").split("\0")


def _by_hand(kubectl: Kubectl, qemu: list[str]) -> float:
    command = ["python3", "-c", SCRIPT, json.dumps(qemu), guests.FIRST_LINE]
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
