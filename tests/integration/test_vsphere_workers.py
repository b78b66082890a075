"""Disks of a vSphere by real Celery workers on a real API server; one of them is killed in the middle."""

import asyncio
import hashlib
import signal
import time

import pytest

from tests.integration.test_disks_workers import broker, dispatcher, place, safe  # noqa: F401 - fixtures
from tests.integration.vcenter import MIB, content, machine, put, uuid, vcenter
from v2v.simulator.server import Faults

SIZE = 24 * MIB


def source(there, **changed):
    given = {"url": there.url, "uuid": uuid(1), "backingFile": "[datastore1] m1/m1.vmdk", "secretRef": "vcenter"}
    return {"vddk": given | {"thumbprint": there.thumbprint} | changed}


def login(place, there, password=""):  # noqa: F811
    place.kubelet.secrets["vcenter"] = {"user": there.world.user, "password": password or there.world.password}


async def test_a_worker_killed_in_the_middle_of_a_disk(place, tmp_path):  # noqa: F811
    put(tmp_path, "m1/m1-flat.vmdk", content(SIZE))
    faults = Faults(bytes_per_second=2 * MIB)
    with vcenter(tmp_path, machine(1, power="poweredOff"), faults=faults) as there:
        login(place, there)
        made = (await place.create("disk", source(there), size="24Mi"))["metadata"]["uid"]
        await place.until("disk", "ImportInProgress")
        while not await safe(place, made):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        place.worker("disk").process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        faults.bytes_per_second = 0
        status = await place.until("disk", "Succeeded", "Failed")
        print(f"whole {time.monotonic() - killed:.1f} s after its worker was killed")
    assert status["phase"] == "Succeeded", status
    assert status["restartCount"] == 1
    assert hashlib.sha256(place.disk("disk")).hexdigest() == hashlib.sha256(content(SIZE)).hexdigest()


@pytest.mark.parametrize(
    ("changed", "password", "reason"),
    [
        pytest.param({}, "wrong", "LoginRefused", id="password"),
        pytest.param({"thumbprint": "AB" * 32}, "", "ThumbprintMismatch", id="thumbprint"),
        pytest.param({"uuid": uuid(9)}, "", "VMNotFound", id="machine"),
    ],
)
async def test_refusals_are_told(place, tmp_path, changed, password, reason):  # noqa: F811
    put(tmp_path, "m1/m1-flat.vmdk", content(MIB))
    with vcenter(tmp_path, machine(1, power="poweredOff")) as there:
        login(place, there, password)
        await place.create("disk", source(there, **changed))
        await place.until("disk", "Failed")
    assert (await place.condition("disk", "Running"))["reason"] == reason
