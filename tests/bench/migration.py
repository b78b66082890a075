"""A guest moved back and forth between two nodes, many times: one move proves nothing.

The guest counts, verifies and rewrites every page of a working set in memory by checksum, and writes numbered blocks
to a shared claim, each acknowledged on its console once it is on the disk. The judges are outside: what its consoles
said, one after another, and the claim's own bytes afterwards.
"""

import argparse
import itertools
import re
import statistics
import subprocess
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench import guests, report
from tests.bench.kubectl import Kubectl

NAME, CLAIM, NAMESPACE = "bench-migration", "bench-migration", "default"
BLOCK, BLOCKS = 4096, 4096
FILES, PAGES = 32, 64  # of the working set: 32 files of 64 pages, 8 MiB
OVER = 300.0  # seconds
PROGRAM = f"""#!/bin/sh
read boot </proc/sys/kernel/random/boot_id
mkdir /m && cd /m
for f in $(seq 0 {FILES - 1}); do head -c {PAGES * 4096} /dev/urandom >$f; md5sum $f >$f.md5; done
n=0
while :; do
    n=$((n + 1)) f=$((n % {FILES}))
    md5sum -c -s $f.md5 || echo "BAD memory $n $f"
    head -c {PAGES * 4096} /dev/urandom >$f && md5sum $f >$f.md5
    read sum rest <$f.md5
    printf '%-{BLOCK}s' "REC $n $sum" >/m/block
    dd if=/m/block of=/dev/vdb bs={BLOCK} seek=$((n % {BLOCKS})) conv=notrunc,fsync 2>/dev/null || echo "BAD disk $n"
    echo "ACK $n $sum $boot"
done
"""
LINE = re.compile(r"^(\S+) .*?(ACK (\d+) ([0-9a-f]{32}) ([0-9a-f-]{36})|BAD .*)")


class Console:
    """What one pod's guest says, as it says it, with the node's time."""

    def __init__(self, kubectl: Kubectl, pod: str) -> None:
        self.lines: list[str] = []
        self._process = kubectl.popen("logs", "-n", NAMESPACE, "-f", "--timestamps", pod, "-c", "compute")
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.decode(errors="replace"))

    def end(self, limit: float = 60) -> None:
        """The pod has ended; wait for its last line."""
        try:
            self._process.wait(limit)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._thread.join(10)


def run(options: argparse.Namespace) -> None:
    kubectl = Kubectl()
    kubectl.apply(claim(), vmi(), namespace=NAMESPACE)
    try:
        result = soak(kubectl, options.moves)
    finally:
        kubectl("delete", "vmi,vmim", "-n", NAMESPACE, "--all", "--wait=true", timeout=180)
        kubectl("delete", "pvc", "-n", NAMESPACE, CLAIM, "--wait=false")
    print(report.write("migration", result))
    print(table(result))


def soak(kubectl: Kubectl, moves: int) -> dict[str, Any]:
    kubectl("wait", "-n", NAMESPACE, "--for=condition=Ready", f"vmi/{NAME}", "--timeout=180s", timeout=200)
    pod = str(guests.pod_of(kubectl, NAME, NAMESPACE)["metadata"]["name"])
    guests.console_line(kubectl, pod, NAMESPACE, "ACK 20 ")
    consoles = [Console(kubectl, pod)]
    seconds, failures = [], []
    for number in range(moves):
        begun = time.monotonic()
        why, new = one_move(kubectl, number)
        if why:
            failures.append(f"{number}: {why}")
            print(f"move {number} failed: {why}", flush=True)
        else:
            seconds.append(time.monotonic() - begun)
            consoles.append(Console(kubectl, new))
        if number % 10 == 9:
            print(f"{number + 1} moves, {len(failures)} failed", flush=True)
    time.sleep(3)
    disk = disk_of(kubectl)
    kubectl("delete", "vmi", "-n", NAMESPACE, NAME, "--wait=true", timeout=120)
    for console in consoles:
        console.end()
    return judged([console.lines for console in consoles], seconds, failures, disk)


def one_move(kubectl: Kubectl, number: int) -> tuple[str, str]:
    """Why it failed, or the guest's new pod."""
    name = f"bench-{number}"
    kubectl.apply(
        {
            "apiVersion": "kubevirt.io/v1",
            "kind": "VirtualMachineInstanceMigration",
            "metadata": {"name": name},
            "spec": {"vmiName": NAME},
        },
        namespace=NAMESPACE,
    )
    deadline = time.monotonic() + OVER
    while time.monotonic() < deadline:
        status = kubectl.json("get", "vmim", "-n", NAMESPACE, name).get("status", {})
        if status.get("phase") == "Succeeded":
            return "", str(status["migrationState"]["targetPod"])
        if status.get("phase") == "Failed":
            return str(status["migrationState"].get("failureReason")), ""
        time.sleep(0.3)
    return f"not over after {OVER:.0f} s", ""


def judged(consoles: list[list[str]], seconds: list[float], failures: list[str], disk: Path | None) -> dict[str, Any]:
    """What the consoles and the disk say."""
    said = [[found for line in lines if (found := LINE.match(line))] for lines in consoles]
    bad = [found[2] for lines in said for found in lines if found[2].startswith("BAD")]
    acks = [[(when(found[1]), int(found[3]), found[4], found[5]) for found in lines if found[3]] for lines in said]
    numbers = [number for lines in acks for _, number, _, _ in lines]
    jumps = sum(1 for a, b in itertools.pairwise(numbers) if b != a + 1)
    boots = {boot for lines in acks for *_, boot in lines}
    gaps = [new[0][0] - old[-1][0] for old, new in itertools.pairwise(acks) if old and new]
    ticks = [b[0] - a[0] for lines in acks for a, b in itertools.pairwise(lines)]
    return {
        "moves": len(seconds) + len(failures),
        "failed": failures,
        "counted": len(numbers),
        "counter_jumps": jumps,
        "boots": len(boots),
        "bad_pages": [text for text in bad if "memory" in text],
        "bad_writes": [text for text in bad if "disk" in text],
        "acknowledged_and_not_on_disk": lost({number: sum for lines in acks for _, number, sum, _ in lines}, disk),
        "move_seconds": spread(seconds),
        "silence_seconds": spread(gaps),
        "tick_seconds": spread(ticks),
    }


def lost(acks: dict[int, str], disk: Path | None) -> list[int] | str:
    """Numbers that the guest was told to be on the disk, of those that were not overwritten since, and are not."""
    if disk is None:
        return "the claim's file is not on this host"
    last = max(acks, default=0)
    missing = []
    with disk.open("rb") as file:
        for number in range(max(1, last - BLOCKS + 2), last + 1):
            file.seek(number % BLOCKS * BLOCK)
            if number in acks and not file.read(BLOCK).startswith(f"REC {number} {acks[number]}".encode()):
                missing.append(number)
    return missing


def disk_of(kubectl: Kubectl) -> Path | None:
    """The claim's image, where the nodes are of this host."""
    volume = kubectl.json("get", "pvc", "-n", NAMESPACE, CLAIM)["spec"]["volumeName"]
    spec = kubectl.json("get", "pv", volume)["spec"]
    folder = (spec.get("hostPath") or spec.get("local") or {}).get("path")
    disk = Path(folder or "/nowhere") / "disk.img"
    return disk if disk.exists() else None


def when(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 3),
        "p95": round(ordered[int(len(ordered) * 0.95)] if len(ordered) > 1 else ordered[0], 3),
        "max": round(ordered[-1], 3),
    }


def claim() -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "32Mi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM}, "spec": spec}


def vmi() -> dict[str, Any]:
    guest = guests.vmi(NAME, "")
    spec = guest["spec"]
    del spec["nodeSelector"]
    spec["domain"]["memory"] = {"guest": "160Mi"}  # room for the working set beside what the guest runs from
    disks, volumes = spec["domain"]["devices"]["disks"], spec["volumes"]
    for name in ("data", "program"):
        disks.append({"name": name, "disk": {"bus": "virtio"}})
    volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": CLAIM}})
    volumes.append({"name": "program", "cloudInitNoCloud": {"userData": PROGRAM}})
    return guest


def table(result: dict[str, Any]) -> str:
    missing = result["acknowledged_and_not_on_disk"]
    rows: list[tuple[object, ...]] = [
        ("moves", result["moves"]),
        ("failed", len(result["failed"])),
        ("counted", result["counted"]),
        ("counter jumps", result["counter_jumps"]),
        ("boots", result["boots"]),
        ("bad pages", len(result["bad_pages"])),
        ("acknowledged writes that are not there", missing if isinstance(missing, str) else len(missing)),
    ]
    for key in ("move_seconds", "silence_seconds", "tick_seconds"):
        rows += [(f"{key.replace('_', ' ')} {part}", value) for part, value in result[key].items()]
    return report.table("Live migration, back and forth", ("what", "figure"), rows)
