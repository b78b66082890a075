"""Times in cron's syntax, as Kubernetes takes it: when it was last due, and when it is due next."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
SECOND = timedelta(seconds=1)


class UnknownTimeZone(ValueError):
    """There is no such time zone."""


class Schedule:
    """Five fields, or one of WORDS; ValueError if it is neither. UTC where no zone is given."""

    def __init__(self, text: str, zone: str | None = None) -> None:
        self._text = WORDS.get(text.strip().lower(), text).replace("?", "*")
        try:
            self._zone = ZoneInfo(zone or "UTC")
        except (OSError, ValueError, KeyError):
            raise UnknownTimeZone(f"unknown time zone {zone}") from None
        if len(self._text.split()) != 5:  # six would begin with seconds
            raise ValueError("it has not five fields")
        try:
            CronSim(self._text, datetime.now(UTC))
        except CronSimError as error:
            raise ValueError(str(error)) from None

    def last(self, now: datetime) -> datetime | None:
        """The latest time that is not after `now`; None if it was never due, as on 30 February."""
        # reckoned in UTC: in a zone's repeated hour a sum would be of the first of the two
        before = self.local(now.astimezone(UTC).replace(microsecond=0) + SECOND)
        return next(self._times(before, reverse=True), None)

    def next(self, after: datetime) -> datetime | None:
        return next(self._times(self.local(after)), None)

    def count(self, after: datetime, until: datetime, most: int) -> int:
        """How often it was due after one time and not after another; no further than `most`."""
        return len(list(islice(takewhile(lambda time: time <= until, self._times(self.local(after))), most)))

    def local(self, time: datetime) -> datetime:
        return time.astimezone(self._zone)

    def _times(self, start: datetime, *, reverse: bool = False) -> Iterator[datetime]:
        return (time.astimezone(UTC) for time in CronSim(self._text, start, reverse=reverse))
