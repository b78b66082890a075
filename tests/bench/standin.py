"""Stands in for the node agents of simulated nodes: once a launcher pod runs, its VMI does too. One write a VMI.

A guest with the annotation ENDS powers off a second later, and its pod ends well.

python -m tests.bench.standin --kubeconfig FILE
"""

import argparse
import asyncio
import json
from datetime import UTC, datetime

from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.objects import Pod
from hostler.runtime.errors import ApiError
from hostler.runtime.kube import Kind, Kube, Raw, connect
from hostler.runtime.reflector import Reflector

WRITERS = 16
ENDS = "bench.hostler.io/ends"
LIFE = 1.0  # seconds


class Agents:
    """A reflector's sink that queues every pod that has begun to run."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Raw] = asyncio.Queue()
        self.ended: asyncio.Queue[Raw] = asyncio.Queue()
        self._seen: set[str] = set()

    def observe(self, kind: Kind, raw: Raw) -> None:
        uid = raw["metadata"]["uid"]
        if raw["status"].get("phase") == "Running" and uid not in self._seen:
            self._seen.add(uid)
            self.queue.put_nowait(raw)

    def forget(self, kind: Kind, raw: Raw) -> None:
        self._seen.discard(raw["metadata"]["uid"])

    def prune(self, kind: Kind, uids: set[str], version: str) -> None:
        self._seen &= uids


async def report(kube: Kube, agents: Agents) -> None:
    while True:
        pod = await agents.queue.get()
        try:
            name = pod["metadata"]["annotations"][launcher.DOMAIN]
            await kube.patch(VirtualMachineInstance, pod["metadata"]["namespace"], name, running(pod))
        except ApiError:
            continue  # the VMI went away meanwhile
        if ENDS in pod["metadata"]["annotations"]:
            asyncio.get_running_loop().call_later(LIFE, agents.ended.put_nowait, pod)


async def end(kube: Kube, agents: Agents) -> None:
    while True:
        meta = (await agents.ended.get())["metadata"]
        try:
            await kube.patch(Pod, meta["namespace"], meta["name"], ended(), "status")
        except ApiError:
            continue


def ended() -> Raw:
    """The patch with which a kubelet reports a pod whose guest powered off."""
    said = json.dumps({"reason": "GuestShutdown", "message": "the guest powered off", "exitCode": 0})
    over = {"exitCode": 0, "reason": "Completed", "message": said}
    compute = {"name": launcher.COMPUTE, "ready": False, "state": {"running": None, "terminated": over}}
    return {"status": {"phase": "Succeeded", "containerStatuses": [compute]}}


def running(pod: Raw) -> Raw:
    """The patch with which an agent reports a running guest."""
    node, now = pod["spec"]["nodeName"], datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    phases = [{"phase": phase, "phaseTransitionTimestamp": now} for phase in ("Scheduling", "Scheduled", "Running")]
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": now, "lastProbeTime": None}
    interface = {"name": "default", "ipAddress": pod["status"].get("podIP", ""), "infoSource": "domain"}
    status = {
        "phase": "Running",
        "nodeName": node,
        "activePods": {pod["metadata"]["uid"]: node},
        "phaseTransitionTimestamps": phases,
        "conditions": [ready],
        "interfaces": [interface],
    }
    return {"metadata": {"labels": {launcher.NODE_NAME: node}}, "status": status}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    kube = await connect(parser.parse_args().kubeconfig, "bench-standin")
    agents = Agents()
    reflector = Reflector(kube, Pod, agents, labels=f"{launcher.APP_LABEL}={launcher.APP_VALUE}")
    writers = [write(kube, agents) for _ in range(WRITERS) for write in (report, end)]
    await asyncio.gather(reflector.run(), *writers)


if __name__ == "__main__":
    asyncio.run(main())
