"""The last word of a worker's pod."""

import json

import pytest

from hostler.api.objects import Pod
from tests.unit import make
from v2v import verdict
from v2v.verdict import Verdict


def pod(phase, message=None, restarts=0, **more):
    state = {"terminated": {"exitCode": 0, "reason": "Completed", "message": message}} if message is not None else {}
    container = {"name": "worker", "restartCount": restarts, "state": state, **more}
    return Pod.model_validate(
        {"metadata": make.meta("p"), "status": {"phase": phase, "containerStatuses": [container]}}
    )


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(pod("Running"), None, id="at work"),
        pytest.param(pod("Running", restarts=3), None, id="again"),
        pytest.param(pod("Succeeded", verdict.text(Verdict(True, "shut down"))), Verdict(True, "shut down"), id="done"),
        pytest.param(
            pod("Succeeded", verdict.text(Verdict(False, "no", "LoginRefused"))),
            Verdict(False, "no", "LoginRefused"),
            id="refused",
        ),
        pytest.param(
            pod("Succeeded", "garbage"), Verdict(False, "the worker ended without a word", "WorkerFailed"), id="garbage"
        ),
        pytest.param(
            pod("Succeeded", json.dumps({"ok": False, "reason": "<b>", "message": 5})),
            Verdict(False, "5", "WorkerFailed"),
            id="a strange reason",
        ),
    ],
)
def test_of(seen, expected):
    assert verdict.of(seen) == expected


def test_a_pod_that_ends_again_and_again_is_given_up():
    last = {"lastState": {"terminated": {"message": verdict.text(Verdict(False, "vc does not answer", "Retry"))}}}
    assert verdict.of(pod("Running", restarts=6, **last)) == Verdict(False, "vc does not answer", "WorkerFailed")
    assert verdict.trouble(pod("Running", restarts=2, **last)) == "vc does not answer"
