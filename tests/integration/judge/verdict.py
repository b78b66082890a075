"""Runs a scenario on both sides in step, and tells what differs."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import partial
from typing import Any, NamedTuple

from tests.integration.judge.script import Scenario, Scene, Step
from tests.integration.judge.side import News, Record, Side

COMES = 60.0  # seconds until the picture of a step is there, on a machine that has much to do
AGREES = 10.0  # seconds until the statuses, which are written a moment later, are the same
EVENTS = 120.0  # seconds until all events are written, for which nobody hurries


PICTURE = "picture"
HISTORY = "revisionHistoryLimit"


class Difference(NamedTuple):
    """Something that is not the same on both sides after a step."""

    scenario: str
    step: str
    item: str
    kubernetes: str
    ours: str

    def __str__(self) -> str:
        return f'("{self.scenario}", "{self.step}", "{self.item}", "{self.kubernetes}", "{self.ours}")'


class Listed(NamedTuple):
    """A difference that is meant, and why; each may be a pattern. The item `picture`: of what there is after a step."""

    scenario: str
    step: str
    item: str
    kubernetes: str
    ours: str
    why: str
    always: bool = True  # else Kubernetes itself does now one thing, now the other

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
            await asyncio.gather(*(nudge(scene, number) for scene in self._scenes))
            await self._settle(partial(self._differences, name), AGREES)
            seen = (self._seen(scene, begun) for scene, begun in zip(self._scenes, self._begun, strict=True))
            self.verdict.story += [f"{name}: {step.sees}", *(f"    {each}" for each in seen)]
            self._begun = [copy(self._record(scene)) for scene in self._scenes]
        await self._settle(self._events_differ, EVENTS)
        return self.verdict

    async def _comes(self, name: str, step: Step) -> bool:
        """Whether both come to the step's picture."""
        awaited, anywhere = self._awaited(name, step), self._scenario.anywhere
        pictures: list[str] = []

        def there() -> bool:
            pictures[:] = [scene.side.picture(scene.kind, scene.name, anywhere=anywhere) for scene in self._scenes]
            caught_up = (scene.side.caught_up(scene.kind, scene.name) for scene in self._scenes)
            return pictures == awaited and all(caught_up)

        if await self._until(there, COMES):
            return True
        self.verdict.unlisted.append(Difference(self._scenario.name, name, f"never {' | '.join(awaited)}", *pictures))
        return False

    def _awaited(self, name: str, step: Step) -> list[str]:
        """The pictures that are to come: the same, unless it is listed that ours is another."""
        same = Difference(self._scenario.name, name, PICTURE, step.sees, "")
        for each in self._known:
            if each.item == PICTURE and each._replace(ours="").covers(same):
                self.verdict.listed.add(each)
                return [step.sees, each.ours]
        return [step.sees, step.sees]

    async def _settle(self, differences: Callable[[], list[Difference]], seconds: float) -> None:
        """What differs for good is written down."""
        found: list[Difference] = []

        def same() -> bool:
            found[:] = differences()
            if not all(scene.side.caught_up(scene.kind, scene.name) for scene in self._scenes):
                return False
            return all(any(each.covers(one) for each in self._known) for one in found)

        await self._until(same, seconds)
        for one in found:
            covering = [each for each in self._known if each.covers(one)]
            self.verdict.listed.update(covering)
            if not covering:
                self.verdict.unlisted.append(one)

    def _differences(self, name: str) -> list[Difference]:
        pairs = zip(self._scenes, self._begun, strict=True)
        kubernetes, ours = (self._seen(scene, begun) for scene, begun in pairs)
        items = sorted({*kubernetes, *ours})
        rows = ((item, shown(kubernetes.get(item)), shown(ours.get(item))) for item in items)
        return [Difference(self._scenario.name, name, item, a, b) for item, a, b in rows if a != b]

    def _events_differ(self) -> list[Difference]:
        """Of what was told from the beginning to the end."""
        kubernetes, ours = (shown(sorted(self._record(scene).events)) for scene in self._scenes)
        return [Difference(self._scenario.name, "end", "events", kubernetes, ours)] if kubernetes != ours else []

    def _seen(self, scene: Scene, begun: Record) -> dict[str, Any]:
        """What the step has brought."""
        record = self._record(scene)
        moves = record.moves[len(begun.moves) :]
        if self._scenario.anywhere:
            moves = [each.rstrip("0123456789") for each in moves]
        seen = scene.side.status(scene.kind, scene.name)
        seen["moves"] = moves if self._scenario.ordered else sorted(moves)
        seen["sizes"] = record.sizes[len(begun.sizes) :]
        seen["turns"] = sorted(record.turns[len(begun.turns) :])
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


async def nudge(scene: Scene, number: int) -> None:
    """A change of no consequence, so that there is a status which is certainly of now: it has the generation."""
    workload = scene.side.workload(scene.kind, scene.name)
    if workload and scene.kind in ("deployment", "statefulset", "daemonset") and HISTORY not in scene.spec:
        await scene.change({"spec": {HISTORY: 10 + number}})


def copy(record: Record) -> Record:
    return Record(list(record.moves), list(record.sizes), list(record.turns))


def shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else "-" if value is None else str(value)
