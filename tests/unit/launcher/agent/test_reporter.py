"""What an agent knows of a VMI that others write, too."""

from typing import Any, cast

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime.protocol import Kube, Raw
from launcher.agent.pods import LauncherPod
from launcher.agent.reporter import Reporter, read

POD = LauncherPod.model_validate({
    "metadata": {
        "name": "virt-launcher-web-abcde",
        "namespace": "shop",
        "uid": "pod",
        "ownerReferences": [
            {
                "apiVersion": "kubevirt.io/v1",
                "kind": "VirtualMachineInstance",
                "name": "web",
                "uid": "vmi",
                "controller": True,
            }
        ],
    },
    "spec": {"nodeName": "node", "containers": [{"name": "compute", "image": "x"}]},
})  # fmt: skip


def vmi(version: int, **status: Any) -> Raw:
    meta = {"name": "web", "namespace": "shop", "uid": "vmi", "resourceVersion": str(version)}
    return {"metadata": meta, "spec": {"domain": {"devices": {}}}, "status": status}


class Slow:
    """An API server whose answer to a write comes after what a watch tells of the next one."""

    def __init__(self) -> None:
        self.reporter: Reporter

    async def get(self, *_: object) -> Raw:
        return vmi(1)

    async def patch(self, *_: object) -> Raw:
        assert self.reporter.saw(read(vmi(3, phase="Running")))
        return vmi(2)


async def test_an_answer_that_comes_late_is_no_news() -> None:
    kube = Slow()
    kube.reporter = reporter = Reporter(cast("Kube", kube), cast("Any", None), "node", POD)
    await reporter.look()
    seen: VirtualMachineInstance | None = await reporter.write(lambda _: {"status": {"reason": "x"}})
    assert seen is reporter.vmi
    assert seen is not None
    assert seen.metadata.resource_version == "3"
