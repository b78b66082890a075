"""The node's sign of life: launcher pods are scheduled to nodes whose agent lives."""

import asyncio
import logging
from datetime import UTC, datetime

from hostler.api import launcher
from hostler.api.objects import Node
from hostler.runtime.conditions import stamp
from hostler.runtime.errors import ApiError
from hostler.runtime.protocol import Kube, Raw

BEAT = 60.0  # seconds
AGAIN = 5.0  # seconds until a beat that failed is tried again

log = logging.getLogger(__name__)


async def beat(kube: Kube, node: str, every: float = BEAT) -> None:
    """Say so every minute, until cancelled. Nothing is taken back at the end: guests run on without their agent."""
    while True:
        try:
            await kube.patch(Node, None, node, sign(datetime.now(UTC)))
        except ApiError as error:
            log.warning("no heartbeat", extra={"node": node, "error": str(error)})
            await asyncio.sleep(min(AGAIN, every))
        else:
            await asyncio.sleep(every)


def sign(now: datetime) -> Raw:
    return {
        "metadata": {
            "labels": {launcher.SCHEDULABLE: "true"},
            "annotations": {launcher.HEARTBEAT: stamp(now)},
        }
    }
