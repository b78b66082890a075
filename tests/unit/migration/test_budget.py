"""Who may move, and who waits."""

import pytest

from migration.budget import Limits, Slot, why_hold, why_wait

TWO = Limits(cluster=3, outbound=2, inbound=1)


def slot(uid: str, source: str = "a", target: str = "", **more: object) -> Slot:
    return Slot(uid, source, target, **{"running": bool(target), "born": uid, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("slots", "why"),
    [
        pytest.param([slot("5")], "", id="alone"),
        pytest.param([slot("1", target="b"), slot("5")], "", id="one leaves the node already"),
        pytest.param([slot("1", target="b"), slot("2", target="b"), slot("5")], "leaving node a", id="two do"),
        pytest.param([slot("1", "b", "c"), slot("2", "b", "c"), slot("5")], "", id="two leave another node"),
        pytest.param(
            [slot("1", "b", "c"), slot("2", "b", "c"), slot("3", "c", "b"), slot("5")], "for the cluster",
            id="three move",
        ),
        pytest.param([slot("1"), slot("2"), slot("5")], "leaving node a", id="two older wait, and go first"),
        pytest.param([slot("6"), slot("7"), slot("5")], "", id="two younger wait"),
        pytest.param([slot("1", able=False), slot("2", able=False), slot("5")], "", id="two older could not go"),
        pytest.param([slot("1"), slot("2"), slot("5", able=False)], "leaving node a", id="it could not, and waits"),
        pytest.param(
            [slot("6", priority="system-critical"), slot("7", priority="system-critical"), slot("5")],
            "leaving node a", id="two younger are more urgent",
        ),
        pytest.param(
            [slot("1", priority="system-maintenance"), slot("2", priority="system-maintenance"), slot("5")],
            "", id="two older are less urgent",
        ),
        pytest.param(
            [slot("1", "b"), slot("2", "b"), slot("3", "b"), slot("5")], "", id="one of the older cannot go anyway"
        ),
    ],
)  # fmt: skip
def test_waiting(slots: list[Slot], why: str) -> None:
    found = why_wait("5", slots, TWO)
    assert why in found
    assert bool(why) == bool(found)


@pytest.mark.parametrize(
    ("slots", "held"),
    [
        pytest.param([slot("5", target="b")], False, id="nobody else"),
        pytest.param([slot("5", target="b"), slot("1", "c", "b", copying=True)], True, id="one comes already"),
        pytest.param([slot("5", target="b"), slot("1", "c", "b")], True, id="an older one is ready, too"),
        pytest.param([slot("5", target="b"), slot("6", "c", "b")], False, id="a younger one is"),
        pytest.param([slot("5", target="b"), slot("1", "b", "c", copying=True)], False, id="one goes elsewhere"),
    ],
)
def test_holding(slots: list[Slot], held: bool) -> None:
    assert bool(why_hold("5", slots, TWO)) == held
