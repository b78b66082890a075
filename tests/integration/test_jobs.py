"""Jobs on a real API server, and a manager that dies at every write."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from controllers.catalog import controllers
from controllers.settings import ManagerSettings
from hostler.api.batch import FAILURES, JOB_NAME, TRACKING, VirtualMachineJob
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.objects import Pod
from hostler.runtime.errors import ApiError, NotFound
from hostler.runtime.kube import Api, connect
from hostler.runtime.manager import manage
from hostler.runtime.protocol import Kind, Raw
from tests.integration.apiserver import ApiServer, write_kubeconfig
from tests.integration.manager import Place

TEMPLATE: Raw = {"spec": {"domain": {"memory": {"guest": "64Mi"}, "devices": {}}}}


def job(name: str = "sum", **spec: Any) -> Raw:
    return {
        "apiVersion": "hostler.io/v1alpha1",
        "kind": "VirtualMachineJob",
        "metadata": {"name": name},
        "spec": {"template": TEMPLATE} | spec,
    }


def path(namespace: str, plural: str) -> str:
    return f"/apis/hostler.io/v1alpha1/namespaces/{namespace}/{plural}"


def cron_job(name: str = "tick", **spec: Any) -> Raw:
    return {
        "apiVersion": "hostler.io/v1alpha1",
        "kind": "VirtualMachineCronJob",
        "metadata": {"name": name},
        "spec": {"schedule": "@daily", "jobTemplate": {"spec": {"template": TEMPLATE}}, "suspend": True} | spec,
    }


@pytest.mark.parametrize(
    ("schedule", "zone"),
    [
        ("*/5 8-17 * * mon-fri", "Europe/Berlin"),
        ("0 0 1,15 JAN-jun ?", "America/Argentina/Buenos_Aires"),
        ("@hourly", "UTC"),
        ("59 23 31 12 0/2", "Etc/GMT+5"),
    ],
)
def test_schedules(hostler: ApiServer, namespace: str, schedule: str, zone: str) -> None:
    wanted = cron_job("x" * 52, schedule=schedule, timeZone=zone)
    answer = hostler.create(path(namespace, "virtualmachinecronjobs"), wanted)
    assert answer.code == 201, answer.message
    kept = {"concurrencyPolicy": "Allow", "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1}
    assert {key: answer.body["spec"][key] for key in kept} == kept


NEGATIVE = "must be greater than or equal to 0"
FIRST = {"completionMode": "Indexed", "completions": 7, "successPolicy": {"rules": [{"succeededIndexes": "7"}]}}
FIVE_FIELDS = "must be five fields"
ZONE = "unknown time zone"


@pytest.mark.parametrize(
    ("spec", "field", "says"),
    [
        ({"schedule": "* * * *"}, "spec.schedule", FIVE_FIELDS),
        ({"schedule": "60 * * * *"}, "spec.schedule", FIVE_FIELDS),
        ({"schedule": "* * * * 7"}, "spec.schedule", FIVE_FIELDS),
        ({"schedule": "@every 1m"}, "spec.schedule", FIVE_FIELDS),
        ({"schedule": "TZ=UTC * * * * *"}, "spec.schedule", "cannot use TZ or CRON_TZ in schedule, use timeZone field"),
        ({"timeZone": "Mars/Olympus"}, "spec.timeZone", ZONE),
        ({"timeZone": "Local"}, "spec.timeZone", "timeZone must be an explicit time zone"),
        ({"timeZone": "+02:00"}, "spec.timeZone", ZONE),
        ({"timeZone": ""}, "spec.timeZone", "timeZone must be nil or non-empty string"),
        ({"concurrencyPolicy": "Never"}, "spec.concurrencyPolicy", "Unsupported value"),
        ({"startingDeadlineSeconds": -1}, "spec.startingDeadlineSeconds", NEGATIVE),
        ({"successfulJobsHistoryLimit": -1}, "spec.successfulJobsHistoryLimit", NEGATIVE),
        (
            {"jobTemplate": {"spec": {"template": TEMPLATE, "completionMode": "Indexed", "parallelism": 1}}},
            "spec.jobTemplate.spec.completions", "when completion mode is Indexed",
        ),
        (
            {"jobTemplate": {"spec": {"template": TEMPLATE} | FIRST}},
            "spec.jobTemplate.spec.successPolicy.rules", 'error parsing succeededIndexes: too large index: "7"',
        ),
        (
            {"jobTemplate": {"spec": {"template": {"spec": {"domain": {"devices": {}}}}}}},
            "spec.jobTemplate.spec.template.spec.domain", "no memory requested",
        ),
    ],
)  # fmt: skip
def test_bad_cron_jobs(hostler: ApiServer, namespace: str, spec: Raw, field: str, says: str) -> None:
    answer = hostler.create(path(namespace, "virtualmachinecronjobs"), cron_job(**spec))
    assert answer.code == 422, answer.body
    assert field in answer.message
    assert says in answer.message


def test_names_of_cron_jobs_leave_room_for_the_time(hostler: ApiServer, namespace: str) -> None:
    answer = hostler.create(path(namespace, "virtualmachinecronjobs"), cron_job("x" * 53))
    assert (answer.code, "metadata.name: must be no more than 52 characters" in answer.message) == (422, True)


@pytest.fixture
async def user(hostler: ApiServer) -> AsyncIterator[Api]:
    api = await connect(str(hostler.kubeconfig), "test")
    yield api
    await api.close()


class Mortal:
    """An Api that does its last write and never answers: its manager is as good as killed."""

    def __init__(self, api: Api, namespace: str, life: int | None) -> None:
        self._api = api
        self._namespace = namespace
        self._left = life
        self.dead = asyncio.Event()
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    async def create(self, kind: Kind, *args: Any, **more: Any) -> Raw:
        return await self._write(kind, args[0], self._api.create(kind, *args, **more))

    async def patch(self, kind: Kind, *args: Any, **more: Any) -> Raw:
        return await self._write(kind, args[0], self._api.patch(kind, *args, **more))

    async def delete(self, kind: Kind, *args: Any, **more: Any) -> Raw:
        return await self._write(kind, args[0], self._api.delete(kind, *args, **more))

    async def _write(self, kind: Kind, namespace: str, call: Any) -> Raw:
        if self.dead.is_set():
            call.close()
            await asyncio.Future()
        answer: Raw = await call
        if kind.plural == "events" or namespace != self._namespace:
            return answer
        self.writes += 1
        if self._left is not None and self.writes >= self._left:
            self.dead.set()
            await asyncio.Future()
        return answer


@pytest.fixture
async def place(hostler: ApiServer, user: Api, namespace: str, tmp_path: Path) -> AsyncIterator[Place]:
    account = hostler.account("hostler", "hostler-manager")
    kubeconfig = write_kubeconfig(tmp_path / "manager", account.url, account.ca, account.token)
    agent = await connect(str(kubeconfig), "test-manager")
    place = Place(user, agent, namespace)
    nodes = asyncio.create_task(place.nodes())
    yield place
    nodes.cancel()
    await agent.close()


async def guests_end(place: Place) -> None:
    """Each guest that runs ends a moment later: well, but for the first of each job."""
    failed: set[str] = set()
    while True:
        for pod in await place.all(Pod):
            if pod["status"]["phase"] == "Running" and not pod["metadata"].get("deletionTimestamp"):
                name = pod["metadata"]["labels"][JOB_NAME]
                code = 0 if name in failed else 3
                failed.add(name)
                with suppress(ApiError):
                    await place.end(pod, code, '{"reason": "x", "message": "m", "exitCode": 3}\nsaid\n')
        await asyncio.sleep(0.05)


async def live(place: Place, life: int | None, until: Any) -> int:
    """A manager that lives for so many writes; how many it made."""
    mortal = Mortal(place.agent, place.namespace, life)
    settings = ManagerSettings(use_emulation=True)
    task = asyncio.create_task(manage(mortal, controllers(settings), "test", "test"))  # type: ignore[arg-type]
    waits = [asyncio.create_task(mortal.dead.wait()), asyncio.create_task(until())]
    try:
        await asyncio.wait([task, *waits], timeout=60, return_when=asyncio.FIRST_COMPLETED)
        assert not task.done(), task
    finally:
        for each in (*waits, task):
            each.cancel()
        await asyncio.gather(*waits, task, return_exceptions=True)
    return mortal.writes


async def test_a_manager_that_dies_at_every_write(place: Place) -> None:
    """As often as it takes: each new manager makes one write, and dies before it hears the answer."""
    await place.create(VirtualMachineJob, "sum", job(completions=2, parallelism=2, script="true")["spec"])
    indexed = {"completionMode": "Indexed", "backoffLimitPerIndex": 1}
    await place.create(VirtualMachineJob, "row", job(completions=2, parallelism=2, **indexed)["spec"])
    ends = asyncio.create_task(guests_end(place))

    async def both_over() -> bool:
        assert not [name for name in ("sum", "row") if await place.condition(VirtualMachineJob, name, "Failed")]
        return all([await place.condition(VirtualMachineJob, name, "Complete") for name in ("sum", "row")])

    async def over() -> None:
        while not await both_over():  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    deaths = 0
    while not await both_over():
        await live(place, 1, over)
        deaths += 1
        assert deaths < 240
    ends.cancel()
    await asyncio.gather(ends, return_exceptions=True)
    assert deaths >= 12, "at the least, each of the six guests is made by a write of its own, and let go by another"
    vmis = await place.all(VMI)
    assert not [vmi for vmi in vmis if TRACKING in vmi["metadata"]["finalizers"]]
    for name in ("sum", "row"):
        status = (await place.get(VirtualMachineJob, name))["status"]
        phases = [vmi["status"]["phase"] for vmi in vmis if vmi["metadata"]["labels"][JOB_NAME] == name]
        assert (status["succeeded"], status["failed"]) == (2, 1) == (phases.count("Succeeded"), phases.count("Failed"))
        assert status["uncountedTerminated"] == {"succeeded": [], "failed": []}
        assert [each.get("exitCode") for each in status["results"]].count(3) == 3
        assert status["results"][0]["result"] == "said\n"
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0,1", "")
    tries = sorted(vmi["metadata"]["annotations"].get(FAILURES, "") for vmi in vmis)
    assert tries == ["", "", "", "0", "0", "1"], "the second try of an index knows of the first"


async def test_a_job_that_goes_takes_its_guests_with_it(place: Place) -> None:
    await place.create(VirtualMachineJob, "sum", job(completions=3, parallelism=3)["spec"])

    async def run() -> None:
        while not await place.all_run(3):  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    await live(place, None, run)
    for vmi in await place.all(VMI):  # the garbage collector is not here
        await place.delete(VMI, vmi["metadata"]["name"])
    await place.delete(VirtualMachineJob, "sum")

    async def gone() -> None:
        while await place.all(VMI):  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    await live(place, None, gone)
    assert await place.names(VMI) == []
    with pytest.raises(NotFound):
        await place.get(VirtualMachineJob, "sum")
