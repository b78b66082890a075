"""What a worker knows when it begins, and says before it has done anything."""

from typing import Any

import pytest

from hostler.runtime import disk_report
from hostler.runtime.disk_report import Report
from tests.unit.make import NOON, data_volume
from v2v.importing import Import, mark_of
from v2v.job import Http, Job
from v2v.range import Mark
from v2v.working import known

JOB = Job(uid="uid-data", claim="uid-claim", kind="import", size=0, device=True, http=Http(url="http://images/disk"))
MARK = Mark(400 << 30, '"v1"', 500 << 30)
HALF: dict[str, Any] = {"raw": True, "offset": MARK.offset, "validator": MARK.validator, "total": MARK.total}


def told(claim: str = "uid-claim", **what: Any) -> Any:
    word = Report(uid="uid-data", claim=claim, pod="uid-pod", **what).text(NOON)
    return data_volume(annotations={disk_report.ANNOTATION: word})


@pytest.mark.parametrize(
    ("volume", "mark"),
    [
        pytest.param(data_volume(), Mark(), id="nobody has begun"),
        pytest.param(told(**HALF), MARK, id="it goes on"),
        pytest.param(told(**HALF, claim="uid-old"), Mark(), id="that was on another claim"),
        pytest.param(told(state="done", claim="uid-old"), Mark(), id="all of it, too"),
        pytest.param(told(state="done"), None, id="nothing to do any more"),
        pytest.param(data_volume(dying=True), None, id="nobody wants it any more"),
        pytest.param(data_volume(uid="uid-another"), None, id="another DataVolume"),
    ],
)
def test_known(volume: Any, mark: Mark | None) -> None:
    said = known(volume, JOB)
    assert (said and mark_of(said)) == mark


def test_the_first_word_keeps_the_mark() -> None:
    """It may be the last one, if the process is killed before it has read on."""
    said = Import(JOB, Report(**HALF, percent=80, reason="TransferInterrupted")).report()
    assert mark_of(said) == MARK
    assert said.reason == ""
