"""Asks the devices now and then whether they would answer: a wrong password is found before it is needed."""

import asyncio
import logging
from datetime import UTC, datetime

from fencing import metrics
from fencing.driver import Driver
from hostler.api.fencing import FINAL, FenceOperation, NodeFencing
from hostler.runtime import conditions
from hostler.runtime.conditions import Condition
from hostler.runtime.errors import ApiError
from hostler.runtime.plan import Event
from hostler.runtime.protocol import Raw

LOOK = 2.0  # seconds between looks for what is new

log = logging.getLogger(__name__)


class Health:
    """One device after the other: nothing of it is urgent."""

    def __init__(self, driver: Driver, every: float) -> None:
        self._driver = driver
        self._every = every
        self._asked: dict[str, tuple[int, float]] = {}  # UID -> generation, when

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            for config in tuple(self._driver.store.all(NodeFencing)):
                if self._due(config):
                    await self._check(config)
            await asyncio.sleep(LOOK)

    def _due(self, config: NodeFencing) -> bool:
        meta = config.metadata
        operations = self._driver.store.all(FenceOperation)
        if any(op.spec.node_name == meta.name and op.phase not in FINAL for op in operations):
            return False
        generation, when = self._asked.get(meta.uid, (-1, 0.0))
        return generation != meta.generation or asyncio.get_running_loop().time() - when >= self._every

    async def _check(self, config: NodeFencing) -> None:
        meta = config.metadata
        powers, trouble = [], None
        for level in config.spec.levels:
            for device in level.devices:
                result = await self._driver.ask(device, "status")
                powers.append({0: "On", 2: "Off"}.get(-1 if result.exit_code is None else result.exit_code, "Unknown"))
                if powers[-1] == "Unknown" and trouble is None:
                    trouble = Condition(False, result.reason, f"{device.agent} ({device.name}): {result.message}")
        self._asked[meta.uid] = (meta.generation, asyncio.get_running_loop().time())
        metrics.DEVICES.labels(meta.name).set(trouble is None)
        await self._report(config, powers, trouble)

    async def _report(self, config: NodeFencing, powers: list[str], trouble: Condition | None) -> None:
        """Written only when it is news."""
        ready = trouble or Condition(True, "DevicesAnswer")
        power = powers[0] if len(set(powers)) == 1 else "Unknown"
        known = {c.type: c for c in config.status.conditions} if config.status else {}
        old = known.get("Ready")
        told = (old.status, old.reason, old.message or "") if old else None
        news = told != (str(ready.status), ready.reason, ready.message)
        if not news and config.status and config.status.power == power:
            return
        existing = config.status.conditions if config.status else ()
        status: Raw = {
            "conditions": conditions.update(existing, {"Ready": ready}, datetime.now(UTC)),
            "observedGeneration": config.metadata.generation,
            "power": power,
        }
        name = config.metadata.name
        try:
            answer = await self._driver.kube.patch(NodeFencing, None, name, {"status": status}, subresource="status")
        except ApiError as error:
            log.warning("cannot report", extra={"node": name, "error": str(error)})
            return
        self._driver.store.observe(NodeFencing, answer)
        if news and trouble:
            self._driver.recorder.record(config, Event(trouble.reason, trouble.message, "Warning"))
