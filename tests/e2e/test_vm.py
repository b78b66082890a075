"""What a run strategy makes of a real guest that ends; the example of VirtualMachines is in test_examples.py."""

from typing import Any

from tests.e2e import seen
from tests.e2e.manifests import vmi_spec

SOCKET = "qemu+unix:///session?socket=/var/run/kubevirt-private/libvirt/libvirt-sock"


def machine(name: str, strategy: str, **changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": name},
        "spec": {"runStrategy": strategy, "template": {"metadata": {}, "spec": vmi_spec(**changes)}},
    }


def says(kubectl, namespace, word, limit=180):
    def so():
        return seen.get(kubectl, namespace, "vm", "db").get("status", {}).get("printableStatus") == word

    seen.until(f"the VM is {word}", so, limit)


def power_off(kubectl, namespace):
    pod = seen.launcher_pod(kubectl, namespace, "db")["metadata"]["name"]
    kubectl(
        "exec", "-n", namespace, pod, "-c", "compute", "--", "virsh", "-q", "-c", SOCKET, "shutdown", f"{namespace}_db"
    )


def test_manual_and_rerun_on_failure(kubectl, namespace):
    kubectl.apply(namespace, machine("db", "Manual"))
    says(kubectl, namespace, "Stopped")
    assert seen.items(kubectl, namespace, "vmi") == []
    start = '{"status":{"stateChangeRequests":[{"action":"Start"}]}}'
    kubectl("patch", "-n", namespace, "vm", "db", "--subresource=status", "--type=merge", "-p", start)
    says(kubectl, namespace, "Running")
    seen.console(kubectl, namespace, "db", "is up")
    power_off(kubectl, namespace)
    says(kubectl, namespace, "Stopped")
    assert seen.phase(kubectl, namespace, "db") == "Succeeded", "Manual leaves it so"

    kubectl("patch", "-n", namespace, "vm", "db", "--type=merge", "-p", '{"spec":{"runStrategy":"RerunOnFailure"}}')
    restart = '{"status":{"stateChangeRequests":[{"action":"Start"}]}}'
    kubectl("patch", "-n", namespace, "vm", "db", "--subresource=status", "--type=merge", "-p", restart)
    says(kubectl, namespace, "Running")
    first = seen.get(kubectl, namespace, "vmi", "db")["metadata"]["uid"]
    (pid,) = seen.guests(namespace)["db"]
    seen.kill(pid)

    def another():
        found = seen.items(kubectl, namespace, "vmi")
        return found and found[0]["metadata"]["uid"] != first and found[0].get("status", {}).get("phase") == "Running"

    seen.until("a guest that was killed is replaced", another)
    assert {name: len(pids) for name, pids in seen.guests(namespace).items()} == {"db": 1}
    kubectl("delete", "-n", namespace, "vm", "db", "--timeout=120s")
    assert seen.guests(namespace) == {}
