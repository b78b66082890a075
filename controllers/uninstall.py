"""Asked by Helm before an uninstall: refuses while there are VMs, since without the manager nothing would end them.

python -m controllers.uninstall [--release NAME] [--revision N] [--kubeconfig FILE]
"""

import asyncio
import sys

from pydantic import Field
from pydantic_settings import CliApp

from hostler.api.apps import VirtualMachineDaemonSet, VirtualMachineDeployment, VirtualMachineStatefulSet
from hostler.api.kubevirt.pool import VirtualMachinePool
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.kubevirt.vmirs import VirtualMachineInstanceReplicaSet
from hostler.runtime.errors import NotFound
from hostler.runtime.kube import Kind, Kube, connect
from hostler.runtime.settings import Settings

SHOWN = 10
# what must be gone first, by its short name; who makes others of them comes first
KINDS: dict[str, Kind] = {
    "vmpool": VirtualMachinePool,
    "vm": VirtualMachine,
    "vmdeploy": VirtualMachineDeployment,
    "vmds": VirtualMachineDaemonSet,
    "vmsts": VirtualMachineStatefulSet,
    "vmirs": VirtualMachineInstanceReplicaSet,
    "vmi": VirtualMachineInstance,
}
# they make guests, too, and go before all; that one exists is no objection, since most that do are over
BATCH = ("vmcronjob", "vmjob")
Found = dict[str, list[str]]  # short name -> namespace/name of each


class UninstallSettings(Settings):
    """Asked whether Hostler may be uninstalled."""

    release: str = Field("hostler", description="Helm's name of the release")
    revision: int = Field(1, description="its revision")


async def left(kube: Kube, kind: Kind) -> list[str]:
    """namespace/name of every object of a kind; none when the kind itself is gone."""
    try:
        items, _ = await kube.list(kind)
    except NotFound:
        return []
    return [f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in items]


def refusal(found: Found, release: str, revision: int) -> str:
    """What to tell the person who uninstalls; empty when nothing stands against it."""
    names = [f"{kind}/{name}" for kind in found for name in found[kind]]
    if not names:
        return ""
    counts = ", ".join(f"{len(some)} {kind}" for kind, some in found.items() if some)
    lines = [f"virtual machines still exist ({counts}):"]
    lines += [f"  {name}" for name in names[:SHOWN]]
    lines += ["  ..."] if len(names) > SHOWN else []
    lines += [
        "Hostler is left installed: without it nothing would shut these guests down. Delete them first:",
        f"  kubectl delete {','.join((*BATCH, *KINDS))} --all --all-namespaces",
        "or uninstall all the same, leaving the guests as they are:",
        f"  helm uninstall {release} --no-hooks",
        "Helm now takes the release for one that is being uninstalled; before you upgrade it, tell Helm to keep it:",
        f"  helm rollback {release} {revision}",
    ]
    return "\n".join(lines)


async def check(settings: UninstallSettings) -> str:
    kube = await connect(settings.kubeconfig, "hostler-uninstall")
    try:
        found = {short: await left(kube, kind) for short, kind in KINDS.items()}
        return refusal(found, settings.release, settings.revision)
    finally:
        await kube.close()


def main() -> int:
    text = asyncio.run(check(CliApp.run(UninstallSettings)))
    print(text or "no virtual machines are left")
    return 1 if text else 0


if __name__ == "__main__":
    sys.exit(main())
