"""Nodes are lost in earnest: their VM runs elsewhere after a proof, never before, and never twice.

On a cluster of its own: what is done to nodes here is nothing for the other tests. HOSTLER_E2E_FENCE=NAME takes one
that is up, with its BMCs, and leaves it.
"""

import json
import time
from base64 import b64decode
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from tests.e2e import seen
from tests.e2e.fencelab import VM, Lab, cluster, where
from tests.e2e.journal import Census, Journal
from tests.e2e.vmctl import fresh_namespace, vmctl

FENCING = "app.kubernetes.io/component=fencing"
PROVEN = ("Fenced", "Recovering", "Recovered")


@pytest.fixture(scope="module")
def lab():
    with cluster() as made:
        yield made


@pytest.fixture
def writer(lab):
    """A VM that writes its journal; what there is to know of it."""
    with fresh_namespace(lab.kubectl) as namespace:
        lab.kubectl("apply", "-n", namespace, "-f", str(VM))
        lab.kubectl("wait", "-n", namespace, "--for=condition=Ready", "vm/writer", "--timeout=240s")
        seen.console(lab.kubectl, namespace, "writer", "ACKED 20", 120)
        journal = Journal.of(lab.kubectl, namespace)
        try:
            with Census(namespace) as census:
                yield SimpleNamespace(
                    namespace=namespace, journal=journal, census=census, **where(lab.kubectl, namespace)
                )
        finally:
            lab.until_whole()


def acknowledged(lab: Lab, writer: SimpleNamespace) -> int:
    """The last number that the guest was told was written."""
    pod = seen.launcher_pod(lab.kubectl, writer.namespace, "writer")["metadata"]["name"]
    log = lab.kubectl("logs", "-n", writer.namespace, pod, "-c", "compute")
    return max(int(line.split()[1]) for line in log.splitlines() if line.startswith("ACKED "))


def untouched(lab: Lab, writer: SimpleNamespace) -> None:
    """Nobody ended the VM, or its pod."""
    vmi = seen.get(lab.kubectl, writer.namespace, "vmi", "writer")
    assert (vmi["metadata"]["uid"], vmi["status"]["phase"]) == (writer.uid, "Running")
    seen.launcher_pod(lab.kubectl, writer.namespace, "writer")
    node = seen.get(lab.kubectl, "", "node", writer.node)
    assert not any("out-of-service" in taint["key"] for taint in node["spec"].get("taints", ()))


def recovered(lab: Lab, writer: SimpleNamespace, acked: int) -> dict:
    """It runs on the other node, under a higher epoch, and there was a proof, and one writer at a time."""
    op = lab.until_phase(writer.node, "Recovered", limit=300)
    status = op["status"]
    assert status["proof"]["kind"] == "PowerOff"
    assert [reading["power"] for reading in status["proof"]["readings"]] == ["off", "off"]
    assert status["proof"]["bootID"] == op["spec"]["bootID"]

    def elsewhere() -> bool:
        found = seen.items(lab.kubectl, writer.namespace, "vmi")
        return any(v["metadata"]["uid"] != writer.uid and v.get("status", {}).get("phase") == "Running" for v in found)

    seen.until("the VM runs elsewhere", elsewhere, 240)
    seen.until("it writes", lambda: len(writer.journal.writers()) == 2, 120)
    assert where(lab.kubectl, writer.namespace)["node"] != writer.node
    writer.journal.check(acked)
    assert writer.census.most == 1
    vm = seen.get(lab.kubectl, writer.namespace, "vm", "writer")
    assert int(vm["metadata"]["annotations"]["hostler.io/owner-epoch"]) >= 1
    (ended,) = [each for each in status["instances"] if each["namespace"] == writer.namespace]
    assert ended["uid"] == writer.uid
    return op


def rejoined(lab: Lab, op: dict) -> None:
    """It was switched on again, and is another boot than the one that was fenced."""
    name = op["spec"]["nodeName"]
    seen.until("the node is back", lambda: lab.operation(name)["status"].get("rejoinedAt"), 240)
    node = seen.get(lab.kubectl, "", "node", name)
    assert node["status"]["nodeInfo"]["bootID"] != op["spec"]["bootID"]
    assert not any("out-of-service" in taint["key"] for taint in node["spec"].get("taints", ()))


def password(lab: Lab, change: Callable[[str], str]) -> None:
    secret = json.loads(lab.kubectl("get", "secret", "hostler-bmc", "-n", "hostler", "-o", "json"))
    text = change(b64decode(secret["data"]["password"]).decode())
    patch = json.dumps({"stringData": {"password": text}})
    lab.kubectl("patch", "secret", "hostler-bmc", "-n", "hostler", "--type=merge", "-p", patch)


def test_crashed_and_the_password_is_wrong(lab, writer):
    """Nothing is fenced while nobody can prove it; once the password is right, it is."""
    acked = acknowledged(lab, writer)
    password(lab, lambda right: right + "x")
    try:
        lab.node(writer.node, "crash")
        op = lab.until_phase(writer.node, "NeedsAck")
        assert op["status"]["reason"] == "AuthenticationFailed"
        assert "refuses the user name or the password" in op["status"]["message"]
        assert f"vmctl fence ack {op['metadata']['name']}" in op["status"]["message"]
        untouched(lab, writer)
        name = op["metadata"]["name"]
        seen.until("an event", lambda: "NeedsAck" in dict(seen.events(lab.kubectl, "default", name)), 60)
        told = json.loads(vmctl("fence", "status", "-o", "json", check=False, KUBECONFIG=lab.kubectl.kubeconfig).stdout)
        # between two tries it says so; while it tries, that it does
        assert {line["phase"] for line in told if line["node"] == writer.node} <= {"NeedsAck", "PoweringOff"}
    finally:
        password(lab, lambda wrong: wrong[:-1])
    op = recovered(lab, writer, acked)
    rejoined(lab, op)


def test_cut_off_and_the_bmc_lies(lab, writer):
    """The node runs on and its guest writes on; the BMC says that it is off. It is not believed."""
    lab.fault(writer.node, "liar")
    lab.node(writer.node, "cut")
    op = lab.until_phase(writer.node, "NeedsAck")
    assert op["status"]["reason"] == "DeviceLies"
    untouched(lab, writer)
    before = len(writer.journal.records())
    seen.until("the guest writes on", lambda: len(writer.journal.records()) > before, 60)
    lab.fault(writer.node, "honest")
    recovered(lab, writer, before)


def test_frozen_and_the_manager_is_killed(lab, writer):
    """Killed between intent and power-off: its successor finds the intent and goes on."""
    acked = acknowledged(lab, writer)
    lab.fault(writer.node, "stuck")  # or it may be off before anybody is killed
    lab.node(writer.node, "freeze")
    op = lab.until_phase(writer.node, "PoweringOff")
    pods = [pod for pod in seen.items(lab.kubectl, "hostler", "pods", FENCING)]
    commands = dict(seen.commands())
    uids = [pod["metadata"]["uid"] for pod in pods if pod["spec"].get("nodeName") != writer.node]
    victims = [pid for uid in uids for pid in seen.pod_processes(uid) if "fencing" in commands.get(pid, "")]
    assert victims
    for pid in victims:
        seen.kill(pid)
    time.sleep(0.5)
    assert lab.operation(writer.node)["status"]["phase"] not in PROVEN
    lab.fault(writer.node, "honest")
    after = recovered(lab, writer, acked)
    assert after["metadata"]["uid"] == op["metadata"]["uid"], "the same operation"
    rejoined(lab, after)
