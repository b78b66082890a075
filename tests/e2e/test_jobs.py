"""Jobs with real guests: they succeed, fail, never end, are put to sleep, are evicted, and their manager is killed."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e import seen

EXAMPLE = Path(__file__).parents[2] / "examples" / "jobs" / "run"
BOOT = {
    "kernelArgs": "console=ttyS0 quiet mitigations=off cryptomgr.notests audit=0 no_timer_check tsc=reliable",
    "container": {"image": "docker.io/hostler/tiny:1", "kernelPath": "/boot/vmlinux", "initrdPath": "/boot/initrd"},
}


def job(name, script=None, volumes=(), **spec):
    """A job of guests without a network: they boot sooner."""
    devices = {
        "autoattachGraphicsDevice": False,
        "autoattachPodInterface": False,
        "disks": [{"name": each["name"], "disk": {"bus": "virtio"}} for each in volumes],
    }
    domain = {"memory": {"guest": "128Mi"}, "devices": devices, "firmware": {"kernelBoot": BOOT}}
    guest = {"terminationGracePeriodSeconds": 5, "domain": domain, "volumes": list(volumes)}
    return {
        "apiVersion": "hostler.io/v1alpha1",
        "kind": "VirtualMachineJob",
        "metadata": {"name": name},
        "spec": {"template": {"spec": guest}} | ({"script": script} if script else {}) | spec,
    }


def status(kubectl, namespace, name):
    return seen.get(kubectl, namespace, "vmjob", name).get("status", {})


def guests(kubectl, namespace):
    return [vmi for vmi in seen.items(kubectl, namespace, "vmi") if not vmi["metadata"].get("deletionTimestamp")]


def phases(kubectl, namespace):
    return sorted(vmi.get("status", {}).get("phase", "") for vmi in guests(kubectl, namespace))


def ends(kubectl, namespace, name, condition, limit=240):
    kubectl("wait", "-n", namespace, f"--for=condition={condition}", f"vmjob/{name}", f"--timeout={limit}s")
    return status(kubectl, namespace, name)


def test_the_example(kubectl, kubeconfig, namespace):
    """Three succeed, two at a time; one fails; six have an index each."""
    path = f"{Path(kubectl.program).parent}:{os.environ['PATH']}"
    config = Path(kubeconfig).read_text()
    own = Path(f"/tmp/{namespace}.kubeconfig")
    own.write_text(config)
    try:
        environment = os.environ | {"KUBECONFIG": str(own), "PATH": path}
        kubectl("--kubeconfig", str(own), "config", "set-context", "--current", f"--namespace={namespace}")
        done = subprocess.run([EXAMPLE], env=environment, capture_output=True, text=True, timeout=700, check=False)
    finally:
        own.unlink()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("says: the sum is 42") == 3
    assert "3 3 Job has reached the specified backoff limit" in done.stdout
    tries = [line.strip() for line in done.stdout.splitlines() if line.startswith("index ")]
    first = [f"index {number}, try 1, on six-{number}" for number in range(6)]
    assert tries == [*first[:2], "index 1, try 2, on six-1", "index 1, try 3, on six-1", *first[2:]]
    assert "completed 0-5, 2 failures" in done.stdout
    print(done.stdout)


def test_a_script_that_never_ends(kubectl, namespace):
    kubectl.apply(namespace, job("never", "echo begun; sleep 100000", activeDeadlineSeconds=25))
    seen.until("it runs", lambda: phases(kubectl, namespace) == ["Running"])
    told = ends(kubectl, namespace, "never", "Failed")
    failed = next(each for each in told["conditions"] if each["type"] == "Failed")
    assert (failed["reason"], failed["message"]) == (
        "DeadlineExceeded",
        "Job was active longer than specified deadline",
    )
    assert (told["failed"], told["active"], told["terminating"]) == (1, 0, 0)
    seen.until(
        "an event", lambda: ("DeadlineExceeded", failed["message"]) in seen.events(kubectl, namespace, "never"), 30
    )
    assert seen.guests(namespace) == {}


def test_an_evicted_guest_has_not_failed(kubectl, namespace):
    """It shut down in good order, since it was told to: it is tried again, and its job need not count that."""
    policy = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}
    script = "echo begun; sleep 8"
    kubectl.apply(namespace, job("evicted", script, backoffLimit=0, podFailurePolicy=policy))
    seen.until("it runs", lambda: phases(kubectl, namespace) == ["Running"])
    (first,) = guests(kubectl, namespace)
    evict(kubectl, namespace, seen.launcher_pod(kubectl, namespace, first["metadata"]["name"])["metadata"]["name"])
    told = ends(kubectl, namespace, "evicted", "Complete", 180)
    assert (told["succeeded"], told["failed"]) == (1, 0)
    assert phases(kubectl, namespace) == ["Failed", "Succeeded"]
    lost = seen.get(kubectl, namespace, "vmi", first["metadata"]["name"])
    assert seen.condition(lost, "DisruptionTarget").get("reason") == "EvictionByEvictionAPI"


def evict(kubectl, namespace, pod):
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
    kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))


def test_success_is_what_the_policy_says(kubectl, namespace):
    """The first of two indexes is enough; the other guest is ended, and counts neither way."""
    script = 'echo "index $JOB_COMPLETION_INDEX"; [ "$JOB_COMPLETION_INDEX" = 0 ] || sleep 100000'
    policy = {"rules": [{"succeededIndexes": "0"}]}
    spec = {"completionMode": "Indexed", "completions": 2, "parallelism": 2, "successPolicy": policy}
    kubectl.apply(namespace, job("leads", script, **spec))
    told = ends(kubectl, namespace, "leads", "Complete", 180)
    assert (told["completedIndexes"], told["succeeded"], told["failed"]) == ("0", 1, 0)
    met = next(each for each in told["conditions"] if each["type"] == "SuccessCriteriaMet")
    assert (met["reason"], met["message"]) == ("SuccessPolicy", "Matched rules at index 0")


def test_asleep_awake_and_gone(kubectl, namespace):
    """A job made asleep starts nothing; put to sleep, its guest goes uncounted; done, it goes by itself."""
    kubectl.apply(
        namespace, job("naps", "echo begun; sleep 3", suspend=True, ttlSecondsAfterFinished=4, backoffLimit=0)
    )
    seen.until("it says so", lambda: seen.condition(seen.get(kubectl, namespace, "vmjob", "naps"), "Suspended"))
    assert guests(kubectl, namespace) == []
    wake(kubectl, namespace, "naps", suspend=False)
    seen.until("it runs", lambda: phases(kubectl, namespace) == ["Running"])
    wake(kubectl, namespace, "naps", suspend=True)
    seen.until("its guest is gone", lambda: not seen.items(kubectl, namespace, "vmi"))
    asleep = seen.until("it is told", lambda: (s := status(kubectl, namespace, "naps"))["active"] == 0 and s)
    assert (asleep["failed"], asleep["succeeded"], asleep["printable"]["status"]) == (0, 0, "Suspended")
    wake(kubectl, namespace, "naps", suspend=False)
    told = ends(kubectl, namespace, "naps", "Complete")
    assert (told["succeeded"], told["failed"]) == (1, 0)
    seen.until("it goes, and all that was its", lambda: not left(kubectl, namespace), 60)


def wake(kubectl, namespace, name, suspend):
    patch = f'{{"spec": {{"suspend": {str(suspend).lower()}}}}}'
    kubectl("patch", "-n", namespace, "vmjob", name, "--type=merge", "-p", patch)


def left(kubectl, namespace):
    return [seen.items(kubectl, namespace, kind) for kind in ("vmjob", "vmi", "pods", "secrets")] != [[], [], [], []]


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        pytest.param("echo 7 >$port; poweroff", ("Failed", "NonZeroExitCode", 7, 7), id="it says what"),
        pytest.param("echo oops >$port; poweroff", ("Failed", "ExitCodeInvalid", None, 1), id="it says nonsense"),
        pytest.param("poweroff", ("Succeeded", None, None, 0), id="it says nothing"),
        pytest.param("echo 0 >$port; echo c >/proc/sysrq-trigger", ("Failed", "Panicked", 0, 1), id="it lies"),
    ],
)
def test_any_guest_can_say_how_it_went(kubectl, namespace, program, expected):
    """No script of ours: the ports are all that a guest needs."""
    find = "for port in /sys/class/virtio-ports/*; do grep -q io.hostler.exit.0 $port/name && break; done"
    data = f"#!/bin/sh\n{find}\nport=/dev/${{port##*/}}\n{program}\n"
    seed = {"name": "seed", "cloudInitNoCloud": {"userData": data}}
    kubectl.apply(namespace, job("says", volumes=[seed], backoffLimit=0))
    ends(kubectl, namespace, "says", "Complete" if expected[0] == "Succeeded" else "Failed")
    (vmi,) = guests(kubectl, namespace)
    told = vmi["status"]
    container = seen.launcher_pod(kubectl, namespace, vmi["metadata"]["name"])["status"]["containerStatuses"][0]
    ended = container["state"]["terminated"]["exitCode"]
    assert (told["phase"], told.get("reason"), told.get("exitCode"), ended) == expected


def test_a_killed_manager_counts_nobody_twice(kubectl, namespace):
    kubectl.apply(namespace, job("counted", "echo here; sleep 2", completions=3, parallelism=2))
    seen.until("two run", lambda: "Running" in phases(kubectl, namespace))
    seen.kill_component(kubectl, "manager", "controllers")
    seen.until("somebody has ended", lambda: "Succeeded" in phases(kubectl, namespace), 180)
    seen.kill_component(kubectl, "manager", "controllers")
    told = ends(kubectl, namespace, "counted", "Complete", 180)
    assert (told["succeeded"], told["failed"]) == (3, 0)
    assert phases(kubectl, namespace) == ["Succeeded"] * 3
