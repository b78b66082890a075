"""podFailurePolicy and successPolicy, by batch/v1's rules."""

from typing import Any

import pytest

from controllers import job_policy
from tests.unit.make import NS, conditions, guest, job

IN: dict[str, Any] = {"operator": "In", "values": [3, 42]}
NOT_IN: dict[str, Any] = {"operator": "NotIn", "values": [0, 3]}


def policy(*rules: tuple[str, Any]) -> Any:
    """(action, exit codes or condition types)"""
    written = [
        {"action": action} | ({"onExitCodes": on} if isinstance(on, dict) else {"onPodConditions": [{"type": on}]})
        for action, on in rules
    ]
    return job(spec={"podFailurePolicy": {"rules": written}})


@pytest.mark.parametrize(
    ("rules", "failed", "action"),
    [
        pytest.param([("FailJob", IN)], {"code": 42}, "FailJob", id="a code"),
        pytest.param([("FailJob", IN)], {"code": 4}, None, id="another code"),
        pytest.param([("FailJob", IN)], {"reason": "Panicked"}, None, id="no code"),
        pytest.param([("FailJob", NOT_IN)], {"code": 42}, "FailJob", id="not among them"),
        pytest.param([("FailJob", NOT_IN)], {"code": 3}, None, id="among them"),
        pytest.param([("FailJob", NOT_IN)], {}, None, id="without a code, not even that"),
        pytest.param([("FailJob", NOT_IN)], {"code": 0, "reason": "Panicked"}, None, id="0 is no failure's code"),
        pytest.param(
            [("FailJob", IN | {"containerName": "compute"})], {"code": 3}, "FailJob", id="the container has a name"
        ),
        pytest.param([("Count", IN), ("FailJob", IN)], {"code": 3}, "Count", id="the first rule counts"),
        pytest.param([("FailJob", IN), ("Ignore", "Panicked")], {"reason": "Panicked"}, "Ignore", id="by its reason"),
        pytest.param([("Ignore", "DisruptionTarget")], {"reason": "NodeFenced"}, "Ignore", id="its node is gone"),
        pytest.param([("Ignore", "DisruptionTarget")], {"reason": "Evicted"}, "Ignore", id="evicted by the kubelet"),
        pytest.param([("Ignore", "DisruptionTarget")], {"reason": "Crashed"}, None, id="its own fault"),
        pytest.param(
            [("Ignore", "DisruptionTarget")],
            {"status_conditions": conditions(DisruptionTarget=(True, "EvictionByEvictionAPI"))}, "Ignore",
            id="evicted by the API",
        ),
        pytest.param(
            [("Ignore", "Paused")], {"status_conditions": conditions(Paused=False)}, None, id="the status counts, too"
        ),
    ],
)  # fmt: skip
def test_the_rule_that_fits(rules: Any, failed: Any, action: str | None) -> None:
    assert job_policy.action(policy(*rules), guest("a", "Failed", ended=5, **failed)) == action


def test_what_is_said() -> None:
    both = policy(("Count", "Panicked"), ("FailJob", IN), ("FailJob", "NodeFenced"))
    said = job_policy.job_failure(both, [guest("a"), guest("b", "Failed", ended=5, code=42)])
    where = f"virtual machine instance {NS}/b"
    assert said == f"Container compute for {where} failed with exit code 42 matching FailJob rule at index 1"
    said = job_policy.job_failure(both, [guest("b", "Failed", ended=5, reason="NodeFenced")])
    assert said == f"V{where[1:]} has condition NodeFenced matching FailJob rule at index 2"
    assert job_policy.job_failure(both, [guest("b", "Failed", ended=5, reason="Panicked")]) is None
    assert job_policy.job_failure(job(), [guest("b", "Failed", ended=5, code=42)]) is None


@pytest.mark.parametrize(
    ("rules", "completed", "first"),
    [
        pytest.param([{"succeededCount": 2}], {0}, None, id="too few"),
        pytest.param([{"succeededCount": 2}], {0, 5}, 0, id="any two"),
        pytest.param([{"succeededIndexes": "0,2-3"}], {0, 2}, None, id="not all of these"),
        pytest.param([{"succeededIndexes": "0,2-3"}], {0, 1, 2, 3}, 0, id="all of these"),
        pytest.param([{"succeededIndexes": "0,2-3", "succeededCount": 2}], {1, 2}, None, id="one of these"),
        pytest.param([{"succeededIndexes": "0,2-3", "succeededCount": 2}], {0, 3}, 0, id="two of these"),
        pytest.param([{"succeededIndexes": "7"}, {"succeededCount": 1}], {3}, 1, id="the second rule"),
        pytest.param([{"succeededIndexes": ""}], {0}, None, id="none of them is not all of them"),
        pytest.param([{"succeededCount": 0}], set(), None, id="before there is any"),
        pytest.param([{"succeededIndexes": "0,90"}], {0}, 0, id="of those that it has"),
    ],
)
def test_success(rules: Any, completed: set[int], first: int | None) -> None:
    many = job(spec={"completionMode": "Indexed", "completions": 9, "successPolicy": {"rules": rules}})
    wanted = None if first is None else f"Matched rules at index {first}"
    assert job_policy.success(many, completed) == wanted
