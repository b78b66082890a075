"""A cluster of its own whose nodes have BMCs, and what can be done to them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e import seen
from tests.e2e.vmctl import Kubectl, vmctl

NAME = "e2e-fence"
VM = Path(__file__).parents[2] / "examples" / "fencing" / "vm.yaml"


class Lab:
    def __init__(self, name: str, kubectl: Kubectl) -> None:
        self.name = name
        self.kubectl = kubectl

    def node(self, node: str, what: str) -> None:
        vmctl("cluster", "node", node, what, "--name", self.name)

    def fault(self, node: str, how: str) -> None:
        vmctl("cluster", "bmc", "--name", self.name, "--fault", f"{node}={how}")

    def operation(self, node: str) -> dict[str, Any]:
        """The latest of the node; empty if it has none that is not over."""
        found = [op for op in seen.items(self.kubectl, "", "fenceoperations") if op["spec"]["nodeName"] == node]
        found.sort(key=lambda op: op["metadata"]["creationTimestamp"])
        return found[-1] if found else {}

    def until_phase(self, node: str, *phases: str, limit: float = 240) -> dict[str, Any]:
        def there() -> dict[str, Any]:
            op = self.operation(node)
            return op if op.get("status", {}).get("phase") in phases else {}

        return seen.until(f"{node} is {' or '.join(phases)}", there, limit, 0.2)

    def until_whole(self) -> None:
        """All nodes ready, without a taint of ours, their agents at work."""
        for name in (self.name + "-1", self.name + "-2"):
            self.fault(name, "honest")
            self.node(name, "mend")
            self.node(name, "thaw")
            self.node(name, "on")

        def whole() -> bool:
            nodes = seen.items(self.kubectl, "", "nodes")
            open_ = [n for n in nodes if not any("out-of-service" in t["key"] for t in n["spec"].get("taints", ()))]
            return len(open_) == 2 and all(seen.condition(n, "Ready").get("status") == "True" for n in open_)

        seen.until("the cluster is whole", whole, 240)


@contextmanager
def cluster() -> Iterator[Lab]:
    """In mode Enforce. HOSTLER_E2E_FENCE=NAME takes one that is up, and leaves it."""
    given = os.environ.get("HOSTLER_E2E_FENCE")
    name = given or NAME
    try:
        if not given:
            values = ("--set", "fencing.mode=Enforce,disks.enabled=false,gateway.replicas=1")
            vmctl("up", "--name", name, "--nodes", "2", "--no-example", *values)
        kubectl = Kubectl(name)
        kubectl("apply", "-f", "-", stdin=vmctl("cluster", "bmc", "--name", name, "--after", "PowerOn").stdout)
        kubectl("wait", "--for=condition=Ready", "nodefencing", "--all", "--timeout=240s")
        yield Lab(name, kubectl)
    finally:
        if not given:
            vmctl("cluster", "down", "--name", name)


def where(kubectl: Kubectl, namespace: str) -> dict[str, str]:
    vmi = seen.get(kubectl, namespace, "vmi", "writer")
    return {"node": vmi["status"]["nodeName"], "uid": vmi["metadata"]["uid"]}
