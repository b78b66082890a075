"""Events for `kubectl describe`, cheap in any number: equal ones are counted, similar ones are combined.

The first ten different notes of a reason about an object are written as they are, the rest as one series; a series is
written again after 1, 2, 4, ... 64 seconds. Across all objects the number a second is limited, too: a history is a
courtesy, and a thousand VMs must not cost thousands of writes.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from hostler.api import objects
from hostler.api.meta import Resource
from hostler.runtime import metrics
from hostler.runtime.errors import ApiError, NotFound
from hostler.runtime.pace import TokenBucket
from hostler.runtime.plan import EVENTS_PER_SECOND, Event
from hostler.runtime.protocol import Kube, Raw

DIFFERENT = 10  # notes of one reason about one object before they are combined
COMBINED = "(combined from similar events): "
COALESCE = 0.2  # seconds that an event waits for its likes
LONGEST = 64.0  # seconds between two writes of a series
FORGET = 600.0  # seconds after which a reason starts afresh
NOTE = 1024  # bytes, the API's limit
WARNINGS = 2.5  # times as many Warnings as Normal events a second

log = logging.getLogger(__name__)


@dataclass
class Series:
    """One Event object in the making."""

    about: Resource
    event: Event
    name: str
    first: str
    last: str = ""
    count: int = 0
    written: int = 0  # the count when it was last written
    due: float = 0.0
    pause: float = 1.0


class Recorder:
    """Takes events at any time; `run` writes them. An event that cannot be written is dropped."""

    def __init__(
        self,
        kube: Kube,
        reporter: str,
        instance: str,
        clock: Callable[[], float] = time.monotonic,
        per_second: float = EVENTS_PER_SECOND,
    ) -> None:
        self._kube = kube
        self._clock = clock
        self._reporter = reporter
        self._instance = instance
        self._series: dict[tuple[str, Event], Series] = {}
        self._notes: dict[tuple[str, str, str], int] = {}  # (UID, type, reason) -> different notes so far
        self._news = asyncio.Event()
        self._limits = {
            "Normal": TokenBucket(per_second, 25, clock),
            "Warning": TokenBucket(WARNINGS * per_second, 50, clock),
        }

    def record(self, about: Resource, event: Event) -> None:
        uid = about.metadata.uid
        event = Event(event.reason, event.note.encode()[: NOTE - len(COMBINED)].decode(errors="ignore"), event.type)
        series = self._series.get((uid, event)) or self._start(about, event)
        if series is None:
            metrics.EVENTS.labels(event.type, "dropped").inc()
            return
        series.event = Event(event.reason, _lead(series.event) + event.note, event.type)
        series.count += 1
        series.last = _now()
        self._news.set()

    def _start(self, about: Resource, event: Event) -> Series | None:
        """A new series, or the one of the many different notes; None if there are too many events at all."""
        uid = about.metadata.uid
        reason = (uid, event.type, event.reason)
        key = (uid, event)
        if self._notes.get(reason, 0) >= DIFFERENT:
            key = (uid, Event(event.reason, COMBINED, event.type))
            if key in self._series:
                return self._series[key]
        if not self._limits[event.type].take():
            return None
        self._notes[reason] = self._notes.get(reason, 0) + 1
        self._series[key] = Series(about, key[1], _name(about), _now(), due=self._clock() + COALESCE)
        return self._series[key]

    async def run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while pending := [series for series in self._series.values() if series.count > series.written]:
                await asyncio.sleep(max(0.0, min(series.due for series in pending) - self._clock()))
                await self.flush()

    async def flush(self) -> None:
        """Write what is due; forget what has been quiet for long."""
        now = self._clock()
        for key, series in tuple(self._series.items()):
            if series.count > series.written and series.due <= now:
                await self._write(series)
                series.due = now + series.pause
                series.pause = min(series.pause * 2, LONGEST)
            elif series.count == series.written and now - series.due > FORGET:
                del self._series[key]
                self._notes.pop((key[0], key[1].type, key[1].reason), None)

    async def _write(self, series: Series) -> None:
        namespace = _namespace(series.about)
        fresh = series.written == 0
        series.written = series.count
        body = self._body(series)
        try:
            if fresh:
                await self._kube.create(objects.Event, namespace, body)
            else:
                await self._kube.patch(objects.Event, namespace, series.name, {k: body[k] for k in ("series", "note")})
            metrics.EVENTS.labels(series.event.type, "written").inc()
        except NotFound:
            if not fresh:  # it expired meanwhile: tell it anew
                series.name, series.written = _name(series.about), 0
        except ApiError as error:
            metrics.EVENTS.labels(series.event.type, "failed").inc()
            log.info("event not written", extra={"reason": series.event.reason, "error": str(error)})

    def _body(self, series: Series) -> Raw:
        about = series.about
        body: Raw = {
            "metadata": {"name": series.name, "namespace": _namespace(about)},
            "eventTime": series.first,
            "type": series.event.type,
            "reason": series.event.reason,
            "action": series.event.reason,
            "note": series.event.note,
            "regarding": {
                "apiVersion": about.group_version,
                "kind": about.kind(),
                "namespace": about.metadata.namespace,
                "name": about.metadata.name,
                "uid": about.metadata.uid,
            },
            "reportingController": self._reporter,
            "reportingInstance": self._instance,
        }
        if series.count > 1:
            body["series"] = {"count": series.count, "lastObservedTime": series.last}
        return body


def _namespace(about: Resource) -> str:
    """Events of what has no namespace are in `default`, by Kubernetes' own convention."""
    return about.metadata.namespace or "default"


def _name(about: Resource) -> str:
    return f"{about.metadata.name[:200]}.{uuid.uuid4().hex[:16]}"


def _lead(event: Event) -> str:
    return COMBINED if event.note.startswith(COMBINED) else ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
