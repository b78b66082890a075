"""/dev/kvm, /dev/net/tun and /dev/vhost-net as resources of the node, by the kubelet's device plugin API.

Any number of guests can use them at once, so each is advertised many times; or not at all where it does not work.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from hostler.api import launcher
from launcher.agent import deviceplugin_pb2 as pb
from launcher.agent import kvm

VERSION = "v1beta1"
KUBELET = "kubelet.sock"
SLOTS = 1000  # more than a node has pods
LOOK = 1.0  # seconds between looks at the device and at the kubelet's socket
CALL = 10.0
HEALTHY = "Healthy"
# gRPC's keepalives and compression have no use on a Unix socket
OPTIONS = (("grpc.enable_http_proxy", 0),)

log = logging.getLogger(__name__)

Usable = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class Device:
    """A device node that pods may ask for."""

    resource: str
    node: Path

    @property
    def endpoint(self) -> str:
        return f"{self.resource.replace('/', '-')}.sock"


TUN = Device(launcher.TUN, Path("/dev/net/tun"))
VHOST_NET = Device(launcher.VHOST_NET, Path("/dev/vhost-net"))
KVM = Device(launcher.KVM, kvm.DEVICE)


class Plugin:
    """One device, offered to the kubelet whose sockets are in this folder, for as long as `run` runs."""

    def __init__(self, folder: Path, device: Device, usable: Usable) -> None:
        self._folder = folder
        self._device = device
        self._usable = usable
        self._slots = 0
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        """Serve and register; again whenever the kubelet starts anew: it then forgets its plugins and their sockets."""
        while True:
            kubelet = identity(self._folder / KUBELET)
            if kubelet is None:
                await asyncio.sleep(LOOK)
                continue
            server = await self._serve()
            try:
                await self._register()
                while kubelet == identity(self._folder / KUBELET) and self._socket.exists():
                    await self._look()
                    await asyncio.sleep(LOOK)
            except grpc.aio.AioRpcError as error:
                log.warning("the kubelet refused a device plugin", extra=self._fields(error=error.details()))
                await asyncio.sleep(LOOK)
            finally:
                await server.stop(None)

    @property
    def _socket(self) -> Path:
        return self._folder / self._device.endpoint

    async def _serve(self) -> grpc.aio.Server:
        self._socket.unlink(missing_ok=True)
        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(f"{VERSION}.DevicePlugin", self._methods()),)
        )
        server.add_insecure_port(f"unix:{self._socket}")
        await server.start()
        return server

    def _methods(self) -> "dict[str, grpc.RpcMethodHandler[Any, Any]]":
        return {
            "GetDevicePluginOptions": grpc.unary_unary_rpc_method_handler(
                self._options, pb.Empty.FromString, pb.DevicePluginOptions.SerializeToString
            ),
            "ListAndWatch": grpc.unary_stream_rpc_method_handler(
                self._list_and_watch, pb.Empty.FromString, pb.ListAndWatchResponse.SerializeToString
            ),
            "Allocate": grpc.unary_unary_rpc_method_handler(
                self._allocate, pb.AllocateRequest.FromString, pb.AllocateResponse.SerializeToString
            ),
        }

    async def _register(self) -> None:
        """Introduce ourselves to the kubelet; it then calls us."""
        async with grpc.aio.insecure_channel(f"unix:{self._folder / KUBELET}", options=OPTIONS) as channel:
            register = channel.unary_unary(
                f"/{VERSION}.Registration/Register", pb.RegisterRequest.SerializeToString, pb.Empty.FromString
            )
            request = pb.RegisterRequest(
                version=VERSION, endpoint=self._device.endpoint, resource_name=self._device.resource
            )
            await register(request, timeout=CALL)
        log.info("registered with the kubelet", extra=self._fields())

    async def _look(self) -> None:
        slots = SLOTS if self._device.node.exists() and await self._usable() else 0
        if slots != self._slots:
            log.info("device", extra=self._fields(slots=slots))
            self._slots = slots
            async with self._changed:
                self._changed.notify_all()

    async def _options(self, _request: object, _context: object) -> pb.DevicePluginOptions:
        return pb.DevicePluginOptions()

    async def _list_and_watch(self, _request: object, _context: object) -> AsyncIterator[pb.ListAndWatchResponse]:
        """All slots, now and whenever they change."""
        while True:
            slots = self._slots
            name = self._device.resource.rpartition("/")[2]
            yield pb.ListAndWatchResponse(devices=[pb.Device(id=f"{name}{i}", health=HEALTHY) for i in range(slots)])
            async with self._changed:
                await self._changed.wait_for(lambda: self._slots != slots)  # noqa: B023 - awaited in this turn

    async def _allocate(self, request: pb.AllocateRequest, _context: object) -> pb.AllocateResponse:
        node = str(self._device.node)
        spec = pb.DeviceSpec(container_path=node, host_path=node, permissions="rw")
        answer = pb.ContainerAllocateResponse(devices=[spec])
        return pb.AllocateResponse(container_responses=[answer for _ in request.container_requests])

    def _fields(self, **more: object) -> dict[str, object]:
        return {"resource": self._device.resource} | more


def identity(path: Path) -> tuple[int, int] | None:
    """Which file this is; a socket that is made anew is another one."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_ctime_ns


async def always() -> bool:
    return True
