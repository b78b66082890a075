"""A running guest from the outside: paused, talked to, reached; and a gateway that dies in the middle of it."""

import base64
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.tour import Guide
from tests.e2e import seen
from tests.e2e.manifests import vmi, vmi_spec
from tests.e2e.vmctl import ROOT, fresh_namespace

PROMPT = "~# "


class Vmctl:
    """vmctl on the cluster under test."""

    def __init__(self, kubeconfig: str, namespace: str) -> None:
        self.options = [f"--kubeconfig={kubeconfig}", f"--namespace={namespace}"]

    def command(self, *words: str) -> list[str]:
        verb, *rest = words
        return [sys.executable, "-m", "hostler.cli.main", verb, *self.options, *rest]

    def run(self, *words: str, stdin: str = "", limit: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=limit, check=False
        )

    def __call__(self, *words: str, stdin: str = "", limit: float = 120) -> str:
        done = self.run(*words, stdin=stdin, limit=limit)
        assert done.returncode == 0, f"{words}: {done.stderr}\n{done.stdout}"
        return done.stdout

    @contextmanager
    def open(self, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
        process = subprocess.Popen(
            self.command(*words), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def space(kubectl) -> Iterator[str]:
    with fresh_namespace(kubectl) as name:
        yield name


@pytest.fixture(scope="module")
def vmctl(kubeconfig, space) -> Vmctl:
    return Vmctl(kubeconfig, space)


@pytest.fixture(scope="module")
def guest(kubectl, space, vmctl) -> str:
    """A running guest whose shell waits on its console."""
    kubectl.apply(space, vmi("talker"))
    kubectl("wait", "-n", space, "--for=condition=Ready", "vmi/talker", "--timeout=240s")
    seen.console(kubectl, space, "talker", "is up")
    return "talker"


def said(vmctl: Vmctl, guest: str, command: str, limit: float = 120) -> str:
    """What the guest's shell answers; worked out in the guest, so that an echo is not taken for it."""
    return vmctl("console", guest, "--timeout", "15", stdin=f"\n{command}\n", limit=limit)


def test_console_round_trip_and_the_log_keeps_all(kubectl, space, vmctl, guest):
    seen.until("the shell answers", lambda: "answer 42" in said(vmctl, guest, "echo answer $((6*7))"))
    assert "answer 42" in seen.console(kubectl, space, guest, "answer 42", 60), "in the pod's log, too"


def test_a_newer_console_ends_an_older_and_watchers_stay(vmctl, guest):
    with vmctl.open("console", guest, "--watch", "--timeout", "300") as watcher, vmctl.open("console", guest) as old:
        os.set_blocking(old.stdout.fileno(), False)
        old.stdin.write(b"\necho first $((3*7))\n")
        old.stdin.flush()
        seen.until("the first console works", lambda: b"first 21" in gathered(old))
        seen.until("the second one works", lambda: "second 35" in said(vmctl, guest, "echo second $((5*7))"))
        assert old.wait(60) == 0, "it was ended"
        os.set_blocking(watcher.stdout.fileno(), False)
        seen.until("the watcher saw it, too", lambda: b"second 35" in gathered(watcher), 60)


def gathered(process) -> bytes:
    """All that it has printed so far."""
    known = getattr(process, "known", b"")
    while chunk := process.stdout.read(65536):
        known += chunk
    process.known = known
    return known


def test_paused_a_guest_counts_no_further(kubectl, space, vmctl, guest):
    said(vmctl, guest, "(i=0; while :; do i=$((i+1)); echo $i >/run/new; mv /run/new /run/count; usleep 20000; done) &")
    assert counted(vmctl, guest) < counted(vmctl, guest)
    vmctl("pause", guest)
    kubectl("wait", "-n", space, "--for=condition=Paused", f"vmi/{guest}", "--timeout=60s")
    again = vmctl.run("pause", guest)
    assert again.returncode == 1
    assert (
        f'Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io "{guest}": VMI is already paused'
        in again.stderr
    )
    used = cpu_time(kubectl, space, guest)
    time.sleep(3)
    assert cpu_time(kubectl, space, guest) - used < 0.3, "its CPUs stand still"
    assert "VMI is paused" in vmctl.run("port-forward", "--stdio", guest, "80").stderr
    vmctl("unpause", guest)
    seen.until("unpaused", lambda: not seen.condition(seen.get(kubectl, space, "vmi", guest), "Paused"))
    assert counted(vmctl, guest) < counted(vmctl, guest)


def counted(vmctl: Vmctl, guest: str) -> int:
    """How far the guest has counted."""

    def now() -> str:
        lines = said(vmctl, guest, "echo now=$(cat /run/count).").splitlines()
        found = [line[4:].rstrip(".") for line in lines if line.startswith("now=") and "$" not in line]
        return next((each for each in found if each.isdecimal()), "")

    return int(seen.until("the guest says how far it has counted", now, 120))


def cpu_time(kubectl, space: str, guest: str) -> float:
    """Seconds of CPU that its QEMU has used."""
    (pid,) = seen.guests(space)[guest]
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_port_forward_reaches_the_guests_server(vmctl, guest):
    with vmctl.open("port-forward", guest, "0:80") as process:
        line = process.stdout.readline().decode()
        port = int(line.split(" -> ")[0].rpartition(":")[2])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
            assert answer.read().decode().strip() == guest


def test_vnc_shows_a_screen(vmctl, guest):
    with vmctl.open("vnc", guest, "-o", "json") as process:
        text = b""
        while b"}" not in text:
            text += (line := process.stdout.readline())
            assert line, "it ended"
        port = json.loads(text)["port"]
        with socket.create_connection(("127.0.0.1", port), timeout=60) as screen:
            assert screen.recv(12).startswith(b"RFB 003.")


def test_a_killed_gateway_harms_no_guest(kubectl, space, vmctl, guest):
    before = seen.guests(space)
    with vmctl.open("console", guest) as console:
        os.set_blocking(console.stdout.fileno(), False)
        console.stdin.write(b"\necho open $((4*7))\n")
        console.stdin.flush()
        seen.until("the console works", lambda: b"open 28" in gathered(console))
        commands = dict(seen.commands())
        pods = seen.items(kubectl, "hostler", "pods", "app.kubernetes.io/component=gateway")
        victims = [
            p for pod in pods for p in seen.pod_processes(pod["metadata"]["uid"]) if "gateway" in commands.get(p, "")
        ]
        assert len(victims) == 2
        for pid in victims:
            seen.kill(pid)
        assert console.wait(60) is not None
    assert seen.guests(space) == before, "the same QEMU runs on"
    seen.until(
        "a new console works",
        lambda: "again 77" in vmctl.run("console", guest, "--timeout", "15", stdin="\necho again $((7*11))\n").stdout,
        180,
    )


def test_without_permission_there_is_403(kubectl, space, kubeconfig, guest):
    """Who may look may not pause; the API server itself says so, and KubeVirt's clients know the code."""
    kubectl("create", "-n", space, "serviceaccount", "viewer")
    kubectl("create", "-n", space, "rolebinding", "viewer", "--clusterrole=view", f"--serviceaccount={space}:viewer")
    token = kubectl("create", "-n", space, "token", "viewer").strip()
    path = f"/apis/subresources.kubevirt.io/v1/namespaces/{space}/virtualmachineinstances/{guest}"
    # the API server knows of a role's binding a moment after it has taken it
    seen.until(
        "allowed; but this guest has no agent",
        lambda: asked(kubeconfig, token, "GET", f"{path}/guestosinfo") == 409,
        30,
    )
    assert asked(kubeconfig, token, "PUT", f"{path}/pause") == 403
    assert asked(kubeconfig, token, "GET", f"{path}/console") == 403


def asked(kubeconfig: str, token: str, method: str, path: str) -> int:
    import yaml

    cluster = yaml.safe_load(Path(kubeconfig).read_text())["clusters"][0]["cluster"]
    data = cluster.get("certificate-authority-data")
    authority = base64.b64decode(data).decode() if data else Path(cluster["certificate-authority"]).read_text()
    context = ssl.create_default_context(cadata=authority)
    request = urllib.request.Request(
        cluster["server"] + path, method=method, headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_virtual_machine_started_restarted_and_stopped(kubectl, space, vmctl):
    machine = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": "server"},
        "spec": {"runStrategy": "Manual", "template": {"spec": vmi_spec()}},
    }
    kubectl.apply(space, machine)
    vmctl("start", "server")
    kubectl("wait", "-n", space, "--for=condition=Ready", "vm/server", "--timeout=240s")
    assert "VM is already running" in vmctl.run("start", "server").stderr
    uid = seen.get(kubectl, space, "vmi", "server")["metadata"]["uid"]
    vmctl("restart", "server", "--force")
    seen.until("another instance runs", lambda: running_other(kubectl, space, uid), 240)

    def described():
        text = vmctl("describe", "vm", "server")
        return "Running" in text and "SuccessfulCreate" in text

    seen.until("it is told", described, 60)
    vmctl("stop", "server")
    seen.until("it is gone", lambda: not running_vmis(kubectl, space, "server"), 120)
    assert "server" not in seen.guests(space)
    assert "VM is not running" in vmctl.run("restart", "server").stderr


def running_vmis(kubectl, space: str, name: str) -> list[dict]:
    return [each for each in seen.items(kubectl, space, "vmi") if each["metadata"]["name"] == name]


def running_other(kubectl, space: str, uid: str) -> bool:
    found = running_vmis(kubectl, space, "server")
    return bool(found) and found[0]["metadata"]["uid"] != uid and found[0].get("status", {}).get("phase") == "Running"


def test_example(kubectl, cluster):
    stop = Guide(Path(kubectl.program), Path(kubectl.kubeconfig), cluster).visit("gateway")
    assert stop.passed, "\n".join(stop.lines)
