"""Says that this node takes guests: all is listed, the heartbeat is written, the kubelet offers our devices.

Said once, by a file that the startup probe looks for: an installer that waits for the agent's pod then knows that VMs
can be scheduled, and afterwards it costs nothing.
"""

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path

from hostler.api import launcher
from hostler.api.objects import Node
from hostler.runtime.errors import ApiError
from hostler.runtime.protocol import Kube, Raw
from hostler.runtime.reflector import Reflector

LOOK = 0.5  # seconds
SIGN = "ready"

log = logging.getLogger(__name__)


async def announce(kube: Kube, node: str, reflectors: Iterable[Reflector], folder: Path, look: float = LOOK) -> None:
    """Make the file when it is true; an earlier process's is taken away first."""
    sign = folder / SIGN
    _remove(sign)
    for reflector in reflectors:
        await reflector.synced.wait()
    while not await _offered(kube, node):  # noqa: ASYNC110
        await asyncio.sleep(look)
    _make(sign)
    log.info("this node takes guests", extra={"node": node})


async def _offered(kube: Kube, node: str) -> bool:
    try:
        return takes_guests(await kube.get(Node, None, node))
    except ApiError as error:
        log.warning("cannot read the node", extra={"node": node, "error": str(error)})
        return False


def takes_guests(node: Raw) -> bool:
    """Whether the scheduler, as it reads this node, would send a launcher pod there."""
    labels = node["metadata"].get("labels", {})
    devices = node.get("status", {}).get("allocatable", {})
    return bool(labels.get(launcher.SCHEDULABLE) == "true" and devices.get(launcher.TUN, "0") != "0")


def _make(sign: Path) -> None:
    sign.parent.mkdir(parents=True, exist_ok=True)
    sign.touch()


def _remove(sign: Path) -> None:
    sign.unlink(missing_ok=True)
