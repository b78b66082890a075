"""The node's lease: renewed every other second, so that fencing learns within seconds that a node has fallen silent.

The kubelet's own lease is five times as slow. The holder is the boot, not the agent: an agent that is restarted goes
on where it was, and a node that comes back after a reset is seen to be another one than the one that fell silent.
"""

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path

from hostler.api.fencing import LEASE_DURATION, LEASE_LABEL, LEASE_PERIOD, lease_name
from hostler.api.objects import Lease, Node
from hostler.runtime import names
from hostler.runtime.errors import ApiError, NotFound
from hostler.runtime.protocol import Kube, Raw

log = logging.getLogger(__name__)


def boot_id(file: Path) -> str:
    """The kernel's random ID of this boot."""
    return file.read_text().strip()


async def keep(kube: Kube, namespace: str, node: str, boot: str, period: float = LEASE_PERIOD) -> None:
    """Renew until cancelled. Nothing is given back at the end: the guests run on without their agent."""
    place = (namespace, lease_name(node))
    while True:
        try:
            # an answer that is lost with the network must not hold up the next renewal
            async with asyncio.timeout(period * 2):
                await _renew(kube, *place, node, boot)
        except (ApiError, TimeoutError) as error:
            log.warning("node lease not renewed", extra={"node": node, "error": repr(error)})
        await asyncio.sleep(period)


async def _renew(kube: Kube, namespace: str, name: str, node: str, boot: str) -> None:
    try:
        await kube.patch(Lease, namespace, name, {"spec": _spec(boot)})
    except NotFound:
        await kube.create(Lease, namespace, await _lease(kube, namespace, name, node, boot))


async def _lease(kube: Kube, namespace: str, name: str, node: str, boot: str) -> Raw:
    """It goes with its node."""
    uid = (await kube.get(Node, None, node))["metadata"]["uid"]
    owner = {"apiVersion": Node.group_version, "kind": "Node", "name": node, "uid": uid}
    labels = {LEASE_LABEL: names.label(node)}
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "ownerReferences": [owner]},
        "spec": _spec(boot),
    }


def _spec(boot: str) -> Raw:
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"holderIdentity": boot, "leaseDurationSeconds": int(LEASE_DURATION), "renewTime": now}
