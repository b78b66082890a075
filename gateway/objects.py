"""The objects that requests are about, and the bodies of requests."""

from typing import TypeVar

import orjson
from aiohttp import web

from gateway.lifecycle import Write
from gateway.refusals import VM, VMI, bad_request, conflict, not_found
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.meta import Resource
from hostler.runtime.errors import Conflict, Invalid, NotFound
from hostler.runtime.protocol import Kube, Raw

R = TypeVar("R", bound=Resource)
# how the API server says that a "test" of a patch has failed: somebody else was faster
FASTER = ("due to an error in our request", "testing value", "testing path")


def place(request: web.Request) -> tuple[str, str]:
    """Namespace and name."""
    return request.match_info["namespace"], request.match_info["name"]


async def vm_of(kube: Kube, request: web.Request) -> VirtualMachine:
    return await _get(kube, VirtualMachine, VM, *place(request))


async def vmi_of(kube: Kube, request: web.Request) -> VirtualMachineInstance:
    return await _get(kube, VirtualMachineInstance, VMI, *place(request))


async def maybe_vmi_of(kube: Kube, request: web.Request) -> VirtualMachineInstance | None:
    try:
        return VirtualMachineInstance.model_validate(await kube.get(VirtualMachineInstance, *place(request)))
    except NotFound:
        return None


async def _get(kube: Kube, kind: type[R], word: str, namespace: str, name: str) -> R:
    try:
        return kind.model_validate(await kube.get(kind, namespace, name))
    except NotFound:
        raise not_found(word, name) from None


async def body_of(request: web.Request) -> Raw:
    """The options that came with a request; none is as good as empty ones."""
    text = await request.read()
    try:
        body = orjson.loads(text) if text else {}
    except ValueError as error:
        raise bad_request(f"the request's body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise bad_request("the request's body is not an object")
    return body


def number(body: Raw, key: str) -> int | None:
    value = body.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise bad_request(f"{key}: {value!r} is not a whole number")
    return value


def labels(body: Raw, key: str) -> dict[str, str]:
    value = body.get(key) or {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise bad_request(f"{key}: {value!r} is not an object of strings")
    return value


def dry(body: Raw) -> bool:
    """Whether nothing is to be done really."""
    asked = body.get("dryRun") or []
    if asked not in ([], ["All"]):
        raise bad_request(f'dryRun: {asked!r}: only ["All"] is known')
    return bool(asked)


async def carry_out(kube: Kube, write: Write) -> None:
    meta, kind = write.target.metadata, type(write.target)
    word = VM if kind is VirtualMachine else VMI
    try:
        await kube.patch(kind, meta.namespace, meta.name, write.ops, write.subresource)
    except NotFound:
        raise not_found(word, meta.name) from None
    except Conflict as error:
        raise conflict(word, meta.name, error.message) from None
    except Invalid as error:
        if not any(each in error.message for each in FASTER):
            raise  # what was asked for is not allowed, and another try does not help
        raise conflict(word, meta.name, error.message) from None
