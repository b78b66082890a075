"""VirtualMachineCronJob: what the clock brings, by batch/v1's rules."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from controllers import cronjob
from controllers.cronjob import Seen, plan
from hostler.api.batch import SCHEDULED, VirtualMachineCronJob, VirtualMachineJob
from hostler.runtime.errors import Forbidden
from hostler.runtime.plan import Create, Failure, Plan
from tests.unit.make import NOON, ago, cron_job, cron_run, job, verbs
from tests.unit.world import World

NAME = f"tick-{int(NOON.timestamp()) // 60}"
LATER = NOON + timedelta(seconds=30)
OLD = {"age": 3600}


def visit(cron: Any, *jobs: Any, now: datetime = LATER) -> Plan:
    return plan(cron, Seen(tuple(sorted(jobs, key=cronjob.born))), now)


@pytest.mark.parametrize(
    ("cron", "jobs", "expected", "event"),
    [
        pytest.param(cron_job(**OLD), [], [f"+{NAME}"], "SuccessfulCreate", id="it is time"),
        pytest.param(cron_job(age=-10), [], [], None, id="not before it was made"),
        pytest.param(cron_job(**OLD), [cron_run(0)], [], None, id="done already"),
        pytest.param(cron_job(status={"lastScheduleTime": ago(0)}, **OLD), [], [], None, id="... and gone since"),
        pytest.param(cron_job(spec={"suspend": True}, **OLD), [], [], None, id="suspended"),
        pytest.param(cron_job(**OLD), [cron_run(5)], [f"+{NAME}"], "SuccessfulCreate", id="side by side"),
        pytest.param(
            cron_job(spec={"concurrencyPolicy": "Forbid"}, **OLD), [cron_run(5)], [], "JobAlreadyActive", id="forbidden"
        ),
        pytest.param(
            cron_job(spec={"concurrencyPolicy": "Forbid"}, **OLD), [cron_run(5, "Complete")], [f"+{NAME}"],
            "SuccessfulCreate", id="nobody is in the way",
        ),
        pytest.param(
            cron_job(spec={"concurrencyPolicy": "Replace"}, **OLD), [cron_run(5)],
            [f"-{cron_run(5).metadata.name}", f"+{NAME}"], "SuccessfulCreate", id="replaced",
        ),
        pytest.param(
            cron_job(spec={"startingDeadlineSeconds": 30}, **OLD), [], [], None, id="too late: batch/v1 says nothing"
        ),
        pytest.param(
            cron_job(spec={"startingDeadlineSeconds": 31}, **OLD), [], [f"+{NAME}"],
            "SuccessfulCreate", id="just in time",
        ),
        pytest.param(
            cron_job("* * * * *", age=86400), [], [f"+{NAME}"], "TooManyMissedTimes", id="the clock was far off"
        ),
        pytest.param(
            cron_job("* * * * *", age=86400, spec={"startingDeadlineSeconds": 7200}), [], [f"+{NAME}"],
            "TooManyMissedTimes", id="... within the deadline, too",
        ),
        pytest.param(
            cron_job("* * * * *", age=86400, spec={"startingDeadlineSeconds": 600}), [], [f"+{NAME}"],
            "SuccessfulCreate", id="what is too late is not missed",
        ),
        pytest.param(
            cron_job("* * * * *", age=86400, spec={"concurrencyPolicy": "Forbid"}), [cron_run(5)], [],
            "TooManyMissedTimes", id="... and told of when another runs",
        ),
        pytest.param(
            cron_job(spec={"startingDeadlineSeconds": 2**62}, **OLD), [], [f"+{NAME}"], "SuccessfulCreate",
            id="a deadline of ages",
        ),
        pytest.param(
            cron_job(spec={"suspend": True, "timeZone": "Mars/Olympus"}, **OLD), [], [], "UnknownTimeZone",
            id="no zone, suspended",
        ),
        pytest.param(
            cron_job(spec={"concurrencyPolicy": "Forbid"}, **OLD), [cron_run(5, dying=True)], [],
            "JobAlreadyActive", id="what is being deleted still runs",
        ),
        pytest.param(
            cron_job(spec={"concurrencyPolicy": "Replace"}, **OLD), [cron_run(5, dying=True)], [f"+{NAME}"],
            "SuccessfulCreate", id="what was replaced is waited for by nobody",
        ),
        pytest.param(
            cron_job(status={"lastScheduleTime": ago(-600)}, **OLD), [], [], None, id="the clock was set back"
        ),
        pytest.param(cron_job("5-1 * * * *", **OLD), [], [], "UnparseableSchedule", id="no schedule"),
        pytest.param(cron_job(spec={"timeZone": "Mars/Olympus"}, **OLD), [], [], "UnknownTimeZone", id="no zone"),
        pytest.param(cron_job(dying=True, **OLD), [], [], None, id="being deleted"),
    ],
)  # fmt: skip
def test_time(cron: Any, jobs: list[Any], expected: list[str], event: str | None) -> None:
    found = visit(cron, *jobs)
    assert verbs(found) == expected
    assert event in ([each.reason for each in found.events] or [None])


def test_the_next_look_is_at_the_next_time() -> None:
    assert visit(cron_job(age=-10)).requeue_after == pytest.approx(270.1)
    assert visit(cron_job("@daily", age=-10)).requeue_after == cronjob.LOOK, "somebody may set the clock meanwhile"


def test_a_clock_that_was_set_back_brings_nothing_twice() -> None:
    assert visit(cron_job(status={"lastScheduleTime": ago(-600)}, **OLD)).requeue_after == cronjob.LOOK


@pytest.mark.parametrize(
    ("cron", "note"),
    [
        (
            cron_job(spec={"timeZone": "Mars/Olympus"}),
            'invalid timeZone: "Mars/Olympus": unknown time zone Mars/Olympus',
        ),
        (cron_job("5-1 * * * *"), 'unparseable schedule: "5-1 * * * *" : Bad minute'),
    ],
)
def test_words(cron: Any, note: str) -> None:
    assert [(each.type, each.note) for each in visit(cron).events] == [("Warning", note)]


def test_a_job_that_somebody_took_away_is_missed() -> None:
    status = visit(cron_job(**OLD), cron_run(0)).status
    gone = visit(cron_job(status=status, **OLD))
    assert [(each.type, each.note) for each in gone.events] == [("Normal", f"Active job went missing: {NAME}")]
    replacing = cron_job(spec={"concurrencyPolicy": "Replace"}, **OLD)
    status = visit(replacing, cron_run(5)).status
    assert (status or {})["active"] == [], "who replaced it knows where it is"


def test_what_a_job_is_made_of() -> None:
    spec = {"timeZone": "Europe/Berlin"}
    cron = cron_job(spec=spec, **OLD)
    (made,) = visit(cron).actions
    assert isinstance(made, Create)
    meta = made.body["metadata"]
    assert meta["annotations"] == {"hostler.io/cronjob-scheduled-timestamp": "2026-06-01T14:00:00+02:00"}
    assert meta["ownerReferences"][0]["uid"] == "uid-tick"
    assert VirtualMachineJob.read(made.body).spec.template.spec


def test_the_oldest_that_are_over_go() -> None:
    jobs = [cron_run(5 * n, "Complete") for n in range(5)] + [cron_run(5 * n + 1, "Failed") for n in range(3)]
    assert verbs(visit(cron_job(**OLD), *jobs)) == [
        f"-{cron_run(minutes).metadata.name}" for minutes in (20, 15, 11, 6)
    ]
    none = {"successfulJobsHistoryLimit": 0, "failedJobsHistoryLimit": 9}
    assert len(visit(cron_job(spec=none, **OLD), *jobs).actions) == 5


def test_status() -> None:
    runs = [cron_run(10, "Complete"), cron_run(5, "Failed"), cron_run(0)]
    status = visit(cron_job(**OLD), *runs).status
    assert status is not None
    assert [each["name"] for each in status["active"]] == [NAME]
    assert (status["activeJobs"], status["lastScheduleTime"], status["lastSuccessfulTime"]) == (1, ago(0), ago(570))
    after = visit(cron_job(status=status, **OLD), cron_run(0, "Complete"))
    assert [(each.reason, each.note) for each in after.events] == [
        ("SawCompletedJob", f"Saw completed job: {NAME}, condition: Complete")
    ]
    gone = visit(cron_job(status=status, **OLD)).status
    assert gone is not None
    assert (gone["active"], gone["lastScheduleTime"]) == ([], ago(0)), "what was once due stays done"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param("tick-1785000000", {}, id="made by hand"),
        pytest.param("tick-9999999999", {}, id="a year that no clock knows"),
        pytest.param("tick-1785000000", {SCHEDULED: ago(0)}, id="another time in its name"),
        pytest.param("tick-5", {SCHEDULED: "9999-12-31T23:59:59-14:00"}, id="a time that no clock knows"),
        pytest.param("tick-5", {SCHEDULED: "soon"}, id="no time"),
    ],
)
def test_numbers_in_others_names_are_no_times(name: str, told: dict[str, str]) -> None:
    other = job(
        name, annotations=told, ownerReferences=cron_run(0).metadata.model_dump(by_alias=True)["ownerReferences"]
    )
    found = visit(cron_job(**OLD), other)
    assert verbs(found) == [f"+{NAME}"]
    assert found.status is not None
    assert found.status["lastScheduleTime"] is None


def test_refused() -> None:
    """What is known of the other jobs is told all the same."""
    cron = cron_job(status={"active": [cronjob.reference(cron_run(5))]}, **OLD)
    found = visit(cron, cron_run(5, "Complete"))
    refused = cronjob.failed(cron, found, Failure(found.actions[0], Forbidden(403, "Forbidden", "quota")), LATER)
    assert refused.status == found.status
    assert [each.reason for each in refused.events] == ["SawCompletedJob", "FailedCreate"]


@pytest.mark.parametrize("cut", range(4))
def test_a_manager_that_dies_makes_no_job_twice(cut: int) -> None:
    world = World([cronjob.CONTROLLER])
    world.add(cron_job("* * * * *"))
    world.now = LATER
    world.visit(cronjob.CONTROLLER, world.get(VirtualMachineCronJob, "tick"), cut)
    for _ in range(3):
        world.visit(cronjob.CONTROLLER, world.get(VirtualMachineCronJob, "tick"))
    assert [each.metadata.name for each in world.all(VirtualMachineJob)] == [NAME]
    cron = world.get(VirtualMachineCronJob, "tick")
    assert (cron.status.last_schedule_time, cron.status.active_jobs) == (ago(0), 1)
    assert world.visit(cronjob.CONTROLLER, cron) == 0, "at rest it costs nothing"
