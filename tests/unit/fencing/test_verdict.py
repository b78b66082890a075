"""Which nodes are lost, and when we had better not believe it."""

import pytest

from fencing.verdict import Known, Policy, Reach, Sight, judge, switching
from hostler.api.fencing import FenceOperation

POLICY = Policy(silent=10, kubelet_silent=25, most_at_once=1)
ALIVE = Sight("b", 1.0)
MORE = (ALIVE, Sight("c", 0.5), Sight("d", 2.0))


def states(*sights, busy=(), switching=(), off=(), policy=POLICY):
    known = Known(frozenset(busy), frozenset(switching), frozenset(off))
    return [str(verdict.state) for verdict in judge(sights, known, policy)]


@pytest.mark.parametrize(
    ("sight", "state"),
    [
        pytest.param(Sight("a", 9.9, 60, False, Reach.SILENT), "Healthy", id="our lease decides first"),
        pytest.param(Sight("a", 10), "Suspect", id="the agent alone is not the node"),
        pytest.param(Sight("a", 600, 24, True, Reach.ANSWERS), "Suspect", id="its kubelet lives"),
        pytest.param(Sight("a", 600, 24, True, Reach.UNKNOWN), "Suspect", id="not asked is not silent"),
        pytest.param(Sight("a", 10, 25, True, Reach.ANSWERS), "Lost", id="cut off: both leases are silent"),
        pytest.param(Sight("a", 10, 0, False), "Lost", id="Kubernetes gave it up"),
        pytest.param(Sight("a", 10, 0, True, Reach.SILENT), "Lost", id="dead"),
        pytest.param(Sight("a", 10, 0, True, Reach.DEAF), "Lost", id="frozen"),
        pytest.param(Sight("a", 99, 99, False, Reach.SILENT, maintenance=True), "Held", id="maintenance"),
    ],
)
def test_one_of_four(sight, state):
    assert states(sight, *MORE) == [state, "Healthy", "Healthy", "Healthy"]


DEAD = [Sight(name, 30, 40, False, Reach.SILENT) for name in "wxyz"]


@pytest.mark.parametrize(
    ("sights", "expected"),
    [
        pytest.param(DEAD[:1], ["Held"], id="one of one: who knows"),
        pytest.param([DEAD[0], ALIVE], ["Lost", "Healthy"], id="one of two"),
        pytest.param([*DEAD[:2], ALIVE], ["Held", "Held", "Healthy"], id="two of three"),
        pytest.param([*DEAD[:2], *MORE], ["Lost", "Held", "Healthy", "Healthy", "Healthy"], id="one at a time"),
        pytest.param([*DEAD[:3], *MORE], ["Lost", "Held", "Held", *["Healthy"] * 3], id="exactly half"),
        pytest.param([*DEAD, *MORE], ["Held"] * 4 + ["Healthy"] * 3, id="more than half"),
        pytest.param(
            [Sight("v", 11), Sight("u", 11), DEAD[0], ALIVE, MORE[1]],
            ["Suspect", "Suspect", "Held", "Healthy", "Healthy"],
            id="suspects are silent, too",
        ),
    ],
)
def test_guards(sights, expected):
    assert states(*sights) == expected


def test_a_node_that_is_being_fenced_takes_the_place():
    busy = {"busy": {"x"}, "switching": {"x"}}
    assert states(*DEAD[:2], *MORE, **busy) == ["Held", "Lost", "Healthy", "Healthy", "Healthy"]
    two = Policy(10, 25, most_at_once=2)
    assert states(*DEAD[:2], *MORE, **busy, policy=two)[:2] == ["Lost", "Lost"]


def test_one_that_waits_for_a_person_leaves_its_place():
    assert states(*DEAD[:2], *MORE, busy={"x"})[:2] == ["Lost", "Lost"]


def test_what_is_known_to_be_off_counts_nowhere():
    off = {"x"}
    assert states(*DEAD[:2], *MORE, off=off) == ["Lost", "Off", *["Healthy"] * 3]
    assert states(*DEAD[:2], ALIVE, off=off) == ["Lost", "Off", "Healthy"], "one of two"
    assert states(Sight("x", 1), *MORE, off=off)[0] == "Healthy", "it is back"


@pytest.mark.parametrize(
    ("phase", "mode", "holds"),
    [
        ("Confirming", "Enforce", True),
        ("Recovering", "Enforce", True),
        ("NeedsAck", "Enforce", False),
        ("Recovered", "Enforce", False),
        ("Observed", "Observe", False),
    ],
)
def test_who_holds_a_place(phase, mode, holds):
    spec = {"nodeName": "n", "bootID": "old", "mode": mode, "reason": "silent", "requestedBy": "test"}
    op = FenceOperation.model_validate({"metadata": {"name": "n-1"}, "spec": spec, "status": {"phase": phase}})
    assert switching([op]) == ({"n"} if holds else set())


def test_says_why():
    (verdict, *_) = judge([DEAD[0], *MORE], Known(), POLICY)
    assert verdict.why == "its lease has not been renewed for 30 s, and Kubernetes says that it is not ready"
