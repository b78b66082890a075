"""Every process can be killed at any instant: guests that were not killed keep running, and the set comes back."""

import json

import pytest

from tests.e2e import seen
from tests.e2e.manifests import replica_set
from tests.e2e.vmctl import until_others_are_gone

SIZE = 3
LABELS = "app=survivors"


@pytest.fixture
def survivors(kubectl, namespace):
    """A set of three running guests: name -> pids of its QEMU."""
    kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(replica_set("survivors", SIZE)))
    seen.until("the set is ready", lambda: len(seen.running(kubectl, namespace, LABELS)) == SIZE)
    guests = seen.guests(namespace)
    assert len(guests) == SIZE
    return guests


def in_size_and_single(kubectl, namespace):
    ready = seen.running(kubectl, namespace, LABELS)
    guests = seen.guests(namespace)
    assert all(len(pids) == 1 for pids in guests.values()), f"a VM runs twice: {guests}"
    return len(ready) == SIZE and sorted(guests) == ready


def test_manager_killed(kubectl, namespace, survivors):
    seen.kill_component(kubectl, "manager", "controllers")
    kubectl("scale", "-n", namespace, "vmirs", "survivors", f"--replicas={SIZE + 1}")
    seen.until("a manager works again", lambda: len(seen.running(kubectl, namespace, LABELS)) == SIZE + 1, 180)
    now = seen.guests(namespace)
    assert {name: now.get(name) for name in survivors} == survivors


def test_agent_killed(kubectl, namespace, survivors):
    seen.kill_component(kubectl, "agent", "launcher.agent")
    kubectl("scale", "-n", namespace, "vmirs", "survivors", f"--replicas={SIZE + 1}")
    seen.until("the agents work again", lambda: len(seen.running(kubectl, namespace, LABELS)) == SIZE + 1, 180)
    now = seen.guests(namespace)
    assert {name: now.get(name) for name in survivors} == survivors


def test_qemu_killed(kubectl, namespace, survivors):
    victim, (pid,) = sorted(survivors.items())[0]
    seen.kill(pid)
    seen.until(f"{victim} is gone", lambda: victim not in seen.guests(namespace))
    seen.until("the set is whole again", lambda: in_size_and_single(kubectl, namespace), 180)
    now = seen.guests(namespace)
    others = {name: pids for name, pids in survivors.items() if name != victim}
    assert {name: now.get(name) for name in others} == others
    assert victim not in now, "a finished VMI is replaced, not run again"


def test_libvirtd_killed(kubectl, namespace, survivors):
    victim = sorted(survivors)[0]
    uid = seen.launcher_pod(kubectl, namespace, victim)["metadata"]["uid"]
    commands = dict(seen.commands())
    (daemon,) = [pid for pid in seen.pod_processes(uid) if "libvirtd" in commands.get(pid, "").split(" ", 1)[0]]
    seen.kill(daemon)

    def back():
        commands = dict(seen.commands())
        return [
            p for p in seen.pod_processes(uid) if p != daemon and "libvirtd" in commands.get(p, "").split(" ", 1)[0]
        ]

    seen.until("libvirtd is back", back)
    assert seen.guests(namespace) == survivors
    kubectl("delete", "-n", namespace, "vmi", victim, "--timeout=120s")  # it can still be shut down


def test_apiserver_killed(kubectl, namespace, survivors, cluster_processes):
    until_others_are_gone(kubectl)
    seen.kill(cluster_processes("kube-apiserver"))
    seen.until("the API answers", lambda: quietly(kubectl, "get", "--raw", "/readyz"), 120)
    assert seen.guests(namespace) == survivors
    scale = ("scale", "-n", namespace, "vmirs", "survivors", f"--replicas={SIZE + 1}")
    seen.until("it takes orders again", lambda: quietly(kubectl, *scale), 60)
    seen.until("the set grows", lambda: len(seen.running(kubectl, namespace, LABELS)) == SIZE + 1, 180)
    now = seen.guests(namespace)
    assert {name: now.get(name) for name in survivors} == survivors


def quietly(kubectl, *args):
    try:
        return kubectl(*args)
    except Exception:
        return ""
