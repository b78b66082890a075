"""The device plugin against a kubelet's end of the API: its registration socket, and its calls to the plugin."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from launcher.agent import deviceplugin_pb2 as pb
from launcher.agent.deviceplugin import Device, Plugin, always

SOON = 60.0


class Kubelet:
    """Takes registrations, and asks plugins as the kubelet does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registered: asyncio.Queue[pb.RegisterRequest] = asyncio.Queue()
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """As the real one: remove all that is in the folder, then listen."""
        for path in self.folder.iterdir():
            path.unlink()
        self._server = grpc.aio.server()
        methods = {
            "Register": grpc.unary_unary_rpc_method_handler(
                self._register, pb.RegisterRequest.FromString, pb.Empty.SerializeToString
            )
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("v1beta1.Registration", methods),))
        self._server.add_insecure_port(f"unix:{self.folder / 'kubelet.sock'}")
        await self._server.start()

    async def stop(self) -> None:
        assert self._server is not None
        await self._server.stop(None)

    async def _register(self, request: pb.RegisterRequest, _context: object) -> pb.Empty:
        self.registered.put_nowait(request)
        return pb.Empty()

    async def registration(self) -> pb.RegisterRequest:
        return await asyncio.wait_for(self.registered.get(), SOON)

    def call(self, channel: grpc.aio.Channel, method: str, request: Any, answer: Any) -> Any:
        kind = channel.unary_stream if method == "ListAndWatch" else channel.unary_unary
        return kind(f"/v1beta1.DevicePlugin/{method}", type(request).SerializeToString, answer.FromString)(request)

    @contextlib.asynccontextmanager
    async def watch(self, endpoint: str) -> AsyncIterator[Any]:
        """Sizes of the lists that the plugin sends."""
        async with grpc.aio.insecure_channel(f"unix:{self.folder / endpoint}") as channel:
            stream = self.call(channel, "ListAndWatch", pb.Empty(), pb.ListAndWatchResponse)
            yield lambda: asyncio.wait_for(size(stream), SOON)
            stream.cancel()


async def reaches(sizes: Callable[[], Awaitable[int]], wanted: int) -> None:
    while await sizes() != wanted:
        pass


async def size(stream: Any) -> int:
    answer = await stream.read()
    assert {device.health for device in answer.devices} <= {"Healthy"}
    return len({device.id for device in answer.devices})


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a socket's has at most 107 characters."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


@pytest.fixture
async def kubelet(folder: Path) -> AsyncIterator[Kubelet]:
    made = Kubelet(folder)
    await made.start()
    yield made
    await made.stop()


@contextlib.asynccontextmanager
async def running(plugin: Plugin) -> AsyncIterator[None]:
    task = asyncio.create_task(plugin.run())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def tun(node: Path) -> Device:
    return Device("devices.kubevirt.io/tun", node)


async def test_a_device_is_registered_listed_and_given(kubelet: Kubelet, tmp_path: Path) -> None:
    node = tmp_path / "tun"
    node.touch()
    async with running(Plugin(kubelet.folder, tun(node), always)):
        request = await kubelet.registration()
        assert (request.version, request.resource_name) == ("v1beta1", "devices.kubevirt.io/tun")
        async with kubelet.watch(request.endpoint) as sizes:
            await reaches(sizes, 1000)
        async with grpc.aio.insecure_channel(f"unix:{kubelet.folder / request.endpoint}") as channel:
            options = await kubelet.call(channel, "GetDevicePluginOptions", pb.Empty(), pb.DevicePluginOptions)
            assert not options.pre_start_required
            wanted = pb.AllocateRequest(container_requests=[pb.ContainerAllocateRequest(devices_ids=["tun7"])])
            given = await kubelet.call(channel, "Allocate", wanted, pb.AllocateResponse)
        (container,) = given.container_responses
        (device,) = container.devices
        assert (device.container_path, device.host_path, device.permissions) == (str(node), str(node), "rw")


async def test_a_device_that_comes_and_goes(kubelet: Kubelet, tmp_path: Path) -> None:
    node = tmp_path / "tun"
    async with running(Plugin(kubelet.folder, tun(node), always)):
        request = await kubelet.registration()
        async with kubelet.watch(request.endpoint) as sizes:
            assert await sizes() == 0
            node.touch()
            await reaches(sizes, 1000)
            node.unlink()
            await reaches(sizes, 0)


async def test_a_device_that_does_not_work_is_not_offered(kubelet: Kubelet, tmp_path: Path) -> None:
    node = tmp_path / "kvm"
    node.touch()
    asked = asyncio.Event()

    async def no() -> bool:
        asked.set()
        return False

    async with running(Plugin(kubelet.folder, tun(node), no)):
        request = await kubelet.registration()
        await asyncio.wait_for(asked.wait(), SOON)
        async with kubelet.watch(request.endpoint) as sizes:
            assert await sizes() == 0


async def test_a_restarted_kubelet_is_told_again(kubelet: Kubelet, tmp_path: Path) -> None:
    node = tmp_path / "tun"
    node.touch()
    async with running(Plugin(kubelet.folder, tun(node), always)):
        await kubelet.registration()
        await kubelet.stop()
        await kubelet.start()
        request = await kubelet.registration()
        async with kubelet.watch(request.endpoint) as sizes:
            await reaches(sizes, 1000)


async def test_a_kubelet_that_comes_later(folder: Path, tmp_path: Path) -> None:
    late = Kubelet(folder)
    async with running(Plugin(folder, tun(tmp_path), always)):
        await asyncio.sleep(0.1)
        await late.start()
        await late.registration()
    await late.stop()
