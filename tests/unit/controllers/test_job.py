"""VirtualMachineJob: what one visit does, by batch/v1's rules."""

from typing import Any

import pytest

from controllers.job import Seen, failed, plan
from controllers.job_status import short
from hostler.api import launcher
from hostler.api.batch import TRACKING
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.objects import Secret
from hostler.runtime.errors import Forbidden
from hostler.runtime.plan import Create, Failure, Plan
from tests.unit.make import NOON, ago, conditions, guest, job, said, verbs

MANY = {"completions": 5, "parallelism": 2}
DONE = {"succeeded": 1, "failed": 0, "startTime": ago(60)}


def visit(the_job: Any, *vmis: Any) -> Plan:
    return plan(the_job, Seen(vmis, {vmi.metadata.name for vmi in vmis}), NOON)


def signs(planned: Plan) -> list[str]:
    """Verbs, with + for each guest made."""
    return ["+" if verb.startswith("+") else verb for verb in verbs(planned)]


@pytest.mark.parametrize(
    ("spec", "vmis", "expected"),
    [
        pytest.param({}, [], ["+"], id="one guest"),
        pytest.param(MANY, [], ["+", "+"], id="so many at once"),
        pytest.param(MANY | {"completions": 1}, [], ["+"], id="never more than are needed"),
        pytest.param(MANY | {"parallelism": 0}, [], [], id="none at once is a pause"),
        pytest.param(MANY | {"completions": 0}, [], [], id="nothing to do"),
        pytest.param({"parallelism": 3}, [], ["+", "+", "+"], id="a work queue"),
        pytest.param({"parallelism": 3}, [guest("a", "Succeeded", ended=5), guest("b")], [], id="... winds down"),
        pytest.param(MANY, [guest("a"), guest("b")], [], id="enough"),
        pytest.param(MANY, [guest("a", "Succeeded", ended=5), guest("b")], ["+"], id="the next"),
        pytest.param(MANY, [guest("a", "Failed", ended=5), guest("b")], [], id="after a failure, not at once"),
        pytest.param(MANY, [guest("a", "Failed", ended=11), guest("b")], ["+"], id="... but soon"),
        pytest.param(MANY, [guest("a", dying=True), guest("b")], ["+"], id="a dying guest is replaced"),
        pytest.param(
            MANY | {"parallelism": 1}, [guest("a", age=9), guest("b", age=5)], ["~b withdraw", "-b"],
            id="the youngest is withdrawn",
        ),
        pytest.param(
            MANY | {"parallelism": 1}, [guest("a", "Pending", age=9), guest("b", age=5)], ["~a withdraw", "-a"],
            id="who does not run yet goes first",
        ),
        pytest.param(
            MANY | {"suspend": True}, [guest("a"), guest("b")], ["~a withdraw", "~b withdraw", "-a", "-b"],
            id="suspended",
        ),
        pytest.param(MANY | {"suspend": True}, [], [], id="suspended from the start"),
        pytest.param(MANY, [guest("a"), guest("b"), guest("c", tracked=False)], ["-c"], id="a stray is deleted"),
        pytest.param(MANY, [guest("a"), guest("b"), guest("c", "Failed", tracked=False)], [], id="one counted is kept"),
        pytest.param(MANY, [guest("a"), guest("b"), guest("c", tracked=False, dying=True)], [], id="... a dying one"),
        pytest.param(
            {"backoffLimit": 0, **MANY}, [guest("a", "Failed", ended=60), guest("b")], ["-b"], id="too many failures"
        ),
    ],
)  # fmt: skip
def test_guests(spec: Any, vmis: list[Any], expected: list[str]) -> None:
    started = {"startTime": ago(60)} if vmis else {}
    found = visit(job(spec=spec, status=started), *vmis)
    assert sorted(signs(found)) == sorted(expected)


def test_counting_takes_two_visits() -> None:
    ended = guest("a", "Succeeded", ended=5)
    first = visit(job(), ended)
    assert first.status is not None
    assert verbs(first) == [], "first its name is written down"
    assert first.status["uncountedTerminated"] == {"succeeded": ["uid-a"], "failed": []}
    assert (first.status["succeeded"], said(first, "SuccessCriteriaMet")) == (0, ("True", "CompletionsReached"))
    assert said(first, "Complete") is None

    second = visit(job(status=first.status), ended)
    assert second.status is not None
    assert verbs(second) == ["~a count"]
    assert second.status["uncountedTerminated"] == {"succeeded": [], "failed": []}
    assert (second.status["succeeded"], said(second, "Complete")) == (1, ("True", "CompletionsReached"))
    assert second.status["completionTime"] == ago(0)
    assert second.status["printable"] == {"status": "Complete", "completions": "1/1", "duration": "0s"}


@pytest.mark.parametrize("after", [guest("a", "Succeeded", ended=5, tracked=False), None], ids=["let go", "gone"])
def test_who_was_named_counts_once_whatever_became_of_it(after: Any) -> None:
    named = {"uncountedTerminated": {"succeeded": ["uid-a"]}, "startTime": ago(60)}
    found = visit(job(status=named), *([after] if after else []))
    assert found.status is not None
    assert (verbs(found), found.status["succeeded"]) == ([], 1)


@pytest.mark.parametrize(
    ("end", "counted"),
    [
        pytest.param(guest("a", "Failed", ended=5), ([], ["uid-a"]), id="failed"),
        pytest.param(guest("a", dying=True), ([], ["uid-a"]), id="deleted before its end"),
        pytest.param(guest("a", "Succeeded", ended=5, dying=True), (["uid-a"], []), id="deleted after its end"),
        pytest.param(guest("a", "Succeeded", ended=5, tracked=False), ([], []), id="counted already"),
    ],
)
def test_how_an_end_counts(end: Any, counted: tuple[list[str], list[str]]) -> None:
    status = visit(job(spec={"completions": 3}), end).status
    assert status is not None
    uncounted = status["uncountedTerminated"]
    assert (uncounted["succeeded"], uncounted["failed"]) == counted


@pytest.mark.parametrize(("failures", "seconds"), [(1, 10), (2, 20), (3, 40), (6, 320), (7, 600), (40, 600)], ids=str)
def test_pauses_grow(failures: int, seconds: int) -> None:
    gone = [guest(f"g{n}", "Failed", tracked=False, ended=n * 5000 + 4) for n in range(failures)]
    before = guest("ok", "Succeeded", tracked=False, ended=10**6)
    found = visit(job(spec={"completions": 2, "backoffLimit": 99}, status=DONE | {"failed": failures}), before, *gone)
    assert (verbs(found), found.requeue_after) == ([], seconds - 4)


def test_a_success_ends_the_pauses() -> None:
    ends = [guest("a", "Failed", tracked=False, ended=9), guest("b", "Succeeded", tracked=False, ended=5)]
    assert signs(visit(job(spec={"completions": 2}, status=DONE | {"failed": 1}), *ends)) == ["+"]


def test_the_deadline() -> None:
    spec = {"activeDeadlineSeconds": 30}
    in_time = visit(job(spec=spec, status={"startTime": ago(20)}), guest("a"))
    assert (verbs(in_time), in_time.requeue_after) == ([], 10)

    late = visit(job(spec=spec, status={"startTime": ago(30)}), guest("a"))
    assert verbs(late) == ["-a"]
    assert (said(late, "FailureTarget"), said(late, "Failed")) == (("True", "DeadlineExceeded"), None)
    assert late.status is not None
    assert late.status["active"] == 0

    dying = visit(job(spec=spec, status=late.status), guest("a", dying=True))
    assert said(dying, "Failed") is None, "its guest is still there"
    named = visit(job(spec=spec, status=dying.status), guest("a", dying=True))
    assert verbs(named) == ["~a count"]
    over = visit(job(spec=spec, status=named.status))
    assert said(over, "Failed") == ("True", "DeadlineExceeded")
    assert over.status is not None
    assert (over.status["failed"], over.status["completionTime"]) == (1, None)
    (event,) = over.events
    assert (event.reason, event.type) == ("DeadlineExceeded", "Warning")
    assert event.note == "Job was active longer than specified deadline"


def test_suspended_and_resumed() -> None:
    asleep = visit(job(spec={"suspend": True, "activeDeadlineSeconds": 5}, status={"startTime": ago(60)}))
    assert said(asleep, "Suspended") == ("True", "JobSuspended")
    assert [event.reason for event in asleep.events] == ["Suspended"]
    awake = visit(job(spec={"activeDeadlineSeconds": 5}, status=asleep.status))
    assert said(awake, "Suspended") == ("False", "JobResumed")
    assert awake.status is not None
    assert (signs(awake), awake.status["startTime"]) == (["+"], ago(0)), "the deadline runs anew"


@pytest.mark.parametrize("kind", ["Complete", "Failed"])
def test_over_is_over(kind: str) -> None:
    over = {"conditions": conditions(**{kind: True})}
    assert visit(job(status=over), guest("a", "Failed", tracked=False)) == Plan()
    assert verbs(visit(job(status=over), guest("a"))) == ["~a withdraw", "-a"]
    assert visit(job(spec={"ttlSecondsAfterFinished": 40}, status=over)).requeue_after == 10
    assert verbs(visit(job(spec={"ttlSecondsAfterFinished": 30}, status=over))) == ["-sum"]


def test_a_job_being_deleted_starts_nothing() -> None:
    assert visit(job(dying=True, finalizers=["x"])) == Plan()


def test_what_a_guest_is_made_of() -> None:
    (made,) = visit(job()).actions
    assert isinstance(made, Create)
    meta, spec = made.body["metadata"], made.body["spec"]
    assert meta["finalizers"] == [launcher.VMI_FINALIZER, TRACKING]
    assert meta["annotations"] == {launcher.PORTS: "true"}
    assert meta["labels"] == {"hostler.io/job-name": "sum", "hostler.io/controller-uid": "uid-sum"}
    assert meta["ownerReferences"][0]["kind"] == "VirtualMachineJob"
    assert spec["domain"]["devices"]["panicDevices"] == [{"model": "isa"}]
    assert VMI.read(made.body)


def test_a_script_is_a_secret_and_a_disk() -> None:
    spec = {"script": "echo 'hi'\nexit 3", "env": [{"name": "WHO", "value": "it's me"}]}
    secret, made = visit(job(spec=spec)).actions
    assert isinstance(secret, Create)
    assert isinstance(made, Create)
    assert (secret.kind, secret.blind) == (Secret, True)
    program = secret.body["stringData"]["userdata"]
    assert program.startswith("#!/bin/sh\n")
    assert "\n#!/bin/sh\necho 'hi'\nexit 3\nEND_" in program
    assert "export WHO='it'\"'\"'s me'\n" in program
    (volume,) = made.body["spec"]["volumes"]
    assert volume["cloudInitNoCloud"]["secretRef"]["name"] == secret.body["metadata"]["name"]
    assert made.body["spec"]["domain"]["devices"]["disks"] == [{"name": volume["name"], "disk": {"bus": "virtio"}}]
    assert verbs(visit(job(spec=spec | {"completions": 2, "parallelism": 2}), guest("a")))[0].startswith("+sum-")


def test_results_of_the_last_guests_are_kept() -> None:
    ends = [guest(f"g{n:02}", "Succeeded", tracked=False, ended=100 - n) for n in range(12)]
    told = [each.model_copy(update={"status": each.status.model_copy(update={"result": f"r{n}"})})
            for n, each in enumerate(ends)]  # fmt: skip
    first = visit(job(spec={"completions": 20, "parallelism": 0}), *told).status
    assert first is not None
    assert [each["result"] for each in first["results"]] == [f"r{n}" for n in range(2, 12)]
    later = visit(job(spec={"completions": 20, "parallelism": 0}, status=first)).status
    assert later is not None
    assert later["results"] == first["results"], "though the guests are gone"


def test_a_guest_that_is_refused() -> None:
    error = Forbidden(403, "Forbidden", "exceeded quota")
    told = failed(job(), Plan(), Failure(None, error), NOON)
    assert [(event.reason, event.note) for event in told.events] == [("FailedCreate", "Error creating: exceeded quota")]
    assert told.status == {"startTime": ago(0)}, "a plan that could not be made tells nothing else"


def test_a_guest_that_is_refused_does_not_keep_the_others_from_being_counted() -> None:
    more = {"spec": MANY | {"activeDeadlineSeconds": 90}, "status": {"startTime": ago(60)}}
    found = visit(job(**more), guest("a", "Succeeded", ended=5), guest("b"))
    assert found.status is not None
    assert (signs(found), found.status["active"]) == (["+"], 2)
    told = failed(job(**more), found, Failure(found.actions[-1], Forbidden(403, "Forbidden", "quota")), NOON)
    assert told.status is not None
    assert told.status["uncountedTerminated"] == {"succeeded": ["uid-a"], "failed": []}
    assert (told.status["active"], told.requeue_after) == (1, 30.0)
    assert [each.reason for each in told.events] == ["FailedCreate"]


def test_a_job_that_was_woken_has_a_deadline_though_its_guests_are_refused() -> None:
    asleep = {"startTime": ago(900), "conditions": conditions(Suspended=True)}
    found = visit(job(spec={"activeDeadlineSeconds": 60}, status=asleep))
    told = failed(job(), found, Failure(found.actions[-1], Forbidden(403, "Forbidden", "quota")), NOON)
    assert told.status is not None
    assert told.status["startTime"] == ago(0)
    assert [(each["type"], each["status"]) for each in told.status["conditions"]] == [("Suspended", "False")]
    assert [each.reason for each in told.events] == ["Resumed", "FailedCreate"]


def test_a_guest_that_only_ended_well_has_a_result_too() -> None:
    status = visit(job(), guest("a", "Succeeded", ended=5, code=0)).status
    assert status is not None
    assert status["results"] == [{"name": "a", "exitCode": 0}]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (59, "59s"), (187, "3m7s"), (7500, "2h5m")])
def test_short(seconds: int, text: str) -> None:
    assert short(seconds) == text
