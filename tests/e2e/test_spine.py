"""The first ten minutes: a set of real guests is created, scaled and deleted, and nothing of it is left."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import seen
from tests.e2e.manifests import claim, direct_boot, vmi

EXAMPLES = Path(__file__).parents[2] / "examples"
HELLO = "app=hello"

# one ICMP echo by a raw socket: no image here has a ping
PING = """
import os, socket, struct, sys, time
def checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
s.settimeout(2)
for i in range(20):
    head = struct.pack('!BBHHH', 8, 0, 0, os.getpid() & 0xffff, i)
    head = struct.pack('!BBHHH', 8, 0, checksum(head), os.getpid() & 0xffff, i)
    s.sendto(head, (sys.argv[1], 0))
    try:
        while True:
            data, peer = s.recvfrom(1500)
            if data[20] == 0 and peer[0] == sys.argv[1]:
                print('pong'); sys.exit()
    except TimeoutError:
        time.sleep(0.5)
sys.exit('no answer')
"""


def test_hello_lives_scales_and_leaves_nothing(kubectl, namespace):
    kubectl("apply", "-n", namespace, "-f", str(EXAMPLES / "hello.yaml"))
    seen.until("the set has 3 members", lambda: len(seen.items(kubectl, namespace, "vmi", HELLO)) == 3, 60)
    kubectl("wait", "-n", namespace, "--for=condition=Ready", "vmi", "-l", HELLO, "--timeout=120s")
    three = seen.running(kubectl, namespace, HELLO)
    assert sorted(seen.guests(namespace)) == three
    nodes = {v["status"]["nodeName"] for v in seen.items(kubectl, namespace, "vmi", HELLO)}
    assert len(nodes) == 2, "the scheduler spreads three guests over both nodes"

    kubectl("scale", "-n", namespace, "vmirs", "hello", "--replicas=5")
    seen.until("5 are ready", lambda: len(seen.running(kubectl, namespace, HELLO)) == 5)
    assert set(three) < set(seen.running(kubectl, namespace, HELLO)), "growing disturbs nobody"

    five = seen.items(kubectl, namespace, "vmi", HELLO)
    crowd = Counter(v["status"]["nodeName"] for v in five)
    dear = {v["metadata"]["name"]: (-crowd[v["status"]["nodeName"]], -born(v)) for v in five}
    kubectl("scale", "-n", namespace, "vmirs", "hello", "--replicas=2")
    left = seen.until("2 guests are left", lambda: len(found := seen.guests(namespace)) == 2 and found)
    gone = dear.keys() - left
    assert max(dear[name] for name in gone) <= min(dear[name] for name in left), (
        "those on the node with the most go first, and of them the youngest"
    )

    kubectl("delete", "-n", namespace, "vmirs", "hello")
    seen.until("no VMI is left", lambda: not seen.items(kubectl, namespace, "vmi"))
    seen.until("no pod is left", lambda: not seen.items(kubectl, namespace, "pods"))
    assert seen.guests(namespace) == {}


def born(vmi: dict[str, Any]) -> float:
    return datetime.fromisoformat(vmi["metadata"]["creationTimestamp"]).timestamp()


def test_phases_console_and_address(kubectl, namespace):
    kubectl("apply", "-n", namespace, "-f", "-", stdin=dump(vmi("one")))
    kubectl("wait", "-n", namespace, "--for=condition=Ready", "vmi/one", "--timeout=120s")
    one = seen.get(kubectl, namespace, "vmi", "one")
    phases = [step["phase"] for step in one["status"]["phaseTransitionTimestamps"]]
    assert phases == ["Pending", "Scheduling", "Scheduled", "Running"]
    assert one["metadata"]["labels"]["kubevirt.io/nodeName"] == one["status"]["nodeName"]
    line = seen.console(kubectl, namespace, "one", "is up")
    assert line.startswith("hostler-guest: one is up"), "the guest's name came to it by DHCP"
    assert seen.condition(one, "SoftwareEmulation").get("status") in {"True", None}


def test_a_guest_is_ready_when_its_probe_says_so(kubectl, namespace):
    """The tiny guest has a web server, but only one page."""
    probes = {"good": "/", "bad": "/no-such-page"}
    for name, path in probes.items():
        probe = {"httpGet": {"port": 80, "path": path}, "periodSeconds": 1}
        kubectl.apply(namespace, vmi(name, readinessProbe=probe))
    kubectl("wait", "-n", namespace, "--for=condition=Ready", "vmi/good", "--timeout=120s")
    seen.console(kubectl, namespace, "bad", "is up")

    def waits() -> bool:
        ready = seen.condition(seen.get(kubectl, namespace, "vmi", "bad"), "Ready")
        return (ready.get("status"), ready.get("reason")) == ("False", "ContainersNotReady")

    seen.until("the other one is not ready, and says why", waits, 60)


@pytest.mark.parametrize("binding", ["masquerade", "bridge"])
def test_a_guest_answers_a_ping_from_another_pod(kubectl, namespace, prober, binding):
    guest = vmi("pinged")
    guest["spec"]["domain"]["devices"]["interfaces"] = [{"name": "default", binding: {}}]
    kubectl("apply", "-n", namespace, "-f", "-", stdin=dump(guest))
    kubectl("wait", "-n", namespace, "--for=condition=Ready", "vmi/pinged", "--timeout=120s")
    seen.console(kubectl, namespace, "pinged", "is up")
    address = seen.until(
        "its address is told",
        lambda: seen.get(kubectl, namespace, "vmi", "pinged")["status"].get("interfaces", [{}])[0].get("ipAddress"),
    )
    assert kubectl("exec", "-n", namespace, prober, "--", "python3", "-c", PING, address).strip() == "pong"


@pytest.mark.parametrize(
    ("arguments", "phase"), [("hostler.poweroff=3", "Succeeded"), ("hostler.panic=3 panic=-1", "Failed")]
)
def test_the_guests_end_is_the_vmis(kubectl, namespace, arguments, phase):
    guest = direct_boot("ends", arguments)
    guest["spec"]["domain"]["devices"] = {"panicDevices": [{"model": "isa"}]}
    kubectl("apply", "-n", namespace, "-f", "-", stdin=dump(guest))
    seen.until(f"phase {phase}", lambda: seen.phase(kubectl, namespace, "ends") == phase)
    seen.until("no QEMU is left", lambda: not seen.guests(namespace), 30)


def test_deletion_shuts_the_guest_down_by_acpi(kubectl, namespace):
    kubectl("apply", "-n", namespace, "-f", "-", stdin=dump(vmi("gone", terminationGracePeriodSeconds=60)))
    kubectl("wait", "-n", namespace, "--for=condition=Ready", "vmi/gone", "--timeout=120s")
    seen.console(kubectl, namespace, "gone", "is up")
    pod = seen.launcher_pod(kubectl, namespace, "gone")["metadata"]["name"]
    with kubectl.follow("logs", "-n", namespace, "-f", pod) as log:
        kubectl("delete", "-n", namespace, "vmi", "gone", "--timeout=120s")
        assert "power" in log.text().lower(), "the guest was told, and said so"


@pytest.mark.parametrize("mode", ["Filesystem", "Block"])
def test_a_claim_is_a_disk(kubectl, namespace, mode):
    kubectl("apply", "-n", namespace, "-f", "-", stdin=dump(claim("data", mode=mode)))
    guest = vmi("stores")
    guest["spec"]["domain"]["devices"]["disks"].append({"name": "data", "disk": {"bus": "virtio"}})
    guest["spec"]["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": "data"}})
    kubectl("apply", "-n", namespace, "-f", "-", stdin=dump(guest))
    kubectl("wait", "-n", namespace, "--for=condition=Ready", "vmi/stores", "--timeout=120s")

    def targets() -> dict[str, str]:
        told = seen.get(kubectl, namespace, "vmi", "stores")["status"].get("volumeStatus", [])
        return {volume["name"]: volume["target"] for volume in told if volume.get("target")}

    seen.until("both disks are told", lambda: targets() == {"root": "vda", "data": "vdb"}, 60)
    seen.console(kubectl, namespace, "stores", "is up")


def test_orphans_are_left_and_taken_back(kubectl, namespace):
    kubectl("apply", "-n", namespace, "-f", str(EXAMPLES / "hello.yaml"))
    seen.until("3 are ready", lambda: len(seen.running(kubectl, namespace, HELLO)) == 3)
    before = seen.guests(namespace)
    kubectl("delete", "-n", namespace, "vmirs", "hello", "--cascade=orphan")
    kubectl("apply", "-n", namespace, "-f", str(EXAMPLES / "hello.yaml"))

    def adopted() -> bool:
        status = seen.get(kubectl, namespace, "vmirs", "hello").get("status", {})
        return bool(status.get("readyReplicas") == 3)

    seen.until("the new set has the three", adopted)
    assert seen.guests(namespace) == before, "the same guests, never restarted"


def dump(thing: dict[str, object]) -> str:
    import json

    return json.dumps(thing)
