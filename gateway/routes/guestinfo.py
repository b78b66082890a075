"""virtualmachineinstances: guestosinfo, userlist, filesystemlist: what the agent in the guest says."""

from aiohttp import web

from gateway import checks
from gateway.app import House, Subresource, Topic
from gateway.objects import vmi_of
from gateway.where import guest_path, node_of
from hostler.runtime.protocol import Raw

API = {"apiVersion": "subresources.kubevirt.io/v1"}


async def look(request: web.Request, house: House) -> Raw:
    vmi = await vmi_of(house.kube, request)
    checks.guest_agent(vmi)
    return await house.agents.call(node_of(vmi), "GET", guest_path(vmi, "guestosinfo"))


async def guest_os_info(request: web.Request, house: House) -> web.StreamResponse:
    return web.json_response(API | {"kind": "VirtualMachineInstanceGuestAgentInfo"} | await look(request, house))


async def user_list(request: web.Request, house: House) -> web.StreamResponse:
    kind = {"kind": "VirtualMachineInstanceGuestOSUserList", "metadata": {}}
    return web.json_response(API | kind | {"items": (await look(request, house)).get("userList", [])})


async def file_systems(request: web.Request, house: House) -> web.StreamResponse:
    kind = {"kind": "VirtualMachineInstanceFileSystemList", "metadata": {}}
    found = (await look(request, house)).get("fsInfo", {})
    return web.json_response(API | kind | {"items": found.get("disks", [])})


TOPIC: Topic = tuple(
    Subresource("GET", "virtualmachineinstances", name, answer)
    for name, answer in (("guestosinfo", guest_os_info), ("userlist", user_list), ("filesystemlist", file_systems))
)
