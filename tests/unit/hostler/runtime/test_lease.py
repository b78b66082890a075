"""One leads, the others wait; and who cannot renew stops in time."""

import asyncio
from typing import Any

import pytest

from hostler.api.objects import Lease
from hostler.runtime.errors import Conflict, Unavailable
from hostler.runtime.lease import Election, LeaseLost
from tests.unit.hostler.runtime.fake_kube import FakeKube, refusing

NS, NAME = "hostler", "manager"
LONG = 30.0  # seconds for what comes at once, but on a machine that does much else


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


def candidate(kube: FakeKube, identity: str, **options: Any) -> Election:
    return Election(kube, NS, NAME, identity, **({"duration": 1.0, "deadline": 0.2, "period": 0.02} | options))


def holder(kube: FakeKube) -> str:
    return str(kube.objects["leases", NS, NAME]["spec"]["holderIdentity"])


async def leads(election: Election, seconds: float = 0.15) -> bool:
    try:
        await asyncio.wait_for(election.acquire(), seconds)
    except TimeoutError:
        return False
    return True


async def test_the_first_leads_and_the_second_waits(kube: FakeKube) -> None:
    assert await leads(candidate(kube, "a"), LONG)
    assert holder(kube) == "a"
    assert not await leads(candidate(kube, "b"))
    assert holder(kube) == "a"


async def test_who_renews_keeps_it(kube: FakeKube) -> None:
    first = candidate(kube, "a")
    assert await leads(first, LONG)
    keep = asyncio.create_task(first.keep())
    assert not await leads(candidate(kube, "b", duration=0.5), 1.0)
    assert not keep.done()
    keep.cancel()


async def test_who_does_not_renew_loses_it_after_its_time(kube: FakeKube) -> None:
    clock = [0.0]
    assert await leads(candidate(kube, "a"), LONG)
    second = candidate(kube, "b", clock=lambda: clock[0])
    assert not await leads(second)
    clock[0] = 0.9
    assert not await leads(second)
    clock[0] = 1.1
    assert await leads(second, LONG)
    assert holder(kube) == "b"
    assert kube.objects["leases", NS, NAME]["spec"]["leaseTransitions"] == 1


async def test_released_is_free_at_once(kube: FakeKube) -> None:
    first = candidate(kube, "a")
    assert await leads(first, LONG)
    await first.release()
    assert await leads(candidate(kube, "b"), LONG)


async def test_a_restarted_process_of_the_same_name_goes_on(kube: FakeKube) -> None:
    assert await leads(candidate(kube, "a"), LONG)
    assert await leads(candidate(kube, "a"), LONG)


async def test_two_at_once_do_not_both_lead(kube: FakeKube) -> None:
    results = await asyncio.gather(*(leads(candidate(kube, name), 0.5) for name in "abcde"))
    assert sum(results) == 1


async def test_another_holder_means_stop(kube: FakeKube) -> None:
    first = candidate(kube, "a")
    assert await leads(first, LONG)
    await kube.patch(Lease, NS, NAME, {"spec": {"holderIdentity": "b"}})
    with pytest.raises(LeaseLost, match="another process holds the lease"):
        await asyncio.wait_for(first.keep(), LONG)
    await first.release()
    assert holder(kube) == "b", "nobody may release what another holds"


async def test_a_write_of_ours_whose_answer_was_lost_is_no_loss(kube: FakeKube) -> None:
    first = candidate(kube, "a")
    assert await leads(first, LONG)
    await kube.patch(Lease, NS, NAME, {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}})
    keep = asyncio.create_task(first.keep())
    await asyncio.sleep(0.1)
    assert not keep.done()
    keep.cancel()


async def test_who_cannot_renew_stops_before_another_may_start(kube: FakeKube) -> None:
    first = candidate(kube, "a")
    assert await leads(first, LONG)
    kube.refuse = refusing(Unavailable(0, "NoAnswer", "connection refused"), "PATCH", "GET")
    start = asyncio.get_running_loop().time()
    with pytest.raises(LeaseLost, match="not renewed"):
        await asyncio.wait_for(first.keep(), LONG)
    assert asyncio.get_running_loop().time() - start < 1.0


async def test_a_short_outage_is_lived_through(kube: FakeKube) -> None:
    first = candidate(kube, "a", deadline=0.5)
    assert await leads(first, LONG)
    keep = asyncio.create_task(first.keep())
    kube.refuse = refusing(Unavailable(0, "NoAnswer", "connection refused"), "PATCH")
    await asyncio.sleep(0.1)
    kube.refuse = lambda *_: None
    await asyncio.sleep(0.1)
    assert not keep.done()
    keep.cancel()


async def test_an_unreachable_server_is_waited_for(kube: FakeKube) -> None:
    kube.refuse = refusing(Unavailable(0, "NoAnswer", "connection refused"), "GET")
    election = candidate(kube, "a")
    assert not await leads(election)
    kube.refuse = lambda *_: None
    assert await leads(election, LONG)


async def test_only_a_write_of_ours_counts(kube: FakeKube) -> None:
    """After a lost answer the lease is as old as its last write, however often it is read."""
    one = candidate(kube, "a", deadline=0.3)
    await one.acquire()
    at = one._renewed
    one._version = "0"  # the server has written once more than we know

    def refuse(verb: str, kind: object, _name: str) -> None:
        if verb == "PATCH" and kind is Lease:
            refused.append(verb)
            raise Conflict(409, "Conflict", "the object has been modified")

    refused: list[str] = []
    kube.refuse = refuse
    with pytest.raises(LeaseLost, match="not renewed"):
        await one.keep()
    assert one._renewed == at
    assert len(refused) > 2, "it tried again"


async def test_the_last_attempt_ends_in_time(kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a pause and two periods later, which here would be minutes."""
    one = candidate(kube, "a", deadline=0.5, period=LONG * 2)
    await one.acquire()
    with pytest.raises(LeaseLost, match="stood still"):
        await asyncio.wait_for(one.keep(), LONG)
    other = candidate(kube, "b", deadline=0.5, period=0.01)
    other._version, other._renewed, other._period = "1", other._clock(), 0.01

    async def never(*_: Any, **__: Any) -> Any:
        other._period = LONG * 2
        await asyncio.sleep(LONG * 2)

    monkeypatch.setattr(kube, "patch", never)
    with pytest.raises(LeaseLost, match="TimeoutError"):
        await asyncio.wait_for(other.keep(), LONG)


async def test_an_answer_that_comes_too_late_is_no_lease(kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> None:
    one, create = candidate(kube, "a"), kube.create

    async def late(*args: Any, **more: Any) -> Any:
        answer = await create(*args, **more)
        await asyncio.sleep(0.15)  # of the 0.2 s for which it might lead
        return answer

    monkeypatch.setattr(kube, "create", late)
    await one.acquire()
    assert [verb for verb, plural, _ in kube.calls if plural == "leases" and verb in ("POST", "PATCH")] != ["POST"]
