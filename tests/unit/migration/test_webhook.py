"""The eviction webhook: what it reads, what it marks, what it answers."""

from typing import Any

import pytest

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime.errors import Conflict
from hostler.runtime.protocol import Kind, Raw
from migration.kinds import LauncherPod
from migration.webhook import decide, reviewed
from tests.unit import make
from tests.unit.hostler.runtime.fake_kube import FakeKube

ASKED = {"namespace": make.NS, "name": "virt-launcher-web"}
STATUS = {
    "phase": "Running", "nodeName": "node-1",
    "conditions": [{"type": "LiveMigratable", "status": "True", "lastTransitionTime": make.ago(30)}],
}  # fmt: skip


async def cluster(strategy: str = "LiveMigrate", *, launched: bool = True) -> FakeKube:
    kube = FakeKube()
    spec = {"evictionStrategy": strategy, "domain": {"devices": {}, "memory": {"guest": "128Mi"}}}
    meta = {"name": "web", "namespace": make.NS}
    vmi = await kube.create(VirtualMachineInstance, make.NS, {"metadata": meta, "spec": spec, "status": STATUS})
    owner = make.owner("web", "VirtualMachineInstance")[0] | {"uid": vmi["metadata"]["uid"]}
    meta = {"name": ASKED["name"], "namespace": make.NS, "ownerReferences": [owner]}
    meta |= {"labels": {"kubevirt.io": "virt-launcher"}} if launched else {}
    await kube.create(LauncherPod, make.NS, {"metadata": meta, "spec": {"nodeName": "node-1"}})
    return kube


async def vmi_of(kube: FakeKube) -> Raw:
    return await kube.get(VirtualMachineInstance, make.NS, "web")


async def test_the_guest_is_marked_before_the_answer() -> None:
    kube = await cluster()
    said = await decide(kube, ASKED)
    assert (said.say, said.message) == ("mark", 'Eviction triggered evacuation of VMI "shop/web"')
    status = (await vmi_of(kube))["status"]
    assert status["evacuationNodeName"] == "node-1"
    assert {each["type"] for each in status["conditions"]} == {"LiveMigratable", "EvictionRequested"}
    again = await decide(kube, ASKED)
    assert (again.say, again.message[:22]) == ("deny", "Evacuation in progress")


@pytest.mark.parametrize(
    "asked", [ASKED | {"dryRun": True}, ASKED | {"object": {"deleteOptions": {"dryRun": ["All"]}}}]
)
async def test_a_dry_run_marks_nothing(asked: Any) -> None:
    kube = await cluster()
    assert (await decide(kube, asked)).say == "mark"
    assert "evacuationNodeName" not in (await vmi_of(kube))["status"]


async def test_other_pods_are_not_ours() -> None:
    assert (await decide(await cluster(launched=False), ASKED)).say == "allow"
    assert (await decide(await cluster(), ASKED | {"name": "gone"})).say == "allow"
    assert (await decide(await cluster("None"), ASKED)).say == "allow"


async def test_who_writes_at_the_same_time_is_waited_for() -> None:
    kube = await cluster()
    refusals = [Conflict(409, "Conflict", "changed"), Conflict(409, "Conflict", "changed")]

    def refuse(verb: str, _kind: Kind, _name: str) -> None:
        if verb == "PATCH" and refusals:
            raise refusals.pop()

    kube.refuse = refuse
    assert (await decide(kube, ASKED)).say == "mark"
    assert not refusals


async def test_the_answer_is_too_many_requests() -> None:
    body = reviewed("uid-1", await decide(await cluster(), ASKED))
    assert body["response"]["allowed"] is False
    assert body["response"]["status"]["code"] == 429
    assert reviewed("uid-1", await decide(await cluster("None"), ASKED))["response"] == {
        "uid": "uid-1",
        "allowed": True,
    }
