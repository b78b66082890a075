"""Who is made to move, how often it is tried, and the budget that guards the pod meanwhile."""

from typing import Any

import pytest

from hostler.api import launcher
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigration as Migration
from hostler.runtime.plan import Create
from migration import disruption, evacuation
from migration.evacuation import FIRST, Seen, plan
from migration.kinds import PodDisruptionBudget
from tests.unit import make
from tests.unit.make import NOON, verbs
from tests.unit.migration.test_eviction import NO, vmi

MARKED = vmi("LiveMigrate", evacuationNodeName="node-1")


def move(name: str, phase: str, ended: float = 0, node: str = "node-1") -> Any:
    meta = make.meta(name, annotations={launcher.EVACUATION: node})
    status = {"phase": phase, "migrationState": {"endTimestamp": make.ago(ended)}}
    return Migration.read({"metadata": meta, "spec": {"vmiName": "web"}, "status": status})


@pytest.mark.parametrize(
    ("seen", "moves", "draining", "goes"),
    [
        pytest.param(MARKED, (), False, True, id="its eviction was asked for"),
        pytest.param(vmi("LiveMigrate"), (), False, False, id="nobody asked"),
        pytest.param(vmi("LiveMigrate"), (), True, True, id="its node has the drain taint"),
        pytest.param(vmi("LiveMigrate", evacuationNodeName="node-2"), (), False, False, id="it has left that node"),
        pytest.param(vmi("LiveMigrate", NO, evacuationNodeName="node-1"), (), False, False, id="it cannot be moved"),
        pytest.param(vmi("External", evacuationNodeName="node-1"), (), False, False, id="somebody else moves it"),
        pytest.param(vmi("None", evacuationNodeName="node-1"), (), True, False, id="it is not to be moved"),
        pytest.param(MARKED, (move("a", "Running"),), False, False, id="it moves already"),
        pytest.param(MARKED, (move("a", "Failed", 1),), False, False, id="it has just failed"),
        pytest.param(MARKED, (move("a", "Failed", FIRST + 1),), False, True, id="it failed, and had a pause"),
        pytest.param(
            MARKED, (move("b", "Failed", FIRST + 1), move("a", "Failed", 300)), False, False, id="twice: a longer one"
        ),
        pytest.param(
            MARKED, (move("b", "Failed", FIRST + 1), move("a", "Failed", 300, "node-2")), False, True,
            id="the other failure was another node's",
        ),
    ],
)  # fmt: skip
def test_evacuation(seen: Any, moves: tuple[Any, ...], draining: bool, goes: bool) -> None:
    made = plan(seen, Seen(moves, draining), NOON)
    assert [type(each) for each in made.actions] == ([Create] if goes else [])


def test_the_same_try_has_the_same_name() -> None:
    def name(*moves: Any) -> str:
        (create,) = plan(MARKED, Seen(moves), NOON).actions
        assert isinstance(create, Create)
        assert create.body["metadata"]["annotations"] == {launcher.EVACUATION: "node-1"}
        return str(create.body["metadata"]["name"])

    assert name() == name()
    assert name() != name(move("a", "Failed", FIRST + 1))


def test_a_failure_is_tried_again_later() -> None:
    assert plan(MARKED, Seen((move("a", "Failed", 5),)), NOON).requeue_after == pytest.approx(15)
    assert evacuation.pause(20) == evacuation.LONGEST


def budget(stay: int) -> Any:
    meta = make.meta("guard", ownerReferences=make.owner("web", "VirtualMachineInstance"))
    return PodDisruptionBudget.read({"metadata": meta, "spec": {"minAvailable": stay}})


@pytest.mark.parametrize(
    ("seen", "budgets", "moving", "actions"),
    [
        pytest.param(vmi("LiveMigrate"), (), False, ["+kubevirt-disruption-budget-"], id="one is made"),
        pytest.param(vmi("LiveMigrate"), (budget(1),), False, [], id="it is there"),
        pytest.param(vmi("LiveMigrate"), (budget(1),), True, ["~guard protect"], id="two pods while it moves"),
        pytest.param(vmi("LiveMigrate"), (budget(2),), False, ["~guard protect"], id="one again"),
        pytest.param(vmi("None"), (), False, [], id="none is wanted"),
        pytest.param(vmi("None"), (budget(1),), False, ["-guard"], id="none is wanted any more"),
        pytest.param(vmi("LiveMigrateIfPossible", NO), (), False, [], id="it cannot be moved, and may go"),
        pytest.param(vmi("LiveMigrate", phase="Failed"), (budget(1),), False, ["-guard"], id="the guest has ended"),
    ],
)
def test_disruption(seen: Any, budgets: tuple[Any, ...], moving: bool, actions: list[str]) -> None:
    made = verbs(disruption.plan(seen, disruption.Seen(budgets, moving), NOON))
    assert len(made) == len(actions)
    assert all(found.startswith(wanted) for found, wanted in zip(made, actions, strict=True))
