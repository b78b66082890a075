"""0 -> N -> 0 members of each kind on 50 simulated nodes: seconds, our writes, CPU and memory of the manager.

And with 2 N members: linear is a ratio of 2. And what the manager does while nothing changes: nothing, it should be.

The rival's figures are KubeVirt's virt-controller (v1.9), measured the same way on this kind of machine beside other
work: 1000 VMIs of a replica set Running in 70 s, 26 s of CPU, 261 MB. Its code cannot be run here, so they are quoted.
"""

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from math import ceil
from typing import Any

from tests.bench import process, report
from tests.bench.kinds import LOADS, Ask, Load, known
from tests.bench.kubectl import Kubectl
from tests.bench.manager import Manager, Sample
from tests.bench.simulation import NAMESPACE, NODES, Simulation, requests, simulation

KUBEVIRT = {"seconds": 70.0, "cpu_seconds": 26.0, "peak_mib": 261.0}  # up, 1000 members of a replica set
ROUNDS = 3
WAYS = ("up", "down")
LINEAR = ("seconds", "cpu_seconds")  # what is to be at most 2.2 times as much for twice as many
VMIS = "virtualmachineinstances"
Result = dict[str, Any]


def run(options: argparse.Namespace) -> None:
    """Each kind's result is kept as soon as it is there; one that fails does not keep the others from their turn."""
    failed = []
    with simulation() as world:
        for load in known(world.kubectl, [each for each in LOADS if not options.kind or each.name in options.kind]):
            try:
                result = measure(world, load, options)
            except RuntimeError as error:
                print(f"{load.name}: {error}", flush=True)
                failed.append(load.name)
                continue
            keep(load, result)
            print(table(load, result), flush=True)
    print(summary(report.read("scale").get("kinds", {})))
    if failed:
        raise SystemExit(f"no figures for {', '.join(failed)}")


def keep(load: Load, result: Result) -> None:
    whole = report.read("scale").get("kinds", {}) | {load.name: result}
    plain = whole.get("replicaset")
    headline = {"writes_per_vmi": plain["runs"][0]["up"]["writes_per_vmi"]} if plain else {}
    report.write("scale", headline | {"nodes": NODES, "kubevirt": KUBEVIRT, "kinds": whole})


def measure(world: Simulation, load: Load, options: argparse.Namespace) -> Result:
    """N and 2 N in turn, as often as asked for, so that a slow spell of the machine hits both."""
    base = load.unit * ceil(options.members * load.share / load.unit)
    sizes = (base,) if options.single else (base, 2 * base)
    rounds = [[one_run(world, load, size, options) for size in sizes] for _ in range(options.rounds or ROUNDS)]
    of_size = list(zip(*rounds, strict=True))
    result: Result = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "note": load.note,
        "runs": [median_run(runs) for runs in of_size],
        "rounds": [[figures(each) for each in runs] for runs in rounds],
    }
    if not options.single:
        one, two = (medians(runs) for runs in of_size)
        result["ratios"] = {
            way: {key: round(two[way][key] / max(one[way][key], 0.01), 2) for key in LINEAR} for way in WAYS
        }
    return result


def median_run(runs: Sequence[Result]) -> Result:
    """The run that took the middle of all CPU; of an even number, the dearer one of the two."""
    return sorted(runs, key=lambda run: sum(run[way]["cpu_seconds"] for way in WAYS))[len(runs) // 2]


def figures(run: Result) -> Result:
    """What is to be linear, of one run."""
    return {way: {key: run[way][key] for key in LINEAR} for way in WAYS}


def medians(runs: Sequence[Result]) -> Result:
    return {way: {key: statistics.median(run[way][key] for run in runs) for key in LINEAR} for way in WAYS}


def one_run(world: Simulation, load: Load, members: int, options: argparse.Namespace) -> Result:
    before = load.before(members)
    if before:
        world.kubectl.apply(*before, namespace=NAMESPACE)
    with world.manager() as manager:
        try:
            trial = Trial(world.kubectl, manager, load, members, options.limit)
            empty = process.resident_mib(manager.pid)
            up = trial.way(load.up, members)
            full, still = process.resident_mib(manager.pid), look_on(manager, options.idle)
            down = trial.way(load.down, 0)
            peak = process.peak_mib(manager.pid)
        finally:  # before the manager goes, whose finalizers they may have
            world.kubectl("delete", "-n", NAMESPACE, load.resource, "--all", "--timeout=100s")
    memory = {"empty_mib": round(empty, 1), "full_mib": round(full, 1), "peak_mib": round(peak, 1)}
    return {"members": members, "up": up, "idle": still, "down": down} | memory


@dataclass(frozen=True)
class Trial:
    """One load of so many members on a manager of its own."""

    kubectl: Kubectl
    manager: Manager
    load: Load
    members: int
    limit: float  # seconds for either way

    def way(self, ask: Ask, target: int) -> Result:
        """Up to all members, or down to none."""
        everyone, before = requests(self.kubectl), self.manager.sample()
        start = ask(self.kubectl, self.load, target)
        seconds = self.await_members(target, start)
        self.manager.await_quiet()  # late events and status writes count, too
        done, after = self.manager.sample().since(before), requests(self.kubectl)
        writes = ours(done, everyone, after)
        return {
            "seconds": round(seconds, 1),
            "cpu_seconds": round(done.cpu, 2),
            "writes_per_vmi": round(sum(writes.values()) / self.members, 3),
            "writes": dict(writes.most_common()),
            "refused": dict(done.refused),
            "visits": dict(done.visits.most_common()),
            "watch_events": done.events,
            "requests_of_all": per_member(everyone, after, self.members),
        }

    def await_members(self, target: int, start: float) -> float:
        """Seconds until as many are there as the objects' statuses say, or none is left."""
        while time.monotonic() - start < self.limit:
            if self.reached(target):
                return time.monotonic() - start
            time.sleep(0.5)
        raise RuntimeError(f"{self.load.name}: {target} members not reached in {self.limit} s")

    def reached(self, target: int) -> bool:
        objects = self.kubectl.json("get", "-n", NAMESPACE, self.load.resource)["items"]
        there = [self.load.there(each) for each in objects]
        if any(each < 0 for each in there) or sum(there) != target:
            return False
        place = f"/apis/kubevirt.io/v1/namespaces/{NAMESPACE}/{VMIS}?limit=1"
        return bool(target) or not json.loads(self.kubectl("get", "--raw", place))["items"]  # with the last finalizer


def ours(done: Sample, before: dict[tuple[str, str], int], after: dict[tuple[str, str], int]) -> Counter[str]:
    """The manager's writes, as it counts them itself, and the agents': what else the API server saw patch VMIs."""
    patched = sum(after[key] - before.get(key, 0) for key in after if key == ("PATCH", VMIS))
    return done.writes + Counter({f"PATCH {VMIS} (agents)": patched - done.writes[f"PATCH {VMIS}"]})


def per_member(before: dict[tuple[str, str], int], after: dict[tuple[str, str], int], members: int) -> dict[str, float]:
    """All requests of everyone, per member, the busiest first; the API server counts them."""
    delta = {f"{verb} {name}": (after[verb, name] - before.get((verb, name), 0)) / members for verb, name in after}
    busiest = sorted(delta.items(), key=lambda item: -item[1])
    return {key: round(value, 3) for key, value in busiest if value >= 0.01}


def look_on(manager: Manager, seconds: int) -> Result:
    """What it does while nothing changes; the renewal of its Lease is in the CPU, but not in the writes."""
    before = manager.sample()
    time.sleep(seconds)
    done = manager.sample().since(before)
    return {"seconds": seconds, "cpu_percent": round(100 * done.cpu / done.at, 2), "writes": sum(done.writes.values())}


def table(load: Load, result: Result) -> str:
    """One kind, in all that was measured."""
    runs = result["runs"]
    head = ("what", *[str(each["members"]) for each in runs], *(["ratio"] if len(runs) > 1 else []))
    rows = []
    for way in WAYS:
        for key in (*LINEAR, "writes_per_vmi", "watch_events"):
            rows.append(row(f"{way}: {key}", [each[way][key] for each in runs]))
        for key in runs[0][way]["writes"]:
            rows.append(row(f"{way}:   {key}", [each[way]["writes"].get(key, 0) for each in runs]))
        for key in runs[0][way]["visits"]:
            rows.append(row(f"{way}: visits of {key}", [each[way]["visits"].get(key, 0) for each in runs]))
        for key in runs[-1][way]["refused"]:
            rows.append(row(f"{way}: refused {key}", [each[way]["refused"].get(key, 0) for each in runs]))
    for key in ("empty_mib", "full_mib", "peak_mib"):
        rows.append(row(key, [each[key] for each in runs]))
    rows.append(row("unchanged: CPU %", [each["idle"]["cpu_percent"] for each in runs]))
    rows.append(row("unchanged: writes", [each["idle"]["writes"] for each in runs]))
    for way, key in product(WAYS, LINEAR) if len(runs) > 1 else ():
        rows.append((f"{way}: {key}, of medians", *spans(result, way, key), result["ratios"][way][key]))
    return report.table(f"scale: {title(load.name, result)} on {NODES} simulated nodes", head, rows)


def spans(result: Result, way: str, key: str) -> list[str]:
    """The least and the most of all rounds, for each size."""
    sizes = zip(*[[run[way][key] for run in runs] for runs in result["rounds"]], strict=True)
    return [" to ".join(map(str, dict.fromkeys((min(of_size), max(of_size))))) for of_size in sizes]


def row(name: str, values: list[float]) -> tuple[object, ...]:
    return (name, *values, *([values[1] / values[0] if values[0] else "-"] if len(values) > 1 else []))


def title(name: str, result: Result) -> str:
    return f"{name} ({result['note']})" if result["note"] else name


def summary(kinds: dict[str, Result]) -> str:
    """All kinds that were ever measured here, a line each."""
    head: tuple[str, ...] = (
        "kind",
        "members",
        "s up",
        "s down",
        "writes up",
        "writes down",
        "CPU s up",
        "CPU s down",
        "peak MiB",
    )
    head += ("2 N: s up", "2 N: CPU up", "2 N: CPU down", "unchanged: CPU %")
    rows: list[tuple[object, ...]] = []
    for name, result in kinds.items():
        one = result["runs"][0]
        up, down, ratios = one["up"], one["down"], result.get("ratios")
        twice = [ratios["up"]["seconds"], ratios["up"]["cpu_seconds"], ratios["down"]["cpu_seconds"]] if ratios else []
        writes = up["writes_per_vmi"], down["writes_per_vmi"]
        cells = (up["seconds"], down["seconds"], *writes, up["cpu_seconds"], down["cpu_seconds"], one["peak_mib"])
        idle = one["idle"]["cpu_percent"]
        rows.append((title(name, result), one["members"], *cells, *(twice or ["-"] * 3), idle))
    quoted = (KUBEVIRT["seconds"], "-", "9 to 10", "-", KUBEVIRT["cpu_seconds"], "-", KUBEVIRT["peak_mib"])
    rows.append(("KubeVirt's replica set, quoted", 1000, *quoted, *["-"] * 4))
    return report.table(f"scale: 0 -> N -> 0 members on {NODES} simulated nodes", head, rows)
