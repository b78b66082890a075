"""What status says about what the journal and the API server know."""

import os

import pytest

from cluster import journal, status
from cluster.journal import Journal


def program(state: str = "running", alive: bool = True, deaths: int = 0) -> dict:
    died = {"when": "2026-01-01T00:00:00+00:00", "how": "killed by SIGKILL", "after": 3.0}
    return {"state": state, "alive": alive, "pid": 7, "since": "now", "starts": 1, "deaths": [died] * deaths}


def content(supervised: bool = True, api: str = "ok", nodes: dict | None = None, **programs: dict) -> dict:
    supervisor = {"pid": 1, "alive": supervised}
    return {"name": "a", "supervisor": supervisor, "programs": programs, "api": api, "nodes": nodes or {}}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(content(etcd=program(), nodes={"a-1": "Ready"}), [], id="all is well"),
        pytest.param(content(etcd=program("starting")), [], id="starting is not wrong"),
        pytest.param(content(supervised=False), ["the supervisor is not running"], id="nobody looks after it"),
        pytest.param(content(etcd=program("failed")), ["etcd is not running"], id="died"),
        pytest.param(content(etcd=program(alive=False)), ["etcd is not running"], id="dead, and nobody noticed"),
        pytest.param(content(api="refused"), ["the API server does not answer: refused"], id="no API"),
        pytest.param(content(nodes={"a-1": "NotReady"}), ["node a-1 is NotReady"], id="a node is not ready"),
    ],
)
def test_complaints(seen, expected):
    told = status.complaints(seen)
    assert len(told) == len(expected)
    assert all(line.startswith(start) for line, start in zip(told, expected, strict=True))


def test_table_tells_the_last_death():
    table = status.programs_table(content(etcd=program(deaths=2), runc=program(alive=False)))
    assert table[1] == ["etcd", "running", "7", "now", "2", "2026-01-01T00:00:00+00:00 killed by SIGKILL after 3.0 s"]
    assert table[2][1] == "dead"


def test_aligned():
    assert status.aligned([["A", "BB"], ["long", "x"]]) == "A      BB\nlong   x"


def test_a_journal_is_read_as_it_was_written(tmp_path):
    written = Journal(tmp_path / "journal.json")
    written.entry("etcd").started(os.getpid(), "v1")
    written.entry("gone").started(1, "v1")
    written.entry("gone").died("exit code 3", 1.26)
    written.carried_out = "list"
    written.write()
    page = journal.read(tmp_path / "journal.json")
    assert page.supervisor.alive
    assert page.supervisor.pid == os.getpid()
    assert page.carried_out == "list"
    assert page.entries == written.entries
    assert page.entries["etcd"].alive
    assert page.entries["gone"].deaths[0] | {"when": ""} == {"when": "", "how": "exit code 3", "after": 1.3}


def test_a_journal_that_cannot_be_written_is_told_and_goes_on(tmp_path, caplog):
    written = Journal(tmp_path / "journal.json")
    (full := tmp_path / ".journal.json").mkdir()
    written.write()
    assert not written.whole
    assert "is not written" in caplog.text
    full.rmdir()
    written.write()
    assert written.whole
    assert journal.read(tmp_path / "journal.json").supervisor.alive


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"supervisor": {}, "programs": {"x": {"bad": 1}}}'])
def test_half_a_journal_is_none(tmp_path, text):
    (tmp_path / "journal.json").write_text(text)
    assert journal.read(tmp_path / "journal.json") == journal.Page()


def test_a_number_that_another_process_has_now_is_not_alive():
    entry = journal.Entry(pid=os.getpid(), ticks=journal.start_ticks(os.getpid()) - 1)
    assert not entry.alive


def test_only_the_last_deaths_are_kept():
    entry = journal.Entry()
    for number in range(journal.DEATHS_KEPT + 5):
        entry.died(f"exit code {number}", 1)
    assert len(entry.deaths) == journal.DEATHS_KEPT
    assert entry.deaths[-1]["how"] == f"exit code {journal.DEATHS_KEPT + 4}"


@pytest.mark.parametrize(
    ("wait_status", "expected"),
    [(0, "exit code 0"), (3 << 8, "exit code 3"), (9, "killed by SIGKILL"), (None, "ended")],
)
def test_how_ended(wait_status, expected):
    assert journal.how_ended(wait_status) == expected
