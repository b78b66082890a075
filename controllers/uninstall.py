"""Asked by Helm before an uninstall: refuses while there are VMIs, since without the manager nothing would end them.

python -m controllers.uninstall [--kubeconfig FILE]
"""

import asyncio
import sys

from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet
from hostler.runtime.errors import NotFound
from hostler.runtime.kube import Kind, Kube, connect
from hostler.runtime.settings import Settings

SHOWN = 10


async def left(kube: Kube, kind: Kind) -> list[str]:
    """namespace/name of every object of a kind; none when the kind itself is gone."""
    try:
        items, _ = await kube.list(kind)
    except NotFound:
        return []
    return [f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in items]


def refusal(vms: list[str], sets: list[str], vmis: list[str]) -> str:
    """What to tell the person who uninstalls; empty when nothing stands against it."""
    found = vms + sets + vmis
    if not found:
        return ""
    lines = [
        f"{len(vms)} VirtualMachines, {len(vmis)} VirtualMachineInstances and {len(sets)} replica sets still exist:"
    ]
    lines += [f"  {name}" for name in found[:SHOWN]]
    lines += ["  ..."] if len(found) > SHOWN else []
    lines += [
        "Hostler is left installed: without it nothing would shut these guests down. Delete them first:",
        "  kubectl delete vm,vmirs,vmi --all --all-namespaces",
        "or uninstall all the same, leaving the guests as they are:",
        "  helm uninstall hostler --no-hooks",
    ]
    return "\n".join(lines)


async def check(settings: Settings) -> str:
    kube = await connect(settings.kubeconfig, "hostler-uninstall")
    try:
        vms, sets = await left(kube, VirtualMachine), await left(kube, VirtualMachineInstanceReplicaSet)
        return refusal(vms, sets, await left(kube, VirtualMachineInstance))
    finally:
        await kube.close()


def main() -> int:
    text = asyncio.run(check(Settings(_cli_parse_args=True)))
    print(text or "no VirtualMachines or VirtualMachineInstances are left")
    return 1 if text else 0


if __name__ == "__main__":
    sys.exit(main())
