"""console, vnc and portforward: a web socket of the caller joined to one of the node's agent.

Frames are carried as they come, in both directions; their bytes are the guest's, and mean nothing here.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from aiohttp import ClientWebSocketResponse, WSMsgType, web
from prometheus_client import Gauge

from gateway import checks, metrics
from gateway.app import Answer, House, Subresource, Topic
from gateway.lifecycle import phase
from gateway.objects import maybe_vmi_of, vm_of, vmi_of
from gateway.refusals import VM, bad_request, conflict
from gateway.where import guest_path, node_of
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime.agents import PING

PROTOCOL = "plain.kubevirt.io"  # the one that KubeVirt's clients ask for and insist on
LARGEST = 2**20  # bytes of one message

Vmi = VirtualMachineInstance
Socket = web.WebSocketResponse | ClientWebSocketResponse


def shown(name: str, check: Callable[[Vmi], None], gauge: Gauge, options: Mapping[str, str]) -> Answer:
    """A stream of the guest's; `options` are the caller's query parameters, and what the agent calls them."""

    async def answer(request: web.Request, house: House) -> web.StreamResponse:
        vmi = await vmi_of(house.kube, request)
        check(vmi)
        query = {ours: "1" for theirs, ours in options.items() if request.query.get(theirs) == "true"}
        return await join(request, house, vmi, name, gauge, query)

    return answer


async def forward_to_vmi(request: web.Request, house: House) -> web.StreamResponse:
    return await forward(request, house, await vmi_of(house.kube, request))


async def forward_to_vm(request: web.Request, house: House) -> web.StreamResponse:
    vm, vmi = await vm_of(house.kube, request), await maybe_vmi_of(house.kube, request)
    if vmi is None or phase(vmi) != "Running":
        raise conflict(VM, vm.metadata.name, "VMI is not started")
    return await forward(request, house, vmi)


async def forward(request: web.Request, house: House, vmi: Vmi) -> web.StreamResponse:
    checks.port_forward(vmi)
    port, protocol = request.match_info["port"], request.match_info.get("protocol", "tcp")
    if protocol not in ("tcp", "udp") or not port.isdecimal() or not 0 < int(port) < 65536:
        raise bad_request(f"{port}/{protocol}: not a TCP or UDP port")
    return await join(request, house, vmi, f"portforward/{port}/{protocol}", metrics.PORTS, {})


async def join(  # noqa: PLR0913, PLR0917 - what is joined to what
    request: web.Request, house: House, vmi: Vmi, name: str, gauge: Gauge, query: Mapping[str, str]
) -> web.StreamResponse:
    """The agent first: what it refuses is answered with a code, not with a web socket that closes at once."""
    caller = web.WebSocketResponse(protocols=(PROTOCOL,), heartbeat=PING, max_msg_size=LARGEST, compress=False)
    if not caller.can_prepare(request):
        raise bad_request("this is served as a web socket: send Upgrade: websocket")
    kind = name.partition("/")[0]
    async with house.agents.stream(node_of(vmi), guest_path(vmi, name), query) as agent:
        await caller.prepare(request)
        with metrics.open_stream(kind, gauge, vmi.metadata.namespace, vmi.metadata.name):
            await joined(caller, agent)
        await caller.close()
        return caller


async def joined(caller: Socket, agent: Socket) -> None:
    """Until either side ends."""
    tasks = [asyncio.ensure_future(copy(caller, agent)), asyncio.ensure_future(copy(agent, caller))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def copy(source: Socket, target: Socket) -> None:
    with suppress(ConnectionError):
        async for message in source:
            if message.type is WSMsgType.BINARY:
                await target.send_bytes(message.data)
            elif message.type is WSMsgType.TEXT:
                await target.send_bytes(message.data.encode())


CONSOLE = shown("console", checks.console, metrics.CONSOLES, {"watch": "watch"})
SCREEN = shown("vnc", checks.vnc, metrics.SCREENS, {"preserveSession": "preserve"})
TOPIC: Topic = (
    Subresource("GET", "virtualmachineinstances", "console", CONSOLE),
    Subresource("GET", "virtualmachineinstances", "vnc", SCREEN),
    *(
        Subresource("GET", resource, "portforward", answer, tail)
        for resource, answer in (("virtualmachineinstances", forward_to_vmi), ("virtualmachines", forward_to_vm))
        for tail in ("/{port}", "/{port}/{protocol}")
    ),
)
