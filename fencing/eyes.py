"""Looks at the nodes: polls the leases, asks the addresses of the silent, and knows what was seen when."""

import asyncio
import logging
import time

from fencing import metrics, probe
from fencing.observer import Observer
from fencing.verdict import Policy, Reach, Sight
from hostler.api.fencing import LEASE_LABEL, LEASE_PREFIX, MAINTENANCE, lease_name
from hostler.api.objects import Lease, Node
from hostler.runtime.errors import ApiError
from hostler.runtime.protocol import Kube
from hostler.runtime.store import Store

EVERY = 1.0  # seconds between looks
PATIENCE = 4.0  # seconds for an answer
KUBELETS = "kube-node-lease"

log = logging.getLogger(__name__)


class Eyes:
    """What this process sees of the nodes; nothing in here acts."""

    def __init__(self, kube: Kube, store: Store, namespace: str, policy: Policy) -> None:
        self.ours = Observer()
        self.kubelets = Observer()
        self.boots: dict[str, str] = {}  # node -> the boot that holds its lease
        self._kube = kube
        self._store = store
        self._namespace = namespace
        self._policy = policy

    async def look(self) -> None:
        """One look at all leases."""
        try:
            async with asyncio.timeout(PATIENCE):
                ours = await self._kube.list(Lease, self._namespace, labels=LEASE_LABEL)
                theirs = await self._kube.list(Lease, KUBELETS)
        except (ApiError, TimeoutError) as error:
            log.warning("cannot see the leases", extra={"error": repr(error)})
            self.ours.missed()
            self.kubelets.missed()
            return
        now = time.monotonic()
        leases = {raw["metadata"]["name"].removeprefix(LEASE_PREFIX): Lease.model_validate(raw) for raw in ours[0]}
        metrics.only(leases, self.boots)
        self.boots = {name: lease.spec.holder_identity or "" for name, lease in leases.items()}
        self.ours.looked({name: lease.metadata.resource_version for name, lease in leases.items()}, now)
        self.kubelets.looked({raw["metadata"]["name"]: raw["metadata"]["resourceVersion"] for raw in theirs[0]}, now)

    async def sights(self) -> list[Sight]:
        """Every node that has a lease of ours, with the addresses of the silent asked."""
        nodes = [node for node in self._store.all(Node) if node.metadata.name in self.boots]
        return list(await asyncio.gather(*map(self._sight, nodes)))

    async def _sight(self, node: Node) -> Sight:
        now, name = time.monotonic(), node.metadata.name
        silent = self.ours.silent(name, now)
        metrics.SILENCE.labels(name).set(silent)
        asked = silent >= self._policy.silent
        return Sight(
            name,
            silent,
            self.kubelets.silent(name, now),
            node.ready,
            await probe.reach(node.address) if asked else Reach.UNKNOWN,
            node.metadata.annotations.get(MAINTENANCE, "false") != "false",
        )

    async def reach(self, name: str) -> Reach:
        node = self._store.get(Node, ("", name))
        return await probe.reach(node.address) if node else Reach.UNKNOWN

    def incident(self, name: str) -> str:
        """The same for as long as the node has not been heard: its name, boot and last renewal."""
        return f"{lease_name(name)} {self.boots.get(name, '')} {self.ours.version(name)}"
