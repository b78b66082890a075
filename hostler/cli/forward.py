"""vmctl port-forward and vnc: ports of this host that lead to a guest."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated

import aiohttp
import typer

from hostler.cli.options import Output, OutputOption
from hostler.cli.stdin import chunks
from hostler.cli.target import (
    PROTOCOL,
    Kubeconfig,
    Namespace,
    VirtualMachineInstances,
    parse,
    run,
    show,
    told,
)
from hostler.runtime.errors import ApiError, Terminal
from hostler.runtime.kube import Api
from hostler.runtime.race import first

CHUNK = 65536
Socket = aiohttp.ClientWebSocketResponse
Dial = Callable[[], AbstractAsyncContextManager[Socket]]


@dataclass(frozen=True)
class Forward:
    """tcp/LOCAL:REMOTE."""

    local: int
    remote: int

    @classmethod
    def parse(cls, text: str) -> "Forward":
        protocol, slash, ports = text.rpartition("/")
        local, _, remote = ports.partition(":")
        numbers = [local, remote or local]
        if (slash and protocol != "tcp") or not all(n.isdecimal() and int(n) < 65536 for n in numbers):
            raise Terminal("InvalidPort", f"{text!r}: write PORT, LOCAL:REMOTE or tcp/LOCAL:REMOTE")
        return cls(int(numbers[0]), int(numbers[1]))


def port_forward(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    target: Annotated[str, typer.Argument(metavar="VMI", help="NAME, vmi/NAME or vm/NAME.")],
    ports: Annotated[list[str], typer.Argument(metavar="LOCAL:REMOTE...", help="Local port 0: any that is free.")],
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    address: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    stdio: Annotated[bool, typer.Option(help="Standard input and output in place of a local port.")] = False,
) -> None:
    """Lead local ports to ports of a guest, until Ctrl+C.

    Examples:

      vmctl port-forward web 8080:80

      vmctl port-forward vm/web 2222:22 8080:80

      ssh -o ProxyCommand='vmctl port-forward --stdio web 22' user@web
    """
    kind, name = parse(target)
    wanted = [Forward.parse(each) for each in ports]

    async def work(api: Api, place: str) -> None:
        def dial(remote: int) -> Dial:
            return lambda: api.stream(kind, place, name, f"portforward/{remote}/tcp", protocol=PROTOCOL)

        if stdio:
            async with dial(wanted[0].remote)() as socket:
                await over_stdio(socket)
            return
        servers = [await listen(dial(each.remote), address, each.local) for each in wanted]
        for each, server in zip(wanted, servers, strict=True):
            port = server.sockets[0].getsockname()[1]
            print(f"Forwarding from {address}:{port} -> {each.remote}", flush=True)
        await asyncio.gather(*(server.serve_forever() for server in servers))

    run(work, namespace, kubeconfig)


def vnc(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    target: Annotated[str, typer.Argument(metavar="VMI", help="NAME, vmi/NAME or vm/NAME.")],
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    address: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Local port; 0: any that is free.", min=0, max=65535)] = 0,
    output: OutputOption = Output.TEXT,
) -> None:
    """Lead a local port to a guest's screen, for the VNC viewer that you like, until Ctrl+C.

    Examples:

      vmctl vnc web                    tells the port

      vmctl vnc web --port 5901 & vncviewer 127.0.0.1:1
    """
    _, name = parse(target)

    async def work(api: Api, place: str) -> None:
        def dial() -> AbstractAsyncContextManager[Socket]:
            return api.stream(VirtualMachineInstances, place, name, "vnc", protocol=PROTOCOL)

        async with dial():
            pass  # what stands against it is told now, not to the viewer
        server = await listen(dial, address, port)
        chosen = server.sockets[0].getsockname()[1]
        if output is Output.JSON:
            show({"port": chosen})
        else:
            print(f"the screen of {name} is at {address}:{chosen}, display {address}:{chosen - 5900}")
        sys.stdout.flush()
        await server.serve_forever()

    run(work, namespace, kubeconfig)


async def listen(dial: Dial, address: str, port: int) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with dial() as socket:
                await joined(socket, reader, writer)
        except ApiError as error:
            print(f"error: {told(error)}", file=sys.stderr, flush=True)
        finally:
            writer.close()

    try:
        return await asyncio.start_server(serve, address, port)
    except OSError as error:
        raise Terminal("CannotListen", f"{address}:{port}: {error.strerror}") from None


async def over_stdio(socket: Socket) -> None:
    async def send() -> None:
        async for data in chunks():
            await socket.send_bytes(data)

    async def receive() -> None:
        async for data in binary(socket):
            os.write(1, data)

    await first(send(), receive())


async def joined(socket: Socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async def send() -> None:
        while data := await reader.read(CHUNK):
            await socket.send_bytes(data)
        await asyncio.Event().wait()  # the answer may still be coming; the guest's end ends it

    async def receive() -> None:
        async for data in binary(socket):
            writer.write(data)
            await writer.drain()

    await first(send(), receive())


async def binary(socket: Socket) -> AsyncIterator[bytes]:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY:
            yield message.data


def add(app: typer.Typer) -> None:
    app.command("port-forward")(port_forward)
    app.command()(vnc)
