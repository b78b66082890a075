"""virtualmachines: start, stop, restart. What is answered is that the wish was noted (202)."""

from aiohttp import web

from gateway import lifecycle
from gateway.app import House, Subresource, Topic
from gateway.lifecycle import Write
from gateway.objects import body_of, carry_out, dry, maybe_vmi_of, number, vm_of
from hostler.runtime.protocol import Raw


async def start(request: web.Request, house: House) -> web.StreamResponse:
    body = await body_of(request)
    vm, vmi = await vm_of(house.kube, request), await maybe_vmi_of(house.kube, request)
    return await accept(house, lifecycle.start(vm, vmi, paused=bool(body.get("paused"))), body)


async def stop(request: web.Request, house: House) -> web.StreamResponse:
    body = await body_of(request)
    vm, vmi = await vm_of(house.kube, request), await maybe_vmi_of(house.kube, request)
    return await accept(house, lifecycle.stop(vm, vmi, number(body, "gracePeriod")), body)


async def restart(request: web.Request, house: House) -> web.StreamResponse:
    body = await body_of(request)
    vm, vmi = await vm_of(house.kube, request), await maybe_vmi_of(house.kube, request)
    return await accept(house, lifecycle.restart(vm, vmi, number(body, "gracePeriodSeconds")), body)


async def accept(house: House, writes: list[Write], body: Raw) -> web.StreamResponse:
    if not dry(body):
        for write in writes:
            await carry_out(house.kube, write)
    return web.Response(status=202)


TOPIC: Topic = tuple(
    Subresource("PUT", "virtualmachines", name, answer)
    for name, answer in (("start", start), ("stop", stop), ("restart", restart))
)
