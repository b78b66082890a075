"""The answers to evictions, by strategy."""

from typing import Any

import pytest

from hostler.runtime.protocol import Raw
from migration.eviction import answer, moves_away, protected
from tests.unit import make

YES, NO = True, (False, "DisksNotLiveMigratable")


def vmi(strategy: str | None, migratable: Any = YES, **status: Any) -> Any:
    found = make.vmi(phase="Running", spec={"evictionStrategy": strategy} if strategy else {})
    raw: Raw = found.model_dump(by_alias=True, exclude_unset=True)
    raw["status"] |= {"nodeName": "node-1", "conditions": make.conditions(LiveMigratable=migratable)} | status
    return type(found).read(raw)


@pytest.mark.parametrize(
    ("seen", "say", "message"),
    [
        pytest.param(None, "allow", "", id="no VMI"),
        pytest.param(vmi(None), "allow", "", id="no strategy"),
        pytest.param(vmi("None"), "allow", "", id="None"),
        pytest.param(vmi("LiveMigrate"), "mark", 'Eviction triggered evacuation of VMI "shop/web"', id="LiveMigrate"),
        pytest.param(
            vmi("LiveMigrate", NO), "deny",
            "VMI web is configured with an eviction strategy but is not live-migratable", id="cannot be moved",
        ),
        pytest.param(vmi("LiveMigrateIfPossible"), "mark", "Eviction triggered", id="LiveMigrateIfPossible: it is"),
        pytest.param(vmi("LiveMigrateIfPossible", NO), "allow", "", id="LiveMigrateIfPossible: it is not"),
        pytest.param(vmi("External", NO), "mark", "Eviction triggered", id="External: somebody else moves it"),
        pytest.param(
            vmi("LiveMigrate", evacuationNodeName="node-1"), "deny", "Evacuation in progress: ", id="asked before"
        ),
        pytest.param(vmi("LiveMigrate", nodeName="node-2"), "allow", "", id="the guest runs elsewhere"),
        pytest.param(vmi("LiveMigrate", phase="Succeeded"), "allow", "", id="the guest has ended"),
    ],
)  # fmt: skip
def test_answers(seen: Any, say: str, message: str) -> None:
    said = answer(make.pod(), "node-1", seen)
    assert said.say == say
    assert said.message.startswith(message)


def test_a_pod_that_only_says_so_is_not_the_vmis() -> None:
    assert answer(make.pod(of="other"), "node-1", vmi("LiveMigrate")).say == "allow"


@pytest.mark.parametrize(
    ("seen", "moved", "guarded"),
    [
        (vmi("LiveMigrate"), True, True),
        (vmi("LiveMigrate", NO), False, True),
        (vmi("LiveMigrateIfPossible", NO), False, False),
        (vmi("External"), False, True),
        (vmi("None"), False, False),
    ],
)
def test_who_moves_it_and_who_guards_it(seen: Any, moved: bool, guarded: bool) -> None:
    assert (moves_away(seen), protected(seen)) == (moved, guarded)
