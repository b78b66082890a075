"""addvolume and removevolume, of virtualmachines and virtualmachineinstances. What is answered is that it was noted."""

from collections.abc import Callable

from aiohttp import web

from gateway import volumes
from gateway.app import Answer, House, Subresource, Topic
from gateway.lifecycle import Write
from gateway.objects import body_of, vm_of, vmi_of
from gateway.routes.vms import accept
from hostler.runtime.protocol import Raw

Change = Callable[[volumes.Machine, Raw], list[Write]]


def of_vm(change: Change) -> Answer:
    async def answer(request: web.Request, house: House) -> web.StreamResponse:
        body = await body_of(request)
        return await accept(house, change(await vm_of(house.kube, request), body), body)

    return answer


def of_vmi(change: Change) -> Answer:
    async def answer(request: web.Request, house: House) -> web.StreamResponse:
        body = await body_of(request)
        return await accept(house, change(await vmi_of(house.kube, request), body), body)

    return answer


TOPIC: Topic = (
    Subresource("PUT", "virtualmachines", "addvolume", of_vm(volumes.add)),
    Subresource("PUT", "virtualmachines", "removevolume", of_vm(volumes.remove)),
    Subresource("PUT", "virtualmachineinstances", "addvolume", of_vmi(volumes.add)),
    Subresource("PUT", "virtualmachineinstances", "removevolume", of_vmi(volumes.remove)),
)
