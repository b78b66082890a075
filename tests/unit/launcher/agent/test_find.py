"""Which guest somebody means who names a VMI."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from hostler.runtime.errors import Conflict
from launcher.agent.agent import Agent
from launcher.agent.pods import LauncherPod


def caretaker(guest: str | None = None, leaving: bool = False, owner: str = "uid") -> Any:
    refs = [{"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": "web", "uid": owner}]
    meta = {"name": "p", "uid": f"pod-{guest}-{leaving}", "ownerReferences": [refs[0] | {"controller": True}]}
    return SimpleNamespace(pod=LauncherPod.model_validate({"metadata": meta}), guest=guest, leaving=leaving)


def agent(*caretakers: Any) -> Agent:
    made = Agent(None, None, None, "node-1")  # type: ignore[arg-type]
    done: Any = asyncio.Future()
    made._tasks = {each.pod.metadata.uid: (each, done) for each in caretakers}
    return made


async def test_the_one_that_runs() -> None:
    assert agent(caretaker(), caretaker("it"), caretaker("another", owner="other")).find("uid") == "it"
    assert agent(caretaker(leaving=True), caretaker("it")).find("uid") == "it", "it has come already"
    assert agent(caretaker()).find("uid") is None
    assert agent().find("uid") is None


async def test_one_on_its_way_is_not_one_that_is_not_there() -> None:
    with pytest.raises(Conflict, match="is being migrated"):
        agent(caretaker(leaving=True)).find("uid")
