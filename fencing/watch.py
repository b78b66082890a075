"""Watches over all nodes: makes an operation for each that is lost, lets those in again that have come back."""

import asyncio
import logging
from collections import Counter
from typing import get_args

from fencing import metrics, recovery
from fencing.driver import Driver, stamp
from fencing.eyes import EVERY
from fencing.settings import FencingSettings
from fencing.verdict import Known, Policy, State, Verdict, judge, switching
from hostler.api.fencing import FENCED_BY, FINAL, RECOVERED, FenceOperation, FenceOperationSpec, Mode
from hostler.api.objects import Node
from hostler.runtime import names
from hostler.runtime.errors import AlreadyExists, ApiError, Conflict, NotFound
from hostler.runtime.plan import Event

SOURCE = "hostler-fencing"
MODES = get_args(Mode)

log = logging.getLogger(__name__)


def policy(settings: FencingSettings) -> Policy:
    return Policy(settings.silent, settings.kubelet_silent, settings.most_at_once)


def away(op: FenceOperation) -> bool:
    """It has done all that it had to, and its node is not back."""
    return op.phase == RECOVERED and op.status is not None and op.status.rejoined_at is None


class Watch:
    """Looks every second."""

    def __init__(self, driver: Driver, settings: FencingSettings) -> None:
        self._driver = driver
        self._settings = settings
        self._policy = policy(settings)
        self._told: dict[str, State] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._driver.eyes.look()
            await self._round()
            await asyncio.sleep(EVERY)

    async def _round(self) -> None:
        operations = list(self._driver.store.all(FenceOperation))
        busy = {op.spec.node_name for op in operations if op.phase not in FINAL}
        known = Known(busy, switching(operations), {op.spec.node_name for op in operations if self._off(op)})
        verdicts = judge(await self._driver.eyes.sights(), known, self._policy)
        counted = Counter(verdict.state for verdict in verdicts)
        for state in State:
            metrics.NODES.labels(state).set(counted[state])
        for verdict in verdicts:
            self._tell(verdict)
            if verdict.state is State.LOST and verdict.node not in busy:
                await self._begin(verdict)
        for op in operations:
            if away(op):
                await self._rejoin(op)
        for node in tuple(self._driver.store.all(Node)):
            await self._remember(node)

    def _off(self, op: FenceOperation) -> bool:
        """It ended this very incident: the node has not been heard since."""
        node = op.spec.node_name
        return away(op) and any(op.metadata.name == self._name(node, mode) for mode in MODES)

    def _name(self, node: str, mode: str) -> str:
        """The incident's. One that is only told about gives way to one that acts when the mode changes."""
        incident = f"{self._driver.eyes.incident(node)} {mode}"
        return f"{node[:200]}-{names.suffix(incident)}"

    def _tell(self, verdict: Verdict) -> None:
        """When a node's state changes; that all is well needs no event."""
        before = self._told.get(verdict.node, State.HEALTHY)
        self._told[verdict.node] = verdict.state
        if verdict.state is before:
            return
        log.info("node", extra={"node": verdict.node, "state": str(verdict.state), "why": verdict.why})
        node = self._driver.store.get(Node, ("", verdict.node))
        if node is not None and verdict.state in (State.SUSPECT, State.HELD):
            self._driver.recorder.record(node, Event(f"Node{verdict.state}", verdict.why, "Warning"))

    async def _begin(self, verdict: Verdict) -> None:
        """The operation exists before anything is done; its name is the incident's, so it cannot be made twice."""
        eyes, name = self._driver.eyes, verdict.node
        node = self._driver.store.get(Node, ("", name))
        spec = FenceOperationSpec(
            node_name=name,
            node_uid=node.metadata.uid if node else None,
            boot_id=eyes.boots.get(name, ""),
            mode=self._settings.mode,
            reason=verdict.why,
            requested_by=SOURCE,
        )
        body = {
            "metadata": {"name": self._name(name, self._settings.mode)},
            "spec": spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
        try:
            answer = await self._driver.kube.create(FenceOperation, None, body)
        except AlreadyExists:
            return  # made by our predecessor, and ended; the node has not been heard since
        except ApiError as error:
            log.warning("cannot make the operation", extra={"node": name, "error": str(error)})
            return
        self._driver.store.observe(FenceOperation, answer)
        log.info("begun", extra={"operation": body["metadata"]["name"], "node": name, "why": verdict.why})

    async def _rejoin(self, op: FenceOperation) -> None:
        eyes, name = self._driver.eyes, op.spec.node_name
        node = self._driver.store.get(Node, ("", name))
        if node is None:
            return
        renewed = eyes.ours.renewed(name) is not None
        fenced = FENCED_BY in node.metadata.annotations
        if fenced and not recovery.rejoined(op, node, eyes.boots.get(name, ""), renewed):
            return
        if not fenced and not (renewed and eyes.boots.get(name) != op.spec.boot_id):
            return  # never tainted (a new boot was the proof), or by hand untainted: the record waits for the node
        try:
            if fenced:
                await self._driver.kube.patch(Node, None, name, recovery.untaint(node))
            status = {"status": {"rejoinedAt": stamp()}}
            answer = await self._driver.kube.patch(FenceOperation, None, op.metadata.name, status, subresource="status")
        except (Conflict, NotFound):
            return  # it changed under us: the next look knows more
        except ApiError as error:
            log.warning("cannot let the node in", extra={"node": name, "error": str(error)})
            return
        self._driver.store.observe(FenceOperation, answer)
        self._driver.recorder.record(node, Event("NodeRejoined", f"a new boot is ready; {op.metadata.name} is over"))

    async def _remember(self, node: Node) -> None:
        """A node whose operation was deleted comes back like any other."""
        name, by = node.metadata.name, node.metadata.annotations.get(FENCED_BY)
        if by is None or self._driver.store.get(FenceOperation, ("", by)) is not None:
            return
        eyes = self._driver.eyes
        if not recovery.forgotten(node, eyes.boots.get(name, ""), eyes.ours.renewed(name) is not None):
            return
        try:
            await self._driver.kube.patch(Node, None, name, recovery.untaint(node))
        except ApiError as error:
            log.warning("cannot let the node in", extra={"node": name, "error": str(error)})
            return
        self._driver.recorder.record(node, Event("NodeRejoined", f"a new boot is ready; {by} is gone"))
