"""The language of the scenarios: a step is something that a user, a guest or a node does, and what comes of it.

made("aaa")           the workload is created; three guests of the template a come to be there
start("AAA")          those that are there become Ready
roll("b", "AAAb")     the template becomes b; a guest of it comes beside the others
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hostler.api import launcher
from hostler.api.objects import ControllerRevision, Node
from hostler.runtime.protocol import Raw
from tests.integration.judge.reading import MARK, app, place
from tests.integration.judge.side import Side

# s: a controller that has not heard yet that a guest is an orphan makes one more; what it has heard cannot be asked
HEARD = 5.0


@dataclass(frozen=True)
class Scene:
    """A workload on one side."""

    side: Side
    kind: str
    name: str
    spec: Raw

    def guests(self, letters: str) -> list[Raw]:
        """Those whose letter is one of these."""
        return [each for each in self.side.guests(self.name) if self.side.letter(each) in letters]

    async def change(self, patch: Raw, subresource: str | None = None) -> None:
        kind = self.side.words.workloads[self.kind]
        await self.side.api.patch(kind, self.side.namespace, self.name, patch, subresource)

    def node(self, number: str) -> str:
        return f"{self.side.namespace}-{self.name}-{number}"

    @property
    def own_nodes(self) -> dict[str, str]:
        """The label of the nodes that are this workload's."""
        return {MARK: f"{self.side.namespace}-{self.name}"}


@dataclass(frozen=True)
class Step:
    """What is done, and the picture that comes of it (see Side.picture)."""

    what: str
    sees: str
    do: Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """A workload's spec in the words that both sides share, and what happens to it."""

    name: str  # <kind>-...
    spec: Raw
    steps: tuple[Step, ...]
    anywhere: bool = False  # which of the nodes comes first is not promised

    @property
    def kind(self) -> str:
        return self.name.split("-", maxsplit=1)[0]

    @property
    def ordered(self) -> bool:
        """Guests come and go one after another, so their order is part of the promise."""
        return self.kind == "statefulset" and self.spec.get("podManagementPolicy") != "Parallel"


def scenario(name: str, spec: Raw, *steps: Step, anywhere: bool = False) -> Scenario:
    return Scenario(name, spec, steps, anywhere)


def made(sees: str) -> Step:
    async def do(scene: Scene) -> None:
        body = scene.side.body(scene.kind, scene.name, scene.spec)
        if scene.kind == "daemonset":
            body["spec"]["template"]["spec"]["nodeSelector"] = scene.own_nodes
        await scene.side.api.create(scene.side.words.workloads[scene.kind], scene.side.namespace, body)

    return Step("made", sees, do)


def remade(sees: str) -> Step:
    """The workload is deleted, what it owned is left as an orphan (by this step: there is no garbage collector), and it
    is created again.
    """

    async def do(scene: Scene) -> None:
        side = scene.side
        await side.api.delete(side.words.workloads[scene.kind], side.namespace, scene.name)
        for kind in (side.words.guest, ControllerRevision):
            for each in side.all(kind):
                if app(each) == scene.name:
                    owners = {"metadata": {"ownerReferences": None}}
                    await side.api.patch(kind, side.namespace, each["metadata"]["name"], owners)
        await asyncio.sleep(HEARD)
        await made(sees).do(scene)

    return Step("remade", sees, do)


def edited(sees: str, **spec: Any) -> Step:
    async def do(scene: Scene) -> None:
        await scene.change({"spec": spec})

    words = ", ".join(f"{key}={value}" for key, value in spec.items())
    return Step(f"edited {words}", sees, do)


def rolled(letter: str, sees: str, **spec: Any) -> Step:
    async def do(scene: Scene) -> None:
        await scene.change({"spec": spec | {"template": {"metadata": {"annotations": {MARK: letter}}}}})

    return Step(f"rolled to {letter}", sees, do)


def start(sees: str, letters: str = "abcd", most: int = 99) -> Step:
    """Guests that wait become Ready."""

    async def do(scene: Scene) -> None:
        for each in scene.guests(letters)[:most]:
            await scene.side.start(each)

    return Step("started", sees, do)


def ail(sees: str, most: int = 1) -> Step:
    """Ready guests are not Ready any more."""

    async def do(scene: Scene) -> None:
        for each in scene.guests("ABCD")[:most]:
            await scene.side.ail(each)

    return Step("ailing", sees, do)


def ended(sees: str, code: int = 0, letters: str = "abcdABCD", most: int = 99, which: str = "") -> Step:
    """Guests end of themselves; `which`: that of this number."""

    async def do(scene: Scene) -> None:
        found = [each for each in scene.guests(letters) if which in ("", place(each))]
        for each in found[:most]:
            await scene.side.end(each, code)

    return Step(f"ended with {code}", sees, do)


def killed(sees: str, letters: str = "abcdABCD", most: int = 1, which: str = "") -> Step:
    """A user deletes guests; `which`: that of this number or node."""

    async def do(scene: Scene) -> None:
        found = [each for each in scene.guests(letters) if which in ("", place(each))]
        for each in found[:most]:
            kind, name = scene.side.words.guest, each["metadata"]["name"]
            await scene.side.api.delete(kind, scene.side.namespace, name)

    return Step("killed", sees, do)


def slowly(*steps: Step) -> tuple[Step, ...]:
    """Guests take their time to go, until the step `gone`."""

    async def do(scene: Scene) -> None:
        scene.side.slow.add(scene.name)
        await steps[0].do(scene)

    return (Step(steps[0].what, steps[0].sees, do), *steps[1:])


def gone(sees: str, code: int | None = None) -> Step:
    """Guests that were told to go do so, some with an exit code."""

    async def do(scene: Scene) -> None:
        for each in scene.guests("x"):
            if pod := scene.side.pod(each):
                if code is not None:
                    await scene.side.end(each, code)
                await scene.side.let_go(pod)

    return Step("gone", sees, do)


def nodes(sees: str, *numbers: str) -> Step:
    """There are more nodes."""

    async def do(scene: Scene) -> None:
        for number in numbers:
            name = scene.node(number)
            labels = scene.own_nodes | {launcher.SCHEDULABLE: "true"}
            await scene.side.api.create(Node, None, {"metadata": {"name": name, "labels": labels}})
            await scene.side.api.patch(
                Node, None, name, {"spec": {"taints": None}}
            )  # the API server's own, of a new node

    return Step(f"nodes {', '.join(numbers)}", sees, do)


def on_node(what: str, number: str, patch: Raw, sees: str) -> Step:
    async def do(scene: Scene) -> None:
        await scene.side.api.patch(Node, None, scene.node(number), patch)

    return Step(f"node {number} {what}", sees, do)


def tainted(number: str, effect: str, sees: str) -> Step:
    return on_node(f"tainted {effect}", number, {"spec": {"taints": [{"key": "x", "effect": effect}]}}, sees)


def untainted(number: str, sees: str) -> Step:
    return on_node("untainted", number, {"spec": {"taints": None}}, sees)


def relabelled(number: str, label: str | None, sees: str) -> Step:
    """None: the label that the workload's nodes have is taken away."""
    return on_node(f"relabelled {label}", number, {"metadata": {"labels": {MARK: label}}}, sees)


def daily(minutes: int) -> str:
    """A schedule whose last time was so many minutes ago, and whose next is far away."""
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    return f"{at.minute} {at.hour} * * *"


def due(minutes: int, sees: str, **spec: Any) -> Step:
    """A cron job has a time that is past and that it has not kept."""

    async def do(scene: Scene) -> None:
        long_ago = (datetime.now(UTC) - timedelta(hours=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
        found = scene.side.workload(scene.kind, scene.name) or {}
        if not (found.get("status") or {}).get("lastScheduleTime"):
            await scene.change({"status": {"lastScheduleTime": long_ago}}, "status")
        await scene.change({"spec": spec | {"schedule": daily(minutes)}})
        # a new schedule alone is no reason for Kubernetes to look at the clock
        await scene.change({"metadata": {"annotations": {"look": str(minutes)}}})

    return Step(f"due {minutes} minutes ago", sees, do)
