"""kubectl, as the benchmarks use it."""

import json
import subprocess
from typing import Any


class Kubectl:
    """One cluster, by its kubeconfig (None: kubectl's own choice)."""

    def __init__(self, kubeconfig: str | None = None, program: str = "kubectl") -> None:
        self.prefix = [program] + (["--kubeconfig", kubeconfig] if kubeconfig else [])

    def __call__(self, *args: str, stdin: str | None = None, timeout: float = 120) -> str:
        done = subprocess.run(
            [*self.prefix, *args], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def json(self, *args: str) -> Any:
        return json.loads(self(*args, "-o", "json"))

    def apply(self, *objects: dict[str, Any], namespace: str = "default") -> str:
        body = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        return self("apply", "--server-side", "-n", namespace, "-f", "-", stdin=body)

    def popen(self, *args: str) -> "subprocess.Popen[bytes]":
        """A kubectl that goes on; its output is a pipe."""
        return subprocess.Popen([*self.prefix, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
