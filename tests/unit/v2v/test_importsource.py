"""When an ImportSource is looked at: a table of (source, its pod) -> what is done."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from hostler.api.imports import ImportSource
from hostler.api.objects import Pod
from tests.unit import make
from tests.unit.make import NOON, ago, verbs
from v2v import importsource, verdict
from v2v.importsource import Seen, plan
from v2v.settings import DiskSettings
from v2v.verdict import Verdict

SETTINGS = DiskSettings()
WANTED = "uid-vc/1/"
REFUSED = Verdict(False, "vc refuses the password", "LoginRefused")


def source(every: int | None = 3600, **status: Any) -> ImportSource:
    vsphere = {"url": "https://vc/sdk", "secretRef": {"name": "vc"}}
    spec = {"vsphere": vsphere, "refreshSeconds": every}
    return ImportSource.read({"metadata": make.meta("vc", generation=1), "spec": spec, "status": status})


def pod(said: Verdict, looked: str = WANTED) -> Pod:
    ended = {"terminated": {"exitCode": 0, "reason": "Completed", "message": verdict.text(said)}}
    status = {"phase": "Succeeded", "containerStatuses": [{"name": "worker", "state": ended}]}
    return Pod.read({"metadata": make.meta("p", annotations={importsource.LOOKED: looked}), "status": status})


@pytest.mark.parametrize(
    ("given", "actions", "status", "later"),
    [
        pytest.param(source(), ["+import-vc-look-qzn7k"], None, None, id="the first look"),
        pytest.param(source(None, seen=WANTED, looked=ago(99999)), [], None, None, id="once is enough"),
        pytest.param(source(seen=WANTED, looked=ago(600), refreshed=ago(600)), [], None, 3000, id="not yet"),
        pytest.param(source(seen=WANTED, looked=ago(3600)), [], {"seen": ""}, None, id="again"),
        pytest.param(
            source(seen=WANTED, looked=ago(600), refreshed=ago(9999)), [], None, 3000, id="one that failed was a look",
        ),
        pytest.param(source(seen=WANTED, looked=ago(600)), [], None, 3000, id="so was a first one that failed"),
        pytest.param(
            source(seen="uid-vc/0/", looked=ago(5)), ["+import-vc-look-qzn7k"], None, None, id="changed: at once"
        ),
    ],
)  # fmt: skip
def test_when(given: ImportSource, actions: list[str], status: Any, later: float | None) -> None:
    result = plan(given, Seen(), NOON, SETTINGS)
    assert verbs(result) == actions
    assert (result.status, result.requeue_after) == (status, later)


def logins(hours: int, visits: int) -> int:
    """How often a source of which the password was changed is asked within so many hours, visited ever so often."""
    now, count, seen, status = NOON, 0, Seen(), {"seen": WANTED, "refreshed": ago(7200)}
    for visit in range(visits):
        result = plan(source(**status), seen, now, SETTINGS)
        status |= result.status or {}
        made, gone = (any(word.startswith(sign) for word in verbs(result)) for sign in "+-")
        count += made
        seen = Seen(pod(REFUSED)) if made else Seen() if gone else seen
        now = clock(visit, visits, hours)
    return count


def clock(visit: int, visits: int, hours: int) -> datetime:
    return NOON + timedelta(hours=hours) * (visit + 1) / visits


def test_a_password_that_was_changed_locks_no_account() -> None:
    assert logins(hours=0, visits=40) == 1
    assert logins(hours=5, visits=500) in (5, 6)
