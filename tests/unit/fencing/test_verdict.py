"""Which nodes are lost, and when we had better not believe it."""

import pytest

from fencing.verdict import Policy, Reach, Sight, judge

POLICY = Policy(silent=10, kubelet_silent=25, most_at_once=1)
ALIVE = Sight("b", 1.0)
MORE = (ALIVE, Sight("c", 0.5), Sight("d", 2.0))


def states(*sights, busy=(), policy=POLICY):
    return [str(verdict.state) for verdict in judge(sights, frozenset(busy), policy)]


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
    assert states(*DEAD[:2], *MORE, busy={"x"}) == ["Held", "Lost", "Healthy", "Healthy", "Healthy"]
    two = Policy(10, 25, most_at_once=2)
    assert states(*DEAD[:2], *MORE, busy={"x"}, policy=two)[:2] == ["Lost", "Lost"]


def test_says_why():
    (verdict, *_) = judge([DEAD[0], *MORE], frozenset(), POLICY)
    assert verdict.why == "its lease has not been renewed for 30 s, and Kubernetes says that it is not ready"
