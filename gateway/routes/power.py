"""virtualmachineinstances: pause, unpause, softreboot; carried out by the node's agent before the answer comes."""

from collections.abc import Callable

from aiohttp import web

from gateway import checks
from gateway.app import Answer, House, Subresource, Topic
from gateway.objects import body_of, dry, vmi_of
from gateway.where import guest_path, node_of
from hostler.api.kubevirt.vmi import VirtualMachineInstance


def ask(name: str, check: Callable[[VirtualMachineInstance], None]) -> Answer:
    async def answer(request: web.Request, house: House) -> web.StreamResponse:
        body = await body_of(request)
        vmi = await vmi_of(house.kube, request)
        check(vmi)
        if not dry(body):
            await house.agents.call(node_of(vmi), "PUT", guest_path(vmi, name))
        return web.Response(status=200)

    return answer


TOPIC: Topic = tuple(
    Subresource("PUT", "virtualmachineinstances", name, ask(name, check))
    for name, check in (("pause", checks.pause), ("unpause", checks.unpause), ("softreboot", checks.soft_reboot))
)
