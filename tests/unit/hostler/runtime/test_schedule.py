"""When it is due: cron's syntax, words, time zones and their clock changes."""

from datetime import UTC, datetime

import pytest

from hostler.runtime.schedule import Schedule, UnknownTimeZone


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "zone", "now", "last", "upcoming"),
    [
        ("*/5 * * * *", None, "2026-06-01 12:03", "2026-06-01 12:00", "2026-06-01 12:05"),
        ("*/5 * * * *", None, "2026-06-01 12:00", "2026-06-01 12:00", "2026-06-01 12:05"),
        ("@daily", None, "2026-06-01 12:00", "2026-06-01 00:00", "2026-06-02 00:00"),
        ("@hourly", None, "2026-06-01 12:59:59", "2026-06-01 12:00", "2026-06-01 13:00"),
        ("@Weekly", None, "2026-06-01 12:00", "2026-05-31 00:00", "2026-06-07 00:00"),
        ("0 7 ? * mon-fri", None, "2026-05-30 12:00", "2026-05-29 07:00", "2026-06-01 07:00"),
        ("0 0 29 feb *", None, "2026-06-01 12:00", "2024-02-29 00:00", "2028-02-29 00:00"),
        ("0 7 * * *", "Europe/Berlin", "2026-06-01 12:00", "2026-06-01 05:00", "2026-06-02 05:00"),
        ("0 7 * * *", "Asia/Kolkata", "2026-06-01 12:00", "2026-06-01 01:30", "2026-06-02 01:30"),
        # the hour that is skipped in spring: right after it; the one that comes twice in autumn: once
        ("30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", "2026-03-28 01:30", "2026-03-29 01:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25 00:30", "2026-10-25 00:30", "2026-10-26 01:30"),
        ("0 * * * *", "Europe/Berlin", "2026-10-25 01:30", "2026-10-25 01:00", "2026-10-25 02:00"),
        ("*/10 * * * *", "America/New_York", "2026-11-01 06:25", "2026-11-01 06:20", "2026-11-01 06:30"),
    ],
)
def test_due(text: str, zone: str | None, now: str, last: str, upcoming: str) -> None:
    schedule = Schedule(text, zone)
    assert (schedule.last(at(now)), schedule.next(at(now))) == (at(last), at(upcoming))


def test_count() -> None:
    schedule = Schedule("* * * * *")
    assert schedule.count(at("2026-06-01 12:00"), at("2026-06-01 12:05:30"), 101) == 5
    assert schedule.count(at("2026-06-01 12:00"), at("2027-06-01 12:00"), 101) == 101


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "* * * * * *", "60 * * * *", "5-1 * * * *", "@every 1m", "@reboot", "a b c d e", "*/0 * * * *"],
)
def test_what_is_no_schedule(text: str) -> None:
    with pytest.raises(ValueError, match=r"five fields|Bad"):
        Schedule(text)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "/etc/localtime", "europe", "a" * 300, "x\0y"])
def test_what_is_no_time_zone(zone: str) -> None:
    with pytest.raises(UnknownTimeZone):
        Schedule("@daily", zone)


def test_what_never_comes() -> None:
    with pytest.raises(ValueError, match="Bad day-of-month"):
        Schedule("0 0 30 2 *")
