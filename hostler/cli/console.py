"""vmctl console: the guest's serial console on this terminal."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import aiohttp
import typer

from hostler.cli.stdin import chunks
from hostler.cli.target import PROTOCOL, Kubeconfig, Namespace, VirtualMachineInstances, parse, run
from hostler.runtime.kube import Api

ESCAPE = 0x1D  # Ctrl+]
QUIET = 2.0  # seconds without output after which a console that is fed from a pipe ends


def console(
    name: Annotated[str, typer.Argument(metavar="VMI", help="NAME, vmi/NAME or vm/NAME.")],
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    watch: Annotated[bool, typer.Option(help="Only look; whoever writes there stays.")] = False,
    timeout: Annotated[float | None, typer.Option(help="Seconds after which it ends.", min=0)] = None,
) -> None:
    """Connect this terminal to a guest's serial console. Ctrl+] ends it; a newer console ends an older one.

    Examples:

      vmctl console web

      vmctl console web --watch                   beside another one

      echo uptime | vmctl console web             what it prints until it is quiet

      vmctl console web --watch --timeout 60 | grep -m1 login:
    """
    _, only = parse(name)

    async def work(api: Api, place: str) -> None:
        query = {"watch": "true"} if watch else {}
        stream = api.stream(VirtualMachineInstances, place, only, "console", protocol=PROTOCOL, query=query)
        async with stream as socket:
            if sys.stdin.isatty():
                print(f"Connected to the console of {only}. The escape sequence is ^]\r", file=sys.stderr)
            with raw_terminal():
                await converse(socket, timeout, watch=watch)

    run(work, namespace, kubeconfig)


async def converse(socket: aiohttp.ClientWebSocketResponse, limit: float | None, *, watch: bool) -> None:
    """Until Ctrl+], the end of the console, or the time is over."""
    news = asyncio.Event()
    tasks = [asyncio.ensure_future(show(socket, news))]
    if not watch or sys.stdin.isatty():
        tasks.append(asyncio.ensure_future(type_in(socket, news, watch=watch)))
    try:
        await asyncio.wait(tasks, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception) and not isinstance(result, OSError):
                raise result


async def show(socket: aiohttp.ClientWebSocketResponse, news: asyncio.Event) -> None:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY:
            os.write(1, message.data)
            news.set()


async def type_in(socket: aiohttp.ClientWebSocketResponse, news: asyncio.Event, *, watch: bool) -> None:
    async for data in chunks():
        end = data.find(ESCAPE) if sys.stdin.isatty() else -1
        if not watch:
            await socket.send_bytes(data if end < 0 else data[:end])
        if end >= 0:
            return
    with suppress(TimeoutError):  # a pipe has ended: wait for the answers
        while True:
            news.clear()
            async with asyncio.timeout(QUIET):
                await news.wait()


@contextmanager
def raw_terminal() -> Iterator[None]:
    """Every key goes to the guest."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def add(app: typer.Typer) -> None:
    app.command()(console)
