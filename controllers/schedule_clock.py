"""When a VirtualMachineSchedule is due: what its two times bring together. Pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from hostler.api.schedule import VirtualMachineScheduleSpec
from hostler.runtime import conditions
from hostler.runtime.protocol import Raw
from hostler.runtime.schedule import Schedule, UnknownTimeZone


class Transition(NamedTuple):
    """Up or down, at a time."""

    action: str
    time: datetime

    def raw(self) -> Raw:
        return {"action": self.action, "time": conditions.stamp(self.time)}


class Clock:
    """The times of a schedule; ValueError when they cannot be read."""

    def __init__(self, spec: VirtualMachineScheduleSpec) -> None:
        # start before stop: when both are due at one moment, it is up
        times = {"Start": spec.start, "Stop": spec.stop}
        self._schedules = {action: read(action, text, spec.time_zone) for action, text in times.items() if text}

    def last(self, now: datetime) -> Transition | None:
        """The latest that was due; those before it are of no interest any more."""
        return max(self._each("last", now), key=lambda each: each.time, default=None)

    def next(self, after: datetime) -> Transition | None:
        return min(self._each("next", after), key=lambda each: each.time, default=None)

    def _each(self, which: str, time: datetime) -> Iterator[Transition]:
        for action, schedule in self._schedules.items():
            found = schedule.last(time) if which == "last" else schedule.next(time)
            if found is not None:
                yield Transition(action, found)


def read(action: str, text: str, zone: str | None) -> Schedule:
    try:
        return Schedule(text, zone)
    except UnknownTimeZone:
        raise
    except ValueError as error:
        raise ValueError(f"spec.{action.lower()}: {text!r}: {error}") from None
