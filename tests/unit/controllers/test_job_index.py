"""Indexed jobs: what one visit does, by batch/v1's rules."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from controllers.job import Seen, plan
from controllers.job_script import user_data
from hostler.api.batch import FAILURES, INDEX, TRACKING, EnvVar
from hostler.runtime.plan import Create, Plan
from tests.unit.make import NOON, ago, guest, job, said, verbs

FIVE = {"completionMode": "Indexed", "completions": 5, "parallelism": 2}
EACH = FIVE | {"backoffLimitPerIndex": 1}
STARTED = {"startTime": ago(600)}


def visit(the_job: Any, *vmis: Any) -> Plan:
    return plan(the_job, Seen(vmis, {vmi.metadata.name for vmi in vmis}), NOON)


def signs(planned: Plan) -> list[str]:
    """Verbs, with the index of each guest made."""
    made = {each.body["metadata"]["name"]: each.body for each in planned.actions if isinstance(each, Create)}
    return [f"+{made[verb[1:]]['metadata']['labels'][INDEX]}" if verb[0] == "+" else verb for verb in verbs(planned)]


def status(planned: Plan, *fields: str) -> tuple[Any, ...]:
    assert planned.status is not None
    return tuple(planned.status.get(field) for field in fields)


@pytest.mark.parametrize(
    ("spec", "known", "vmis", "expected"),
    [
        pytest.param(FIVE, {}, [], ["+0", "+1"], id="the lowest first"),
        pytest.param(FIVE, {"completedIndexes": "0,2"}, [], ["+1", "+3"], id="not those that are done"),
        pytest.param(FIVE, {"completedIndexes": "0-3"}, [], ["+4"], id="no more than there are"),
        pytest.param(FIVE, {}, [guest("a", index=1)], ["+0"], id="not those that run"),
        pytest.param(
            FIVE, {}, [guest("a", index=0, dying=True), guest("b", index=1)], ["+2"],
            id="not one whose guest still runs, though it counts as failed",
        ),
        pytest.param(
            FIVE | {"podReplacementPolicy": "Failed"}, {}, [guest("a", index=0, dying=True), guest("b", index=1)], [],
            id="nor any other, if that is the policy",
        ),
        pytest.param(
            FIVE | {"podReplacementPolicy": "Failed"}, {}, [guest("a", index=0, gone=True), guest("b", index=1)],
            ["+0"], id="... until it is gone",
        ),
        pytest.param(
            FIVE, {}, [guest("a", index=0, age=9), guest("b", index=0, age=5), guest("c", index=1)],
            ["~b withdraw", "-b"], id="two of one index",
        ),
        pytest.param(
            FIVE | {"completions": 1}, {}, [guest("a", index=0), guest("b", index=1)], ["~b withdraw", "-b"],
            id="an index that the job has no more",
        ),
        pytest.param(
            FIVE | {"completions": 1}, {}, [guest("a", index=0), guest("b", "Failed", index=1, ended=5)],
            ["~b pass over"], id="... counts for nothing",
        ),
        pytest.param(FIVE, {}, [guest("a"), guest("b", index=1)], ["~a withdraw", "-a"], id="one of no index"),
        pytest.param(
            FIVE, {"completedIndexes": "0"}, [guest("a", "Succeeded", index=0, ended=5), guest("b", index=1)],
            ["~a count", "+2"], id="counted by its index",
        ),
        pytest.param(
            FIVE, {}, [guest("a", "Failed", index=0, ended=5), guest("b", index=1)], [], id="all wait after a failure",
        ),
        pytest.param(
            EACH, {}, [guest("a", "Failed", index=0, ended=5), guest("b", index=1)], [],
            id="an index that waits keeps its turn",
        ),
        pytest.param(
            EACH | {"parallelism": 3}, {}, [guest("a", "Failed", index=0, ended=5), guest("b", index=1)], ["+2"],
            id="... and its turn only",
        ),
        pytest.param(
            EACH, {}, [guest("a", "Failed", index=0, ended=11), guest("b", index=1)], ["+0"], id="then it goes on",
        ),
        pytest.param(
            EACH | {"backoffLimitPerIndex": 3}, {},
            [guest("a", "Failed", index=0, failures=1, ended=11), guest("b", index=1)], [], id="each waits for longer",
        ),
        pytest.param(
            EACH, {}, [guest("a", "Failed", index=0, failures=1, ended=5), guest("b", index=1)], ["+2"],
            id="one that has failed for good",
        ),
        pytest.param(EACH, {"failedIndexes": "0,1"}, [], ["+2", "+3"], id="... is not tried again"),
    ],
)  # fmt: skip
def test_guests(spec: Any, known: Any, vmis: list[Any], expected: list[str]) -> None:
    assert signs(visit(job(spec=spec, status=STARTED | known), *vmis)) == expected


def test_when_a_waiting_index_is_due() -> None:
    vmis = [guest("a", "Failed", index=0, ended=4), guest("b", "Failed", index=1, ended=3)]
    found = visit(job(spec=EACH, status=STARTED), *vmis)
    assert (signs(found), found.requeue_after) == ([], 6)


def test_a_success_counts_by_its_index() -> None:
    ended = guest("a", "Succeeded", index=3, ended=5)
    first = visit(job(spec=FIVE | {"parallelism": 0}, status={"completedIndexes": "0,1,4"} | STARTED), ended)
    assert verbs(first) == []
    assert status(first, "completedIndexes", "succeeded") == ("0,1,3,4", 4)
    second = visit(job(spec=FIVE | {"parallelism": 0}, status=first.status), ended)
    assert verbs(second) == ["~a count"]
    assert status(second, "completedIndexes", "succeeded") == ("0,1,3,4", 4)
    assert status(second, "uncountedTerminated") == ({"succeeded": [], "failed": []},)


def test_all_indexes_done_is_done() -> None:
    last = guest("a", "Succeeded", index=4, ended=5)
    first = visit(job(spec=FIVE, status={"completedIndexes": "0-3"} | STARTED), last)
    assert (said(first, "SuccessCriteriaMet"), said(first, "Complete")) == (("True", "CompletionsReached"), None)
    second = visit(job(spec=FIVE, status=first.status), last)
    assert said(second, "Complete") == ("True", "CompletionsReached")
    assert status(second, "completedIndexes", "succeeded", "failedIndexes") == ("0-4", 5, None)


def test_the_last_failure_of_an_index_stays_until_the_next_guest_knows_of_it() -> None:
    failed = guest("a", "Failed", index=0, ended=60)
    others = guest("b", index=1)
    first = visit(job(spec=EACH, status=STARTED), failed, others)
    (made,) = first.actions
    assert isinstance(made, Create)
    assert made.body["metadata"]["annotations"][FAILURES] == "1"
    assert status(first, "uncountedTerminated", "failed") == ({"succeeded": [], "failed": []}, 0)

    second = visit(job(spec=EACH, status=first.status), failed, others, guest("c", index=0, failures=1))
    assert verbs(second) == []
    assert status(second, "uncountedTerminated") == ({"succeeded": [], "failed": ["uid-a"]},)
    third = visit(job(spec=EACH, status=second.status), failed, others, guest("c", index=0, failures=1))
    assert verbs(third) == ["~a count"]
    assert status(third, "failed", "failedIndexes") == (1, "")


def test_how_often_an_index_failed_is_known_though_a_guest_was_withdrawn() -> None:
    before = guest("a", "Failed", index=0, failures=2, tracked=False, ended=10**4)
    withdrawn = guest("b", index=0, failures=3, tracked=False, gone=True)
    spec = EACH | {"backoffLimitPerIndex": 9, "parallelism": 1}
    (made,) = visit(job(spec=spec, status=STARTED), before, withdrawn).actions
    assert isinstance(made, Create)
    assert made.body["metadata"]["annotations"][FAILURES] == "3"


def failing(number: int, **more: Any) -> Any:
    return guest(f"g{number}", "Failed", index=number, failures=1, ended=60, **more)


TOO_MANY = {"type": "FailureTarget", "status": "True", "reason": "MaxFailedIndexesExceeded"}
DECIDED: Any = {"conditions": [TOO_MANY]}


@pytest.mark.parametrize(
    ("spec", "known", "vmis", "failed", "reason"),
    [
        pytest.param(EACH, {}, [failing(0), guest("b", index=1)], "0", None, id="one has failed for good"),
        pytest.param(
            EACH, {"completedIndexes": "0-3"}, [failing(4)], "4", "FailedIndexes", id="it was the last that ran"
        ),
        pytest.param(
            EACH | {"maxFailedIndexes": 1}, {"failedIndexes": "2"}, [failing(0), guest("b", index=1)], "0,2",
            "MaxFailedIndexesExceeded", id="too many of them",
        ),
        pytest.param(
            EACH | {"maxFailedIndexes": 2}, {"failedIndexes": "2"}, [failing(0)], "0,2", None, id="just not too many"
        ),
        pytest.param(
            EACH | {"backoffLimit": 2}, {"failed": 2}, [guest("a", "Failed", index=0, ended=60)], "",
            "BackoffLimitExceeded", id="the whole job has a limit, too",
        ),
        pytest.param(EACH, {"failed": 99}, [guest("a", "Failed", index=0, ended=60)], "", None, id="... if it is said"),
        pytest.param(
            EACH | {"maxFailedIndexes": 0}, {"failedIndexes": "2"} | DECIDED,
            [guest("b", index=1, failures=1, gone=True)], "2", "MaxFailedIndexesExceeded", id="told to go, not failed",
        ),
    ],
)  # fmt: skip
def test_indexes_that_fail(spec: Any, known: Any, vmis: list[Any], failed: str, reason: str | None) -> None:
    found = visit(job(spec=spec, status=STARTED | known), *vmis)
    target = said(found, "FailureTarget")
    assert (status(found, "failedIndexes"), target and target[1]) == ((failed,), reason)


MESSAGES = {
    "FailedIndexes": "Job has failed indexes",
    "MaxFailedIndexesExceeded": "Job has exceeded the specified maximal number of failed indexes",
}


@pytest.mark.parametrize("reason", MESSAGES)
def test_a_job_whose_indexes_failed_ends_like_any_other(reason: str) -> None:
    spec = EACH | ({"maxFailedIndexes": 0} if reason.startswith("Max") else {})
    vmis = [failing(0), *([guest("b", index=1)] if reason.startswith("Max") else [])]
    known = {"completedIndexes": "1-4"} if reason == "FailedIndexes" else {}
    first = visit(job(spec=spec, status=STARTED | known), *vmis)
    assert verbs(first) == (["-b"] if len(vmis) > 1 else [])
    ends = [vmis[0], *(guest("b", index=1, gone=True) for _ in vmis[1:])]
    last = visit(job(spec=spec, status=first.status), *ends)
    if reason.startswith("Max"):
        assert said(last, "Failed") is None, "one is not counted yet"
        last = visit(job(spec=spec, status=last.status), ends[1])
    assert said(last, "Failed") == ("True", reason)
    assert status(last, "failed") == (len(vmis),)
    assert [event.note for event in last.events] == [MESSAGES[reason]]


RULES = {
    "podFailurePolicy": {
        "rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
            {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [7]}},
            {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [8]}},
        ]
    }
}


@pytest.mark.parametrize(
    ("how", "failed", "actions", "named"),
    [
        pytest.param({"reason": "NodeFenced"}, "", ["+0"], [], id="ignored, and tried again"),
        pytest.param({"reason": "NodeFenced", "failures": 1}, "", [], [], id="however often it failed before"),
        pytest.param({"code": 7}, "0", ["+2"], ["uid-a"], id="an index that will not get better"),
        pytest.param({"code": 1}, "", ["+0"], [], id="counted"),
        pytest.param({"code": 8}, "", ["-b"], ["uid-a"], id="a job that will not get better"),
    ],
)
def test_what_a_failure_means(how: Any, failed: str, actions: list[str], named: list[str]) -> None:
    ended = guest("a", "Failed", index=0, ended=15, **how)
    found = visit(job(spec=EACH | RULES, status=STARTED), ended, guest("b", index=1))
    assert (signs(found), *status(found, "failedIndexes")) == (actions, failed)
    assert status(found, "uncountedTerminated")[0]["failed"] == named


def test_an_ignored_failure_is_told_to_the_next_guest_and_forgotten() -> None:
    ended = guest("a", "Failed", index=0, ended=60, reason="NodeFenced")
    first = visit(job(spec=EACH | RULES, status=STARTED), ended, guest("b", index=1))
    (made,) = first.actions
    assert isinstance(made, Create)
    told = made.body["metadata"]["annotations"]
    assert (told[FAILURES], told["batch.kubernetes.io/job-index-ignored-failure-count"]) == ("0", "1")
    following = [ended, guest("b", index=1), guest("c", index=0)]
    second = visit(job(spec=EACH | RULES, status=first.status), *following)
    assert verbs(second) == ["~a pass over"]
    assert status(second, "failed", "uncountedTerminated") == (0, {"succeeded": [], "failed": []})


def test_success_before_all_are_done() -> None:
    spec = FIVE | {"successPolicy": {"rules": [{"succeededIndexes": "0,2", "succeededCount": 1}]}}
    leader = guest("a", "Succeeded", index=0, ended=5)
    first = visit(job(spec=spec, status=STARTED), leader, guest("b", index=1))
    assert verbs(first) == ["~b withdraw", "-b"]
    assert said(first, "SuccessCriteriaMet") == ("True", "SuccessPolicy")
    going = guest("b", index=1, tracked=False, dying=True)
    second = visit(job(spec=spec, status=first.status), leader, going)
    assert (verbs(second), said(second, "Complete")) == (["~a count"], None)
    third = visit(job(spec=spec, status=second.status), guest("a", "Succeeded", index=0, ended=5, tracked=False))
    assert said(third, "Complete") == ("True", "SuccessPolicy")
    assert status(third, "succeeded", "failed", "completedIndexes") == (1, 0, "0")
    (met,) = [each for each in (third.status or {})["conditions"] if each["type"] == "Complete"]
    assert met["message"] == "Matched rules at index 0"


def test_an_elastic_job() -> None:
    """Made smaller, it forgets the indexes that it has no more; made larger again, they are run again."""
    known = STARTED | {"completedIndexes": "0,3", "succeeded": 2}
    running = [guest("a", index=1), guest("b", index=4)]
    smaller = visit(job(spec=FIVE | {"completions": 3, "parallelism": 3}, status=known), *running)
    assert verbs(smaller) == ["~b withdraw", "-b"]
    assert status(smaller, "completedIndexes", "succeeded") == ("0", 1)
    larger = visit(job(spec=FIVE | {"parallelism": 5}, status=smaller.status), running[0])
    assert signs(larger) == ["+2", "+3", "+4"]


def test_what_a_guest_of_an_index_is_made_of() -> None:
    first, second = visit(job(spec=EACH)).actions
    assert isinstance(second, Create)
    assert isinstance(first, Create)
    meta, spec = second.body["metadata"], second.body["spec"]
    assert meta["name"].startswith("sum-1-")
    assert len(meta["name"]) == len("sum-1-") + 5
    assert meta["labels"][INDEX] == meta["annotations"][INDEX] == "1"
    assert meta["annotations"][FAILURES] == "0"
    assert TRACKING in meta["finalizers"]
    assert spec["hostname"] == "sum-1"
    assert spec["domain"]["firmware"] == {"serial": "sum-1"}
    assert spec["domain"]["chassis"] == {"asset": "0"}
    assert first.body["metadata"]["name"] != meta["name"]


def test_a_create_without_an_answer_is_found_again_and_the_next_try_has_another_name() -> None:
    def name(*vmis: Any) -> str:
        made = visit(job(spec=EACH | {"parallelism": 1}, status=STARTED), *vmis).actions[0]
        assert isinstance(made, Create)
        return str(made.body["metadata"]["name"])

    first = name()
    assert name() == first
    assert name(guest(first, "Failed", index=0, ended=60)) != first


def test_a_template_says_more_of_its_machine() -> None:
    domain = {"devices": {}, "memory": {"guest": "128Mi"}, "firmware": {"serial": "mine"}, "chassis": {"sku": "x"}}
    template = {"spec": {"domain": domain, "hostname": "other"}}
    made = visit(job(spec=EACH | {"template": template})).actions[0]
    assert isinstance(made, Create)
    spec = made.body["spec"]
    assert (spec["hostname"], spec["domain"]["firmware"]["serial"]) == ("sum-0", "mine")
    assert spec["domain"]["chassis"] == {"asset": "0", "sku": "x"}


@pytest.mark.parametrize(
    ("serial", "host", "asset", "expected"),
    [
        pytest.param("sum-4", "localhost", "2", "4 2", id="by SMBIOS"),
        pytest.param("", "sum-12", "", "12 0", id="by the host name"),
        pytest.param("Default string", "sum-12", "No Asset Tag", "12 0", id="SMBIOS says something else"),
        pytest.param("other-3", "nothing", "1", " 1", id="nobody knows"),
    ],
)
def test_a_script_knows_its_index(tmp_path: Path, serial: str, host: str, asset: str, expected: str) -> None:
    """What a guest would run, with files in place of its machine's."""
    (tmp_path / "product_serial").write_text(serial)
    (tmp_path / "chassis_asset_tag").write_text(asset)
    for name, body in {"hostname": f"echo {host}", "poweroff": "", "modprobe": "", "systemctl": ""}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    said = tmp_path / "said"
    script = f'echo "$JOB_COMPLETION_INDEX $JOB_INDEX_FAILURE_COUNT $folder" >{said}'
    ours = [EnvVar(name=name, value="mine") for name in ("PATH", "code", "console", "folder", "port")]
    program = user_data(script, ours, "sum").replace("/sys/class/dmi/id", str(tmp_path))
    console = tmp_path / "console"
    program = program.replace("/dev/ttyS0", str(console)).replace("/dev/console", str(console))
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    subprocess.run(["/bin/sh"], input=program, env=path, text=True, timeout=20, check=True)
    assert said.read_text() == f"{expected} mine\n", "variables of any name are the script's alone"


def test_kueue() -> None:
    """The queue's label of the job is on its guests; the template's own comes first."""
    queue = "kueue.x-k8s.io/queue-name"
    made = visit(job(spec=FIVE, labels={queue: "team-a", "app": "x"})).actions[0]
    assert isinstance(made, Create)
    assert made.body["metadata"]["labels"][queue] == "team-a"
    assert "app" not in made.body["metadata"]["labels"]
    template = {"metadata": {"labels": {queue: "team-b"}}, "spec": {"domain": {"devices": {}}}}
    made = visit(job(spec=FIVE | {"template": template}, labels={queue: "team-a"})).actions[0]
    assert isinstance(made, Create)
    assert made.body["metadata"]["labels"][queue] == "team-b"
