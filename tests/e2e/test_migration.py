"""Live migration between two real nodes: guests that count are the witnesses, their consoles the judge."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.tour import Guide
from tests.e2e import seen
from tests.e2e.manifests import claim, vmi
from tests.e2e.seen import Kubectl

# counts on the console, ten times a second; says when the kernel was started
COUNTER = """#!/bin/sh
read boot </proc/sys/kernel/random/boot_id
n=0
while :; do
    n=$((n + 1))
    echo "COUNT $n $boot"
    usleep 100000
done
"""
LINE = re.compile(r"COUNT (\d+) ([0-9a-f-]{36})")
PHASES = ("Scheduling", "Scheduled", "PreparingTarget", "TargetReady", "Running", "Succeeded")
SLOW = "4Mi"  # bytes a second: a move of a small guest takes some 15 s


def counter(name: str, **changes: Any) -> dict[str, Any]:
    guest = vmi(name, evictionStrategy="LiveMigrate", **changes)
    guest["spec"]["domain"]["devices"]["disks"].append({"name": "program", "disk": {"bus": "virtio"}})
    guest["spec"]["volumes"].append({"name": "program", "cloudInitNoCloud": {"userData": COUNTER}})
    return guest


def migration(vmi_name: str, name: str = "go", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstanceMigration",
        "metadata": {"name": name},
        "spec": {"vmiName": vmi_name} | spec,
    }


def counting(kubectl: Kubectl, namespace: str, *names: str) -> None:
    for name in names:
        kubectl("wait", "-n", namespace, "--for=condition=Ready", f"vmi/{name}", "--timeout=240s")
    for name in names:
        seen.console(kubectl, namespace, name, "COUNT 5 ")


def node_of(kubectl: Kubectl, namespace: str, name: str) -> str:
    return str(seen.get(kubectl, namespace, "vmi", name)["status"]["nodeName"])


def phase(kubectl: Kubectl, namespace: str, name: str = "go") -> str:
    return str(seen.get(kubectl, namespace, "vmim", name).get("status", {}).get("phase", ""))


def over(kubectl: Kubectl, namespace: str, name: str = "go", limit: float = 240) -> str:
    return str(seen.until(
        f"the migration {name} is over",
        lambda: found if (found := phase(kubectl, namespace, name)) in ("Succeeded", "Failed") else "", limit,
    ))  # fmt: skip


def one_pod(kubectl: Kubectl, namespace: str) -> None:
    seen.until("one pod is left", lambda: len(seen.items(kubectl, namespace, "pods")) == 1)


def movable(kubectl: Kubectl, namespace: str, name: str) -> dict[str, Any]:
    """What its condition LiveMigratable says, once it says something."""
    return dict(seen.until(
        "it is told whether it can be moved",
        lambda: seen.condition(seen.get(kubectl, namespace, "vmi", name), "LiveMigratable"),
    ))  # fmt: skip


def counts(kubectl: Kubectl, namespace: str, pod: str) -> list[tuple[int, str]]:
    return read(kubectl("logs", "-n", namespace, pod, "-c", "compute"))


def read(log: str) -> list[tuple[int, str]]:
    return [(int(number), boot) for number, boot in LINE.findall(log)]


def joined(first: str, then: str) -> list[tuple[int, str]]:
    """All that a guest counted in two pods: the line in the middle of which it moved is partly in either log."""
    tails = [line for line in first.splitlines()[-3:] if line and not LINE.search(line)]
    heads = [line for line in then.splitlines()[:3] if line and not LINE.search(line)]
    middle = next((tail + head for tail in tails for head in heads if LINE.fullmatch(tail + head)), "")
    return read("\n".join((first, middle, then)))


@contextmanager
def other_node_closed(kubectl: Kubectl, node: str) -> Iterator[str]:
    """Nothing new is scheduled to the node that is not this one."""
    other = next(n for n in kubectl("get", "nodes", "-o", "name").split() if n != f"node/{node}")
    kubectl("cordon", other)
    try:
        yield other.removeprefix("node/")
    finally:
        kubectl("uncordon", other)


@pytest.fixture(scope="module")
def slowly(kubectl: Kubectl) -> Iterator[None]:
    """Moves take long enough to interfere with them."""
    limit(kubectl, SLOW)
    yield
    limit(kubectl, "0")


def limit(kubectl: Kubectl, rate: str) -> None:
    kubectl("set", "env", "-n", "hostler", "deployment/hostler-migration", f"HOSTLER_BANDWIDTH={rate}")
    kubectl("rollout", "status", "-n", "hostler", "deployment/hostler-migration", "--timeout=240s")
    labels = "app.kubernetes.io/component=migration"
    replicas = seen.get(kubectl, "hostler", "deployment", "hostler-migration")["spec"]["replicas"]
    # one that is still ending may lead, and knows the old rate
    seen.until("the old ones are gone", lambda: len(seen.items(kubectl, "hostler", "pods", labels)) == replicas)


def test_a_guest_moves_and_goes_on_counting(kubectl, namespace):
    kubectl.apply(namespace, claim("shared") | {"spec": shared()})
    guest = counter("mover")
    guest["spec"]["domain"]["devices"]["disks"].append({"name": "data", "disk": {"bus": "virtio"}})
    guest["spec"]["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": "shared"}})
    kubectl.apply(namespace, guest)
    counting(kubectl, namespace, "mover")
    before = seen.get(kubectl, namespace, "vmi", "mover")
    assert movable(kubectl, namespace, "mover")["status"] == "True"
    old = seen.launcher_pod(kubectl, namespace, "mover")["metadata"]["name"]
    with kubectl.follow("logs", "-n", namespace, "-f", old) as log:
        kubectl.apply(namespace, migration("mover"))
        assert over(kubectl, namespace) == "Succeeded", seen.get(kubectl, namespace, "vmim", "go")
        one_pod(kubectl, namespace)
        first = log.text()
    after = seen.get(kubectl, namespace, "vmi", "mover")
    assert after["status"]["nodeName"] != before["status"]["nodeName"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["phase"] == "Running"
    state = after["status"]["migrationState"]
    assert (state["completed"], state.get("failed")) == (True, None)
    assert (state["sourceNode"], state["targetNode"]) == (before["status"]["nodeName"], after["status"]["nodeName"])
    new = seen.launcher_pod(kubectl, namespace, "mover")["metadata"]["name"]
    seen.until("it counts", lambda: len(counts(kubectl, namespace, new)) > 5)
    both = joined(first, kubectl("logs", "-n", namespace, new, "-c", "compute"))
    assert len({boot for _, boot in both}) == 1, "it was not started anew"
    numbers = [number for number, _ in both]
    assert numbers == list(range(numbers[0], numbers[-1] + 1)), "no number is missing, none comes twice"
    assert len(seen.guests(namespace)["mover"]) == 1
    kubectl("wait", "-n", namespace, "--for=condition=Ready", "vmi/mover", "--timeout=120s")
    pod_ip = seen.launcher_pod(kubectl, namespace, "mover")["status"]["podIP"]

    def addresses() -> set[str]:
        return {nic.get("ipAddress") for nic in seen.get(kubectl, namespace, "vmi", "mover")["status"]["interfaces"]}

    seen.until("the pod's address is told", lambda: addresses() == {pod_ip}, 60)
    phases = [
        each["phase"] for each in seen.get(kubectl, namespace, "vmim", "go")["status"]["phaseTransitionTimestamps"]
    ]
    assert phases[0] == "Scheduling"
    assert phases[-1] == "Succeeded"
    assert phases == [phase for phase in PHASES if phase in phases], (
        "in order; one that lasts but a moment may be missed"
    )


def shared() -> dict[str, Any]:
    return claim("shared")["spec"] | {"accessModes": ["ReadWriteMany"]}


def test_a_claim_of_one_node_ties_the_guest(kubectl, namespace):
    kubectl.apply(namespace, claim("own"))
    guest = vmi("tied", evictionStrategy="LiveMigrate")
    guest["spec"]["domain"]["devices"]["disks"].append({"name": "data", "disk": {"bus": "virtio"}})
    guest["spec"]["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": "own"}})
    kubectl.apply(namespace, guest)
    kubectl("wait", "-n", namespace, "--for=condition=Ready", "vmi/tied", "--timeout=120s")
    told = movable(kubectl, namespace, "tied")
    assert (told["status"], told["reason"]) == ("False", "DisksNotLiveMigratable")
    kubectl.apply(namespace, migration("tied"))
    assert over(kubectl, namespace, limit=60) == "Failed"
    state = seen.get(kubectl, namespace, "vmim", "go")["status"]["migrationState"]
    assert state["failureReason"].startswith("Cannot migrate VMI, Reason: DisksNotLiveMigratable, Message: ")
    pod = seen.launcher_pod(kubectl, namespace, "tied")["metadata"]["name"]
    with pytest.raises(RuntimeError, match="not live-migratable"):
        evict(kubectl, namespace, pod)


def evict(kubectl: Kubectl, namespace: str, pod: str) -> None:
    body = '{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "%s", "namespace": "%s"}}'
    kubectl("create", "--raw", f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", "-f", "-",
            stdin=body % (pod, namespace))  # fmt: skip


def test_a_drain_moves_guests(kubectl, namespace):
    kubectl.apply(namespace, counter("first"))
    counting(kubectl, namespace, "first")
    node = node_of(kubectl, namespace, "first")
    with other_node_closed(kubectl, node):
        kubectl.apply(namespace, counter("second"))
        counting(kubectl, namespace, "second")
    uids = {each["metadata"]["uid"] for each in seen.items(kubectl, namespace, "vmi")}
    try:
        kubectl(
            "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s",
            "--pod-selector=kubevirt.io=virt-launcher",
        )  # fmt: skip
        both = ("first", "second")
        seen.until("both are elsewhere", lambda: node not in {node_of(kubectl, namespace, name) for name in both}, 30)
    finally:
        kubectl("uncordon", node)
    assert {each["metadata"]["uid"] for each in seen.items(kubectl, namespace, "vmi")} == uids, "none was restarted"
    for name in ("first", "second"):
        pod = seen.launcher_pod(kubectl, namespace, name)["metadata"]["name"]
        seen.until(f"{name} counts", lambda pod=pod: len(counts(kubectl, namespace, pod)) > 3)
        assert counts(kubectl, namespace, pod)[0][0] > 5, "it went on, it did not begin anew"
    moves = seen.items(kubectl, namespace, "vmim")
    assert {each["metadata"]["annotations"]["kubevirt.io/evacuationMigration"] for each in moves} == {node}


def test_no_node_has_room(kubectl, namespace):
    kubectl.apply(namespace, counter("stays"))
    counting(kubectl, namespace, "stays")
    node = node_of(kubectl, namespace, "stays")
    with other_node_closed(kubectl, node):
        kubectl.apply(namespace, migration("stays"))
        told = seen.until("the reason is told", lambda: seen.condition(
            seen.get(kubectl, namespace, "vmim", "go"), "PodScheduled"), 60)  # fmt: skip
        assert told["reason"] == "Unschedulable"
        assert "nodes are available" in told["message"]
        assert phase(kubectl, namespace) == "Scheduling"
        event = ("FailedScheduling", told["message"])
        seen.until("an event says so, too", lambda: event in seen.events(kubectl, namespace, "go"), 60)
        kubectl("delete", "-n", namespace, "vmim", "go", "--timeout=120s")
    one_pod(kubectl, namespace)
    assert node_of(kubectl, namespace, "stays") == node


def test_deletion_aborts(kubectl, namespace, slowly):
    kubectl.apply(namespace, counter("stays"))
    counting(kubectl, namespace, "stays")
    node = node_of(kubectl, namespace, "stays")
    pod = seen.launcher_pod(kubectl, namespace, "stays")["metadata"]["name"]
    kubectl.apply(namespace, migration("stays"))
    seen.until("it is copied", lambda: phase(kubectl, namespace) == "Running", 60)
    kubectl("delete", "-n", namespace, "vmim", "go", "--timeout=120s")
    state = seen.get(kubectl, namespace, "vmi", "stays")["status"]["migrationState"]
    assert (state["failed"], state["abortRequested"], state["abortStatus"]) == (True, True, "Succeeded")
    one_pod(kubectl, namespace)
    assert node_of(kubectl, namespace, "stays") == node
    assert goes_on(kubectl, namespace, pod), "it counts where it was"


def goes_on(kubectl: Kubectl, namespace: str, pod: str) -> bool:
    before = counts(kubectl, namespace, pod)
    seen.until("it counts", lambda: len(counts(kubectl, namespace, pod)) > len(before) + 5, 60)
    numbers = [number for number, _ in counts(kubectl, namespace, pod)]
    return numbers == list(range(numbers[0], numbers[-1] + 1))


def test_the_migration_process_is_killed(kubectl, namespace, slowly):
    kubectl.apply(namespace, counter("mover"))
    counting(kubectl, namespace, "mover")
    old = seen.launcher_pod(kubectl, namespace, "mover")["metadata"]["name"]
    with ExitStack() as held:
        log = held.enter_context(kubectl.follow("logs", "-n", namespace, "-f", old))
        kubectl.apply(namespace, migration("mover"))
        seen.until("it is copied", lambda: phase(kubectl, namespace) == "Running", 60)
        seen.kill_component(kubectl, "migration", "python3 -m migration")
        begun = time.monotonic()
        assert over(kubectl, namespace, limit=240) == "Succeeded"
        one_pod(kubectl, namespace)
        first = log.text()
    print(f"ended {time.monotonic() - begun:.1f} s after the kill")
    new = seen.launcher_pod(kubectl, namespace, "mover")["metadata"]["name"]
    seen.until("it counts", lambda: len(counts(kubectl, namespace, new)) > 5)
    both = joined(first, kubectl("logs", "-n", namespace, new, "-c", "compute"))
    numbers = [number for number, _ in both]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert len(seen.guests(namespace)["mover"]) == 1


def test_the_example(kubectl, cluster):
    stop = Guide(Path(kubectl.program), Path(kubectl.kubeconfig), cluster).visit("migration")
    assert stop.passed, "\n".join(stop.lines)
