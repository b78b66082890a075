"""vmctl and kubectl as the tests use them: on clusters of their own, never on the one that a person has up."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.e2e.seen import until

ROOT = Path(__file__).parents[2]
TEST_NAMESPACE = "hostler.io/test"  # label
VMCTL = (sys.executable, "-m", "hostler.cli.main")


def alone() -> dict[str, str]:
    """An environment in which the user's kubeconfig is left alone."""
    kept = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "HOSTLER_CLUSTER")}
    return kept | {"HOSTLER_MERGE": "no"}


def vmctl(
    *args: str, check: bool = True, timeout: float = 1500, **environment: str
) -> subprocess.CompletedProcess[str]:
    """vmctl, which leaves the user's kubeconfig alone."""
    done = subprocess.run(
        [*VMCTL, *args], env=alone() | environment, cwd=ROOT, capture_output=True, text=True, timeout=timeout,
        check=False,
    )  # fmt: skip
    assert not check or done.returncode == 0, f"vmctl {' '.join(args)}:\n{done.stderr}\n{done.stdout}"
    return done


def status(name: str) -> dict[str, Any]:
    return dict(json.loads(vmctl("cluster", "status", "--name", name, "-o", "json", check=False).stdout))


class Kubectl:
    """kubectl as the administrator of a cluster of this host; raises what kubectl said when it fails."""

    def __init__(self, cluster: str) -> None:
        self.cluster = cluster
        self.kubeconfig = vmctl("cluster", "kubeconfig", "--name", cluster, "--path").stdout.strip()
        self.program = str(Path(self.kubeconfig).parent / "bin" / "kubectl")
        self._prefix = [self.program, "--kubeconfig", self.kubeconfig]

    def __call__(self, *args: str, stdin: str | None = None, timeout: float = 900) -> str:
        done = subprocess.run(
            [*self._prefix, *args], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, namespace: str, *objects: dict[str, Any]) -> None:
        body = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self("apply", "-n", namespace, "-f", "-", stdin=body)

    @contextlib.contextmanager
    def follow(self, *args: str) -> Iterator["Following"]:
        """A kubectl that goes on beside the test; it has begun to print, so nothing that comes now is missed."""
        with tempfile.NamedTemporaryFile() as output:
            process = subprocess.Popen([*self._prefix, *args], stdout=output, stderr=subprocess.STDOUT)
            try:
                following = Following(process, Path(output.name))
                following.begin()
                yield following
            finally:
                process.kill()
                process.wait()


class Following:
    """What a kubectl that goes on prints."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self._process = process
        self._output = output

    def begin(self, limit: float = 60) -> None:
        deadline = time.monotonic() + limit
        while self._process.poll() is None and not self._output.stat().st_size:
            assert time.monotonic() < deadline, f"nothing is printed within {limit} s"
            time.sleep(0.05)

    def text(self, limit: float = 120) -> str:
        """All of it, once it has ended by itself."""
        self._process.wait(limit)
        return self._output.read_text(errors="replace")


@contextlib.contextmanager
def fresh_namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace for one test, with its service account; when it ends, nothing runs in it any more.

    Kubernetes looks again whether a namespace is empty only after half of its pods' time to end, 20 s: that is for
    `kubectl` of conftest.py to wait for, once.
    """
    metadata = {"generateName": "e2e-", "labels": {TEST_NAMESPACE: "yes"}}
    body = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    name = kubectl("create", "-f", "-", "-o", "jsonpath={.metadata.name}", stdin=body).strip()
    until(
        "its service account is there", lambda: "default" in kubectl("get", "sa", "-n", name, "-o", "name"), every=0.1
    )
    try:
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")
        until("no pod is left", lambda: not kubectl("get", "pods", "-n", name, "-o", "name"), 300)


def until_others_are_gone(kubectl: Kubectl) -> None:
    """No namespace is being deleted. An API server that starts has not all kinds at first, and Kubernetes then takes a
    namespace for empty that is not.
    """
    ending = ("get", "namespaces", "--field-selector=status.phase=Terminating", "-o", "name")
    until("no namespace is being deleted", lambda: not kubectl(*ending), 300)
