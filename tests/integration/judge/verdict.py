"""Runs a scenario on both sides in step, and tells what differs."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any, NamedTuple

from tests.integration.judge.script import Scenario, Scene, Step
from tests.integration.judge.side import News, Record, Side

COMES = 12.0  # seconds until the picture of a step is there, on a machine that has much to do
AGREES = 5.0  # seconds until the statuses, which are written a moment later, are the same


class Difference(NamedTuple):
    """Something that is not the same on both sides after a step."""

    scenario: str
    step: str
    item: str
    kubernetes: str
    ours: str

    def __str__(self) -> str:
        return f'("{self.scenario}", "{self.step}", "{self.item}", "{self.kubernetes}", "{self.ours}")'


@dataclass(frozen=True)
class Listed:
    """A difference that is meant, and why. Scenario, step and item may be patterns."""

    scenario: str
    step: str
    item: str
    kubernetes: str
    ours: str
    why: str

    def covers(self, found: Difference) -> bool:
        known = (self.scenario, self.step, self.item, self.kubernetes, self.ours)
        return all(fnmatch(said, pattern) for said, pattern in zip(found, known, strict=True))


@dataclass
class Verdict:
    """What a scenario has brought to light."""

    scenario: Scenario
    unlisted: list[Difference] = field(default_factory=list)
    listed: set[Listed] = field(default_factory=set)
    story: list[str] = field(default_factory=list)  # what Kubernetes did, for who reads along


class Trial:
    """One scenario on both sides."""

    def __init__(self, scenario: Scenario, sides: tuple[Side, Side], news: News, known: tuple[Listed, ...]) -> None:
        self.verdict = Verdict(scenario)
        self._scenario, self._news, self._known = scenario, news, known
        self._scenes = [Scene(side, scenario.kind, scenario.name, scenario.spec) for side in sides]
        self._begun = [Record(), Record()]

    async def run(self) -> Verdict:
        for number, step in enumerate(self._scenario.steps, 1):
            name = f"{number} {step.what}"
            await asyncio.gather(*(step.do(scene) for scene in self._scenes))
            if not await self._comes(name, step):
                return self.verdict
            await self._agrees(name)
            seen = (self._seen(scene, begun) for scene, begun in zip(self._scenes, self._begun, strict=True))
            self.verdict.story += [f"{name}: {step.sees}", *(f"    {each}" for each in seen)]
            self._begun = [copy(self._record(scene)) for scene in self._scenes]
        return self.verdict

    async def _comes(self, name: str, step: Step) -> bool:
        """Whether both come to the step's picture."""
        pictures: list[str] = []

        def there() -> bool:
            pictures[:] = [scene.side.picture(scene.kind, scene.name) for scene in self._scenes]
            caught_up = (scene.side.caught_up(scene.kind, scene.name) for scene in self._scenes)
            return pictures == [step.sees, step.sees] and all(caught_up)

        if await self._until(there, COMES):
            return True
        self.verdict.unlisted.append(Difference(self._scenario.name, name, f"picture {step.sees}", *pictures))
        return False

    async def _agrees(self, name: str) -> None:
        """What differs for good is written down."""
        found: list[Difference] = []

        def same() -> bool:
            found[:] = self._differences(name)
            return all(any(each.covers(one) for each in self._known) for one in found)

        await self._until(same, AGREES)
        for one in found:
            covering = [each for each in self._known if each.covers(one)]
            self.verdict.listed.update(covering)
            if not covering:
                self.verdict.unlisted.append(one)

    def _differences(self, name: str) -> list[Difference]:
        kubernetes, ours = (self._seen(scene, begun) for scene, begun in zip(self._scenes, self._begun, strict=True))
        items = sorted({*kubernetes, *ours})
        pairs = ((item, shown(kubernetes.get(item)), shown(ours.get(item))) for item in items)
        return [Difference(self._scenario.name, name, item, a, b) for item, a, b in pairs if a != b]

    def _seen(self, scene: Scene, begun: Record) -> dict[str, Any]:
        """What the step has brought."""
        record = self._record(scene)
        moves = record.moves[len(begun.moves) :]
        seen = scene.side.status(scene.kind, scene.name)
        seen["moves"] = moves if self._scenario.ordered else sorted(moves)
        seen["sizes"] = record.sizes[len(begun.sizes) :]
        return seen

    def _record(self, scene: Scene) -> Record:
        return scene.side.records[scene.name]

    async def _until(self, true: Callable[[], bool], seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while not true():
                    await self._news.next()
        except TimeoutError:
            return False
        return True


def copy(record: Record) -> Record:
    return Record(list(record.moves), list(record.sizes), list(record.conditions), set(record.events))


def shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else "-" if value is None else str(value)
