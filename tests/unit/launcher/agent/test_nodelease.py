"""The node's lease: made once, renewed ever after, whatever the API server does."""

import asyncio
from contextlib import asynccontextmanager, suppress

from hostler.api.fencing import LEASE_LABEL
from hostler.api.objects import Lease, Node
from hostler.runtime.errors import Unavailable
from launcher.agent import nodelease
from tests.unit.hostler.runtime.fake_kube import FakeKube, refusing

PLACE = (Lease.plural, "hostler", "hostler-node-n")


@asynccontextmanager
async def kept(kube, boot):
    task = asyncio.create_task(nodelease.keep(kube, "hostler", "n", boot, period=0.01))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def renewals(kube, count):
    """Wait for so many changes."""
    seen = set()
    async with asyncio.timeout(30):
        while len(seen) < count:
            if PLACE in kube.objects:
                seen.add(kube.objects[PLACE]["spec"]["renewTime"])
            await asyncio.sleep(0.002)


async def test_made_renewed_and_taken_over():
    kube = FakeKube()
    node = await kube.create(Node, None, {"metadata": {"name": "n"}})
    async with kept(kube, "boot-1"):
        await renewals(kube, 3)
    lease = kube.objects[PLACE]
    assert lease["spec"]["holderIdentity"] == "boot-1"
    assert lease["metadata"]["labels"] == {LEASE_LABEL: "n"}
    (owner,) = lease["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Node", node["metadata"]["uid"]), "it goes with its node"
    async with kept(kube, "boot-2"):
        await renewals(kube, 2)
    assert kube.objects[PLACE]["spec"]["holderIdentity"] == "boot-2"
    assert kube.objects[PLACE]["metadata"]["uid"] == lease["metadata"]["uid"]


async def test_an_api_server_that_is_away():
    kube = FakeKube()
    await kube.create(Node, None, {"metadata": {"name": "n"}})
    async with kept(kube, "boot"):
        await renewals(kube, 1)
        kube.refuse = refusing(Unavailable(0, "NoAnswer", "away"), "PATCH")
        await asyncio.sleep(0.05)
        kube.refuse = lambda *_: None
        await renewals(kube, 2)


def test_the_boot_is_what_the_kernel_says(tmp_path):
    (tmp_path / "boot_id").write_text("643821d7-718e-48e1-a1bb-3e76a48eb50c\n")
    assert nodelease.boot_id(tmp_path / "boot_id") == "643821d7-718e-48e1-a1bb-3e76a48eb50c"
