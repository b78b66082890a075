"""virtualmachines: migrate, as virtctl asks for it. What is answered is that a migration was made (202)."""

from aiohttp import web

from gateway import checks
from gateway.app import House, Subresource, Topic
from gateway.objects import body_of, dry, labels, maybe_vmi_of, vm_of
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigration
from hostler.runtime.protocol import Raw

PREFIX = "kubevirt-migrate-vm-"


async def migrate(request: web.Request, house: House) -> web.StreamResponse:
    body = await body_of(request)
    vm = await vm_of(house.kube, request)
    checks.migrate(vm, await maybe_vmi_of(house.kube, request))
    selector = labels(body, "addedNodeSelector")
    if not dry(body):
        meta = vm.metadata
        spec: Raw = {"vmiName": meta.name} | ({"addedNodeSelector": selector} if selector else {})
        move: Raw = {"metadata": {"generateName": PREFIX, "namespace": meta.namespace}, "spec": spec}
        await house.kube.create(VirtualMachineInstanceMigration, meta.namespace, move)
    return web.Response(status=202)


TOPIC: Topic = (Subresource("PUT", "virtualmachines", "migrate", migrate),)
