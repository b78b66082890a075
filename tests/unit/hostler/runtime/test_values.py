"""The small pure things: conditions, selectors, names, limits, errors, log lines."""

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler.api.meta import LabelSelector
from hostler.runtime import conditions, errors, names, selectors
from hostler.runtime.conditions import Condition
from hostler.runtime.logs import Format, Formatter
from hostler.runtime.pace import TokenBucket
from tests.unit.make import NOON, ago, vmi

READY = {"type": "Ready", "status": "True", "lastTransitionTime": ago(30)}


def updated(existing: list[Any], **wanted: Condition | None) -> list[Any]:
    status = {"conditions": existing}
    models = type(vmi().status).model_validate(status).conditions
    return conditions.update(models, wanted, NOON)


@pytest.mark.parametrize(
    ("existing", "wanted", "expected"),
    [
        pytest.param([], Condition(True), [READY | {"lastTransitionTime": ago(0)}], id="new"),
        pytest.param([READY], Condition(True), [READY], id="the same keeps its time"),
        pytest.param([READY], Condition(True, "Why", "m"), [READY | {"reason": "Why", "message": "m"}], id="reason"),
        pytest.param(
            [READY], Condition(False), [READY | {"status": "False", "lastTransitionTime": ago(0)}], id="a turn moves it"
        ),
        pytest.param([READY], None, [], id="removed"),
        pytest.param([], None, [], id="nothing to remove"),
        pytest.param([READY | {"lastProbeTime": None}], Condition(True), [READY | {"lastProbeTime": None}], id="probe"),
    ],
)
def test_conditions(existing: list[Any], wanted: Condition | None, expected: list[Any]) -> None:
    assert updated(existing, Ready=wanted) == expected


def test_others_conditions_are_left_as_they_are() -> None:
    other = {"type": "LiveMigratable", "status": "False", "reason": "No", "lastProbeTime": None}
    assert updated([other, READY], Ready=None) == [other]


LABELS = {"app": "web", "tier": "front"}


@pytest.mark.parametrize(
    ("selector", "chosen", "text"),
    [
        pytest.param({}, False, "", id="empty selects none"),
        pytest.param({"matchLabels": {"tier": "front", "app": "web"}}, True, "app=web,tier=front", id="labels"),
        pytest.param({"matchLabels": {"app": "db"}}, False, "app=db", id="another value"),
        pytest.param({"matchLabels": {"zone": "a"}}, False, "zone=a", id="no such label"),
        pytest.param(
            {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]},
            True,
            "app in (db,web)",
            id="in",
        ),
        pytest.param(
            {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]},
            False,
            "app notin (web)",
            id="not in",
        ),
        pytest.param({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True, "app", id="exists"),
        pytest.param({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False, "!app", id="not there"),
        pytest.param({"matchExpressions": [{"key": "app", "operator": "Like"}]}, False, "app", id="unknown operator"),
        pytest.param(
            {"matchLabels": {"tier": "front"}, "matchExpressions": [{"key": "app", "operator": "Exists"}]},
            True,
            "app,tier=front",
            id="both, sorted by key",
        ),
    ],
)
def test_selectors(selector: Any, chosen: bool, text: str) -> None:
    parsed = LabelSelector.model_validate(selector)
    assert selectors.matches(parsed, LABELS) is chosen
    assert selectors.text(parsed) == text


@given(st.text(), st.text())
def test_suffixes_differ_where_texts_do(one: str, two: str) -> None:
    assert set(names.suffix(one)) <= set(names.ALPHABET)
    assert len(names.suffix(one)) == 5
    assert (names.suffix(one, 20) == names.suffix(two, 20)) is (one == two)


@given(st.text("abc-.", min_size=1, max_size=250))
def test_labels_fit(name: str) -> None:
    assert len(names.label(name)) <= 63
    assert len(name) > 63 or names.label(name) == name


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    clock = [0.0]
    bucket = TokenBucket(2, 3, lambda: clock[0])
    assert [bucket.take() for _ in range(5)] == [True, True, True, False, False]
    clock[0] = 1.0
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    clock[0] = 100.0
    assert sum(bucket.take() for _ in range(10)) == 3


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (404, "NotFound", errors.NotFound),
        (409, "Conflict", errors.Conflict),
        (409, "AlreadyExists", errors.AlreadyExists),
        (403, "Forbidden", errors.Forbidden),
        (422, "Invalid", errors.Invalid),
        (400, "BadRequest", errors.Invalid),
        (410, "Expired", errors.Gone),
        (429, "TooManyRequests", errors.TooManyRequests),
        (500, "InternalError", errors.Unavailable),
        (504, "Timeout", errors.Unavailable),
        (401, "Unauthorized", errors.ApiError),
    ],
)
def test_errors_by_status(status: int, reason: str, kind: type[errors.ApiError]) -> None:
    error = errors.api_error(status, {"reason": reason, "message": "m"}, 3.0)
    assert type(error) is kind
    assert (str(error), error.status, error.reason, error.retry_after) == ("m", status, reason, 3.0)


def test_an_answer_without_status_is_still_an_error() -> None:
    assert "502" in str(errors.api_error(502, {}))


def line(style: Format, **extra: Any) -> str:
    record = logging.LogRecord("hostler.x", logging.INFO, "", 0, "created %s", ("a pod",), None)
    record.__dict__.update(extra)
    return Formatter(style).format(record)


def test_a_line_for_people() -> None:
    text = line("text", kind="Pod", object="a/b", error="it is\n'so'", empty="")
    assert text.endswith(' I hostler.x: created a pod kind=Pod object=a/b error="it is\\n\'so\'" empty=""')


def test_a_line_for_machines() -> None:
    told = json.loads(line("json", kind="Pod", number=3))
    assert (told["message"], told["level"], told["kind"], told["number"]) == ("created a pod", "info", "Pod", 3)
