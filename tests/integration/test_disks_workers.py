"""DataVolumes on a real API server, by a real Redis and real Celery workers; each of them is killed in the middle."""

import asyncio
import gzip
import hashlib
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from hostler.api.objects import PersistentVolumeClaim, Pod
from hostler.runtime import disk_report as report
from hostler.runtime.kube import connect
from tests.integration.apiserver import ApiServer
from tests.integration.disk_workers import Dispatcher, Kubelet, Place, Redis, redis_running
from tests.integration.upload_key import CERTIFICATE
from tests.integration.webserver import Site, serving
from v2v import worker_pod
from v2v.broker import Admin
from v2v.settings import DiskSettings

MIB = 1 << 20
DISK = random.Random(1).randbytes(2 * MIB) + bytes(3 * MIB) + random.Random(2).randbytes(MIB)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with redis_running(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def dispatcher(hostler: ApiServer, broker: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dispatcher]:
    account = hostler.account("hostler", "hostler-disks")
    process = Dispatcher(account, broker, tmp_path_factory.mktemp("dispatcher"), CERTIFICATE)
    process.start()
    yield process
    assert process.stop() == 0


@pytest.fixture
async def place(
    hostler: ApiServer, dispatcher: Dispatcher, namespace: str, broker: Redis, tmp_path: Path
) -> AsyncIterator[Place]:
    api = await connect(str(hostler.kubeconfig), "test")
    kubelet = Kubelet(api, hostler, namespace, tmp_path, broker)
    task = asyncio.create_task(kubelet.run())
    try:
        yield Place(api, namespace, kubelet)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await api.close()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site(DISK)) as one:
        yield one


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def whole(data: bytes, size: int = 8 * MIB) -> bytes:
    return data + bytes(size - len(data))


async def test_import(place: Place, site: Site) -> None:
    site.content = gzip.compress(DISK, 1)
    await place.create("disk", {"http": {"url": site.url, "checksum": sha256(site.content)}})
    status = await place.until("disk", "Succeeded", "Failed")
    assert status["phase"] == "Succeeded", status
    assert (status["progress"], status["claimName"], status.get("restartCount", 0)) == ("100.0%", "disk", 0)
    said = {each["type"]: (each["status"], each.get("reason", "")) for each in status["conditions"]}
    assert said == {"Bound": ("True", "Bound"), "Running": ("False", "Completed"), "Ready": ("True", "")}
    assert place.disk("disk") == whole(DISK)
    claim = await place.api.get(PersistentVolumeClaim, place.namespace, "disk")
    assert claim["metadata"]["annotations"]["cdi.kubevirt.io/storage.pod.phase"] == "Succeeded"
    assert claim["metadata"]["annotations"]["cdi.kubevirt.io/storage.populatedFor"] == "disk"
    assert claim["spec"]["resources"]["requests"]["storage"] == str(9 * MIB)  # 8 MiB and a file system
    while (await place.api.list(Pod, place.namespace))[0]:  # noqa: ASYNC110 - its pod goes
        await asyncio.sleep(0.1)
    assert await place.event("disk", "ImportScheduled")
    assert await place.event("disk", "ImportSucceeded")


async def test_a_wrong_checksum(place: Place, site: Site) -> None:
    await place.create("disk", {"http": {"url": site.url, "checksum": "sha256:" + "0" * 64}})
    await place.until("disk", "Failed")
    running = await place.condition("disk", "Running")
    assert running["reason"] == "ChecksumMismatch"
    assert sha256(DISK).removeprefix("sha256:") in running["message"]
    assert "expected 0000" in await place.event("disk", "ImportFailed")


async def test_a_worker_killed_in_the_middle(place: Place, site: Site) -> None:
    """Its task is taken up within seconds, though the broker would deliver it anew only after days."""
    site.pause = 0.15  # 96 pieces: 14 s
    made = (await place.create("disk", {"http": {"url": site.url, "checksum": sha256(DISK)}}))["metadata"]["uid"]
    await place.until("disk", "ImportInProgress")
    while not await safe(place, made):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    before = len(site.seen)
    place.worker("disk").process.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    while len(site.seen) == before:
        assert time.monotonic() - killed < 60
        await asyncio.sleep(0.05)
    print(f"taken up again after {time.monotonic() - killed:.1f} s from {site.seen[-1].get('Range')}")
    site.pause = 0
    status = await place.until("disk", "Succeeded")
    assert place.disk("disk") == whole(DISK)
    assert status["restartCount"] == 1
    assert site.seen[-1]["Range"].startswith("bytes="), "it goes on from where it was"


async def safe(place: Place, uid: str) -> int:
    """Bytes from which another worker can go on."""
    known = report.read((await place.get("disk"))["metadata"].get("annotations", {}), uid)
    return known.offset if known else 0


async def test_the_dispatcher_and_the_broker_killed(
    place: Place, site: Site, broker: Redis, dispatcher: Dispatcher
) -> None:
    site.pause = 0.05
    for name in ("one", "two"):
        await place.create(name, {"http": {"url": site.url, "checksum": sha256(DISK)}})
    await place.until("one", "ImportInProgress")
    dispatcher.stop(signal.SIGKILL)
    broker.kill()
    await place.create("three", {"http": {"url": site.url, "checksum": sha256(DISK)}})
    await asyncio.sleep(1)
    broker.start()
    dispatcher.start()
    site.pause = 0
    for name in ("one", "two", "three"):
        await place.until(name, "Succeeded", limit=180)
        assert place.disk(name) == whole(DISK)


async def test_blank_and_clone(place: Place) -> None:
    await place.create("blank", {"blank": {}})
    await place.until("blank", "Succeeded")
    assert place.disk("blank") == bytes(8 * MIB)
    with (place.kubelet.volume("blank") / "disk.img").open("r+b") as file:
        file.seek(3 * MIB)
        file.write(b"something" * 1000)
    original = place.disk("blank")
    source = {"pvc": {"namespace": place.namespace, "name": "blank"}}
    await place.create("copy", source)
    await place.until("copy", "Succeeded")
    assert place.disk("copy") == original
    assert (place.kubelet.volume("copy") / "disk.img").stat().st_blocks * 512 < MIB
    await place.create("small", source, size="4Mi")
    await place.until("small", "Failed")
    assert (await place.condition("small", "Running"))["reason"] == "VolumeTooSmall"


async def test_a_clone_made_together_with_its_source(place: Place, site: Site) -> None:
    """As from one file: it waits until the source is whole, and goes on by itself."""
    site.pause = 0.05
    await place.create("copy", {"pvc": {"namespace": place.namespace, "name": "golden"}})
    await place.create("golden", {"http": {"url": site.url, "checksum": sha256(DISK)}})
    await place.until("golden", "ImportInProgress")
    assert (await place.condition("copy", "Running"))["reason"] == "CloneSourceNotReady"
    await place.until("golden", "Succeeded")
    await place.until("copy", "Succeeded")
    assert place.disk("copy") == whole(DISK)


async def test_a_source_in_use(place: Place) -> None:
    await place.create("source", {"blank": {}})
    await place.until("source", "Succeeded")
    volumes = [{"name": "disk", "persistentVolumeClaim": {"claimName": "source"}}]
    guest = {
        "metadata": {"name": "guest", "labels": {"kubevirt.io": "virt-launcher"}},
        "spec": {"containers": [{"name": "compute", "image": "x"}], "volumes": volumes},
    }
    await place.api.create(Pod, place.namespace, guest)
    await asyncio.sleep(1)
    await place.create("copy", {"pvc": {"namespace": place.namespace, "name": "source"}})
    await place.until("copy", "CloneScheduled")
    running = await place.condition("copy", "Running")
    assert (running["reason"], running["message"]) == ("CloneSourceInUse", "PVC source is in use by pod guest")
    await place.api.delete(Pod, place.namespace, "guest", grace=0)
    await place.until("copy", "Succeeded")


@pytest.mark.parametrize(
    ("spec", "reason", "message"),
    [
        pytest.param(
            {"source": {"pvc": {"namespace": "elsewhere", "name": "x"}}},
            "CloneNotSupported",
            "spec.source.pvc.namespace: cloning from another namespace",
            id="another namespace",
        ),
        pytest.param({"storage": {}}, "ErrClaimNotValid", "say how large", id="no size"),
        pytest.param(
            {"storage": {"resources": {"requests": {"storage": "1Ki"}}}}, "ErrClaimNotValid", "at least 1Mi", id="tiny"
        ),
    ],
)
async def test_what_cannot_be(place: Place, spec: Any, reason: str, message: str) -> None:
    await place.create("bad", spec.pop("source", {"blank": {}}), **spec)
    await place.until("bad", "Pending")
    conditions = (await place.status("bad"))["conditions"]
    assert any(c.get("reason") == reason and message in c["message"] for c in conditions), conditions


async def test_a_claim_that_is_somebody_elses(place: Place) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "8Mi"}}}
    await place.api.create(PersistentVolumeClaim, place.namespace, {"metadata": {"name": "mine"}, "spec": spec})
    await asyncio.sleep(0.5)
    await place.create("mine", {"blank": {}})
    await place.until("mine", "Pending")
    assert (await place.condition("mine", "Bound"))["reason"] == "ErrClaimExists"


def test_a_workers_login_opens_its_own_keys_only(broker: Redis) -> None:
    settings = DiskSettings(broker=broker.url, broker_password="broker-secret")
    admin = Admin(settings)
    admin.admit("me")
    with redis.Redis.from_url(worker_pod.broker("me", settings)) as mine:
        assert mine.lpush("disk.me.fill", "task")
        for forbidden in (
            lambda: mine.lpush("disk.you.fill", "task"),
            lambda: mine.keys("*"),
            mine.flushall,
            lambda: mine.config_get("*"),
            mine.acl_list,
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                forbidden()
    assert admin.sweep(alive=set()) >= 1
    with broker.client() as all_keys:
        assert not [key for key in all_keys.keys("disk.*")]
    with redis.Redis.from_url(worker_pod.broker("me", settings)) as mine, pytest.raises(redis.AuthenticationError):
        mine.ping()
    admin.close()
