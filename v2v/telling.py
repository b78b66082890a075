"""The status of a DataVolume, and the event that tells of what is new in it."""

from collections.abc import Mapping
from datetime import datetime

from hostler.api.cdi import DataVolume
from hostler.runtime import conditions
from hostler.runtime.conditions import Condition
from hostler.runtime.plan import Event, Plan
from hostler.runtime.protocol import Raw

LONGEST_MESSAGE = 1024


def told(  # noqa: PLR0913
    volume: DataVolume,
    phase: str,
    wanted: Mapping[str, Condition],
    now: datetime,
    *,
    progress: str | None = None,
    restarts: int | None = None,
    warn: Condition | None = None,
) -> Plan:
    """A plan that writes this status; `warn` is told in an event, too, if it is news."""
    cut = {kind: each._replace(message=each.message[:LONGEST_MESSAGE]) for kind, each in wanted.items()}
    known = volume.status.conditions if volume.status else ()
    status: Raw = {"phase": phase, "claimName": volume.metadata.name}
    if cut:
        status["conditions"] = conditions.update(known, cut, now)
    was = volume.status and volume.status.progress
    if progress is not None or was is None:
        status["progress"] = progress or "N/A"
    if restarts is not None:
        status["restartCount"] = restarts
    return Plan(status=status, events=news(volume, warn) if warn else ())


def news(volume: DataVolume, trouble: Condition) -> tuple[Event, ...]:
    """A warning of what was not said before."""
    said = {(each.reason, each.message) for each in (volume.status.conditions if volume.status else ())}
    message = trouble.message[:LONGEST_MESSAGE]
    return () if (trouble.reason, message or None) in said else (Event(trouble.reason, message, "Warning"),)
