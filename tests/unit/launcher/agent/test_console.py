"""A console with many readers: none waits for another, and the guest waits for nobody."""

import asyncio
import socket

from launcher.agent.console import ROOM, Console, Session
from launcher.agent.turns import Turns


async def opened() -> tuple[Console, socket.socket]:
    ours, guests = socket.socketpair()
    ours.setblocking(False)
    guests.setblocking(False)
    return Console(*await asyncio.open_unix_connection(sock=ours)), guests


async def test_all_see_what_is_printed_and_what_is_written_arrives():
    console, guest = await opened()
    first, second = console.join(), console.join()
    guest.send(b"login: ")
    assert await first.read() == await second.read() == b"login: "
    await console.write(b"root\n")
    assert await asyncio.get_running_loop().sock_recv(guest, 100) == b"root\n"
    assert not console.leave(first)
    assert console.leave(second), "the last one closes it"
    await asyncio.sleep(0.01)
    assert console.over
    guest.close()


async def test_the_end_of_the_guest_ends_the_sessions():
    console, guest = await opened()
    session = console.join()
    guest.send(b"bye")
    guest.close()
    assert await session.read() == b"bye"
    assert await session.read() == b""
    console.leave(session)


async def test_who_reads_slowly_loses_the_oldest_and_is_told():
    session = Session()
    for number in range(3 * ROOM // 65536):
        session.offer(bytes([number]) * 65536)
    data = await session.read()
    assert len(data) < ROOM + 100
    assert b"bytes were dropped" in data[:60]
    assert data.endswith(bytes([23]) * 65536)


def test_a_newer_turn_ends_the_older_one():
    turns = Turns()
    with (
        turns.take(("uid", "console")) as old,
        turns.take(("uid", "vnc")) as other,
        turns.take(("uid", "console")) as new,
    ):
        assert (old.is_set(), other.is_set(), new.is_set()) == (True, False, False)
    assert not turns._active
