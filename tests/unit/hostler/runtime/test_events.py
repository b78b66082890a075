"""A history that costs little: counted, combined, limited."""

from typing import Any

import pytest

from hostler.api.objects import Event as KubeEvent
from hostler.runtime import events
from hostler.runtime.errors import Forbidden
from hostler.runtime.events import Recorder
from hostler.runtime.plan import Event
from tests.unit.hostler.runtime.fake_kube import FakeKube, refusing
from tests.unit.make import NS, vmi


class Book:
    """A recorder whose time the test tells."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.kube = FakeKube()
        self.recorder = Recorder(self.kube, "hostler-manager", "hostler-manager-0", lambda: self.now)

    async def after(self, seconds: float) -> list[dict[str, Any]]:
        """What the API server has after so much time."""
        for _ in range(int(seconds)):
            self.now += 1
            await self.recorder.flush()
        return [obj for (plural, _, _), obj in self.kube.objects.items() if plural == "events"]

    def tell(self, reason: str = "Made", note: str = "made a pod", about: Any = None, count: int = 1) -> None:
        for _ in range(count):
            self.recorder.record(about or vmi(), Event(reason, note))


@pytest.fixture
def book() -> Book:
    return Book()


async def test_one_event(book: Book) -> None:
    book.tell()
    (event,) = await book.after(1)
    assert (event["type"], event["reason"], event["note"]) == ("Normal", "Made", "made a pod")
    assert event["regarding"]["uid"] == "uid-web"
    assert event["metadata"]["namespace"] == NS
    assert event["metadata"]["name"].startswith("web.")
    assert event["reportingController"] == "hostler-manager"
    assert "series" not in event


async def test_the_same_again_is_counted(book: Book) -> None:
    book.tell(count=3)
    (event,) = await book.after(1)
    assert event["series"]["count"] == 3
    book.tell(count=4)
    (event,) = await book.after(2)
    assert event["series"]["count"] == 7
    assert len(book.kube.writes()) == 2


async def test_a_series_is_written_less_and_less_often(book: Book) -> None:
    for _ in range(300):
        book.tell()
        await book.after(1)
    (event,) = await book.after(70)
    assert event["series"]["count"] == 300
    assert len(book.kube.writes()) <= 13


async def test_many_different_ones_are_combined(book: Book) -> None:
    for number in range(1000):
        book.tell("Made", f"made vm-{number}")
    told = await book.after(5)
    assert len(told) == events.DIFFERENT + 1
    (combined,) = [each for each in told if each["note"].startswith(events.COMBINED)]
    assert combined["note"].endswith("made vm-999")
    assert combined["series"]["count"] == 1000 - events.DIFFERENT
    assert len(book.kube.writes()) < 20


async def test_many_objects_do_not_cost_many_writes(book: Book) -> None:
    for number in range(1000):
        book.tell(about=vmi(f"vm-{number}"))
    assert len(await book.after(5)) <= 25
    book.now += 10
    book.tell(about=vmi("later"))
    assert any(each["regarding"]["name"] == "later" for each in await book.after(1))


async def test_an_event_that_expired_is_told_anew(book: Book) -> None:
    book.tell()
    await book.after(1)
    book.kube.objects.clear()
    book.tell()
    await book.after(3)
    book.tell()
    (event,) = await book.after(5)
    assert event["series"]["count"] == 3


async def test_an_event_that_cannot_be_written_is_dropped(book: Book) -> None:
    book.kube.refuse = refusing(Forbidden(403, "Forbidden", "namespace is terminating"), "POST")
    book.tell()
    assert await book.after(3) == []
    assert len(book.kube.writes()) == 1


async def test_a_long_note_is_cut(book: Book) -> None:
    book.tell(note="ä" * 5000)
    (event,) = await book.after(1)
    assert 900 < len(event["note"].encode()) <= events.NOTE


async def test_what_is_over_is_forgotten(book: Book) -> None:
    book.tell()
    await book.after(1)
    book.now += events.FORGET + 10
    await book.recorder.flush()
    assert book.recorder._series == {}
    assert book.recorder._notes == {}


def test_its_kind_is_events_k8s_io() -> None:
    assert KubeEvent.group_version == "events.k8s.io/v1"
