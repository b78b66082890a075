"""What the tests can see from the host, since the nodes of the test cluster are its processes."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol


class Kubectl(Protocol):
    """kubectl on the cluster under test; raises when it fails."""

    def __call__(self, *args: str, stdin: str | None = None) -> str: ...


def get(kubectl: Kubectl, namespace: str, *what: str) -> Any:
    return json.loads(kubectl("get", "-n", namespace, *what, "-o", "json"))


def items(kubectl: Kubectl, namespace: str, kind: str, labels: str = "") -> list[dict[str, Any]]:
    return list(get(kubectl, namespace, kind, *(["-l", labels] if labels else []))["items"])


def until(what: str, true: Callable[[], Any], limit: float = 120, every: float = 0.5) -> Any:
    """The first answer of `true` that is true; the last one is told when none is within `limit` seconds.

    What kubectl refuses is an answer, too: what is asked for may not be there yet.
    """
    deadline = time.monotonic() + limit
    answer: Any = None
    while time.monotonic() < deadline:
        try:
            answer = true()
        except RuntimeError as error:
            answer = error
        else:
            if answer:
                return answer
        time.sleep(every)
    raise AssertionError(f"not within {limit} s: {what} (last: {answer!r})")


def condition(thing: dict[str, Any], kind: str) -> dict[str, Any]:
    found = thing.get("status", {}).get("conditions", [])
    return next((c for c in found if c["type"] == kind), {})


def phase(kubectl: Kubectl, namespace: str, name: str) -> str:
    return str(get(kubectl, namespace, "vmi", name).get("status", {}).get("phase", ""))


def running(kubectl: Kubectl, namespace: str, labels: str) -> list[str]:
    """Names of the VMIs that are Ready, sorted."""
    found = items(kubectl, namespace, "vmi", labels)
    return sorted(v["metadata"]["name"] for v in found if condition(v, "Ready").get("status") == "True")


def launcher_pod(kubectl: Kubectl, namespace: str, vmi: str) -> dict[str, Any]:
    found = items(kubectl, namespace, "pods", f"vm.kubevirt.io/name={vmi}")
    assert len(found) == 1, [pod["metadata"]["name"] for pod in found]
    return found[0]


def console(kubectl: Kubectl, namespace: str, vmi: str, text: str, limit: float = 120) -> str:
    """Wait for a line with `text` on the guest's console and return it; its pod need not be there yet."""

    def line() -> str:
        pods = items(kubectl, namespace, "pods", f"vm.kubevirt.io/name={vmi}")
        assert len(pods) <= 1, [pod["metadata"]["name"] for pod in pods]
        logs = (kubectl("logs", "-n", namespace, pod["metadata"]["name"], "-c", "compute") for pod in pods)
        return next((line for log in logs for line in log.splitlines() if text in line), "")

    return str(until(f"{text!r} on the console of {vmi}", line, limit))


def commands() -> Iterator[tuple[int, str]]:
    """(pid, command line) of every process of this host."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it ended meanwhile


def guests(namespace: str) -> dict[str, list[int]]:
    """VMI name -> pids of the QEMUs that run it: more than one pid is a VM that runs twice."""
    found: dict[str, list[int]] = {}
    for pid, command in commands():
        if "qemu-system" in command.split(" ", 1)[0] and f"guest={namespace}_" in command:
            name = command.split(f"guest={namespace}_", 1)[1].split(",", 1)[0].split(" ", 1)[0]
            found.setdefault(name, []).append(pid)
    return found


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def pod_processes(uid: str) -> list[int]:
    """All pids in a pod's cgroups."""
    marks = (uid, uid.replace("-", "_"))
    found = []
    for pid, _ in commands():
        try:
            group = Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            continue
        if any(mark in group for mark in marks):
            found.append(pid)
    return found


def component(kubectl: Kubectl, name: str) -> dict[str, list[int]]:
    """uid -> pids of the pods of a component of the installation."""
    pods = items(kubectl, "hostler", "pods", f"app.kubernetes.io/component={name}")
    return {pod["metadata"]["uid"]: pod_processes(pod["metadata"]["uid"]) for pod in pods}


def kill_component(kubectl: Kubectl, name: str, program: str) -> None:
    """SIGKILL the processes of a component whose command line has `program`."""
    known = dict(commands())
    victims = [pid for pids in component(kubectl, name).values() for pid in pids if program in known.get(pid, "")]
    assert victims, f"no process of {name} was found"
    for pid in victims:
        kill(pid)


def events(kubectl: Kubectl, namespace: str, name: str) -> list[tuple[str, str]]:
    """(reason, message) of the events about an object."""
    found = items(kubectl, namespace, "events")
    return [(e["reason"], e["message"]) for e in found if e["involvedObject"].get("name") == name]
