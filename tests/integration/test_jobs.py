"""Jobs on a real API server: what it refuses, and a manager that dies at every write."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from controllers.catalog import controllers
from controllers.settings import ManagerSettings
from hostler.api.batch import TRACKING, VirtualMachineJob
from hostler.api.kubevirt.vmi import VirtualMachineInstance as VMI
from hostler.api.objects import Pod
from hostler.runtime.errors import ApiError, NotFound
from hostler.runtime.kube import Api, connect
from hostler.runtime.manager import manage
from hostler.runtime.protocol import Kind, Raw
from tests.integration.apiserver import ApiServer, write_kubeconfig
from tests.integration.manager import Place

TEMPLATE: Raw = {"spec": {"domain": {"memory": {"guest": "64Mi"}, "devices": {}}}}
CLOUD_INIT = {"name": "seed", "cloudInitNoCloud": {"userData": "#!/bin/sh"}}


def path(namespace: str, plural: str = "virtualmachinejobs") -> str:
    return f"/apis/hostler.io/v1alpha1/namespaces/{namespace}/{plural}"


def job(name: str = "sum", **spec: Any) -> Raw:
    return {
        "apiVersion": "hostler.io/v1alpha1",
        "kind": "VirtualMachineJob",
        "metadata": {"name": name},
        "spec": {"template": TEMPLATE} | spec,
    }


def test_what_is_not_said(hostler: ApiServer, namespace: str) -> None:
    made = hostler.create(path(namespace), job())
    assert made.code == 201, made.message
    spec = made.body["spec"]
    assert (spec["completionMode"], spec["suspend"]) == ("NonIndexed", False)
    assert "parallelism" not in spec, "with completions it means one, without it a work queue"
    assert "backoffLimit" not in spec, "it is 6, but none where each index has its own"


NEGATIVE = "must be greater than or equal to 0"
INDEXED: Raw = {"completionMode": "Indexed", "completions": 5}
MANY: Raw = {"completionMode": "Indexed", "completions": 100001, "backoffLimitPerIndex": 1}
CODES: Raw = {"operator": "In", "values": [1]}


def on(action: str = "Count", **rule: Any) -> Raw:
    """A job with one rule for failures."""
    return {"podFailurePolicy": {"rules": [{"action": action} | rule]}}


def won(rule: Raw) -> Raw:
    """A job with one rule for success."""
    return INDEXED | {"successPolicy": {"rules": [rule]}}


@pytest.mark.parametrize(
    ("spec", "field", "says"),
    [
        ({"completions": -1}, "spec.completions", NEGATIVE),
        ({"parallelism": -1}, "spec.parallelism", NEGATIVE),
        ({"backoffLimit": -1}, "spec.backoffLimit", NEGATIVE),
        ({"activeDeadlineSeconds": -1}, "spec.activeDeadlineSeconds", NEGATIVE),
        ({"ttlSecondsAfterFinished": -1}, "spec.ttlSecondsAfterFinished", NEGATIVE),
        ({"backoffLimitPerIndex": -1} | INDEXED, "spec.backoffLimitPerIndex", NEGATIVE),
        ({"maxFailedIndexes": -1, "backoffLimitPerIndex": 1} | INDEXED, "spec.maxFailedIndexes", NEGATIVE),
        ({"completionMode": "Other"}, "spec.completionMode", "Unsupported value"),
        ({"selector": {"matchLabels": {}}}, "spec.selector", "not supported by hostler"),
        ({"manualSelector": True}, "spec.manualSelector", "not supported by hostler"),
        ({"podReplacementPolicy": "Never"}, "spec.podReplacementPolicy", "Unsupported value"),
        ({"completionMode": "Indexed"}, "spec.completions: Required value", "when completion mode is Indexed"),
        (
            {"maxFailedIndexes": 1} | INDEXED,
            "spec.backoffLimitPerIndex: Required value", "when maxFailedIndexes is specified",
        ),
        ({"backoffLimitPerIndex": 1}, "spec.backoffLimitPerIndex", "requires indexed completion mode"),
        ({"maxFailedIndexes": 1}, "spec.maxFailedIndexes", "requires indexed completion mode"),
        (
            {"maxFailedIndexes": 6, "backoffLimitPerIndex": 1} | INDEXED,
            "spec.maxFailedIndexes", "must be less than or equal to completions",
        ),
        (
            {"parallelism": 100001} | INDEXED,
            "spec.parallelism", "must be less than or equal to 100000 when completion mode is Indexed",
        ),
        (
            MANY | {"maxFailedIndexes": 100001}, "spec.maxFailedIndexes", "must be less than or equal to 100000",
        ),
        (MANY, "spec.maxFailedIndexes: Required value", "must be specified when completions is above 100000"),
        (
            MANY | {"maxFailedIndexes": 10001}, "spec.maxFailedIndexes",
            "must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index",
        ),
        (
            MANY | {"maxFailedIndexes": 1, "parallelism": 10001}, "spec.parallelism",
            "must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index",
        ),
        ({"managedBy": "kueue"}, "spec.managedBy", 'must be a domain-prefixed path (such as "acme.io/foo")'),
        ({"managedBy": f"acme.io/{'x' * 56}"}, "spec.managedBy", "Too long: may not be more than 63"),
        (on(), "spec.podFailurePolicy.rules[0]", "specifying one of OnExitCodes and OnPodConditions is required"),
        (
            on(onExitCodes=CODES, onPodConditions=[{"type": "DisruptionTarget"}]),
            "spec.podFailurePolicy.rules[0]", "specifying both OnExitCodes and OnPodConditions is not supported",
        ),
        (on("FailIndex", onExitCodes=CODES), "spec.podFailurePolicy.rules", "requires the backoffLimitPerIndex to be set"),
        (on("Retry", onExitCodes=CODES), "spec.podFailurePolicy.rules[0].action", "Unsupported value"),
        (
            on(onExitCodes=CODES) | {"podReplacementPolicy": "TerminatingOrFailed"}, "spec.podReplacementPolicy",
            'Unsupported value: "TerminatingOrFailed": supported values: "Failed"',
        ),
        (
            on(onExitCodes=CODES | {"containerName": "main"}), "spec.podFailurePolicy.rules[0].onExitCodes.containerName",
            "must be one of the container or initContainer names in the pod template",
        ),
        (
            on(onExitCodes=CODES | {"values": []}), "spec.podFailurePolicy.rules[0].onExitCodes.values",
            "at least one value is required",
        ),
        (
            on(onExitCodes=CODES | {"values": [2, 1]}), "spec.podFailurePolicy.rules[0].onExitCodes.values",
            "must be ordered",
        ),
        (
            on(onExitCodes=CODES | {"values": [1, 1]}), "spec.podFailurePolicy.rules[0].onExitCodes.values[1]",
            "Duplicate value",
        ),
        (
            on(onExitCodes=CODES | {"values": [0]}), "spec.podFailurePolicy.rules[0].onExitCodes.values",
            "must not be 0 for the In operator",
        ),
        (
            on(onExitCodes=CODES | {"values": list(range(1, 257))}),
            "spec.podFailurePolicy.rules[0].onExitCodes.values", "Too many: 256: must have at most 255 items",
        ),
        (
            on(onExitCodes=CODES | {"operator": "Near"}), "spec.podFailurePolicy.rules[0].onExitCodes.operator",
            "Unsupported value",
        ),
        (
            on(onPodConditions=[{"type": "a b"}]), "spec.podFailurePolicy.rules[0].onPodConditions[0].type",
            "name part must consist of alphanumeric characters",
        ),
        (
            on(onPodConditions=[{"type": "Ready", "status": "Maybe"}]),
            "spec.podFailurePolicy.rules[0].onPodConditions[0].status", "Unsupported value",
        ),
        (
            {"podFailurePolicy": {"rules": [{"action": "Count", "onExitCodes": CODES}] * 21}},
            "spec.podFailurePolicy.rules", "Too many: 21: must have at most 20 items",
        ),
        ({"successPolicy": {"rules": [{"succeededCount": 1}]}}, "spec.successPolicy", "requires indexed completion mode"),
        (
            {"successPolicy": {"rules": []}} | INDEXED, "spec.successPolicy.rules: Required value",
            "at least one rules must be specified when the successPolicy is specified",
        ),
        (
            won({}), "spec.successPolicy.rules[0]: Required value",
            "at least one of succeededCount or succeededIndexes must be specified",
        ),
        (won({"succeededCount": -1}), "spec.successPolicy.rules[0].succeededCount", NEGATIVE),
        (
            won({"succeededCount": 6}), "spec.successPolicy.rules",
            "must be less than or equal to 5 (the number of specified completions)",
        ),
        (
            won({"succeededIndexes": "1-2-3"}), "spec.successPolicy.rules[0].succeededIndexes",
            "error parsing succeededIndexes: an index interval can have at most two parts separated by '-'",
        ),
        (
            won({"succeededIndexes": "1,x"}), "spec.successPolicy.rules[0].succeededIndexes",
            "error parsing succeededIndexes: cannot convert string to integer for index",
        ),
        (
            won({"succeededIndexes": "1,3-5"}), "spec.successPolicy.rules",
            'error parsing succeededIndexes: too large index: "5"',
        ),
        (
            won({"succeededIndexes": "3,1-2"}), "spec.successPolicy.rules",
            "error parsing succeededIndexes: non-increasing order",
        ),
        (
            won({"succeededIndexes": "3-2"}), "spec.successPolicy.rules",
            "error parsing succeededIndexes: non-increasing order",
        ),
        (
            won({"succeededIndexes": "1,3-4", "succeededCount": 4}), "spec.successPolicy.rules",
            "must be less than or equal to 3 (the number of indexes in the specified succeededIndexes field)",
        ),
        ({"template": {}}, "spec.template.spec", "missing virtual machine template."),
        ({"env": [{"name": "A"}]}, "spec.env", "env is for script"),
        ({"script": "true", "env": [{"name": "A-B"}]}, "spec.env[0].name", "must be the name of a shell variable: A-B"),
        ({"template": {"spec": {"domain": {"devices": {}}}}}, "spec.template.spec.domain", "no memory requested"),
        (
            {"script": "true", "template": {"spec": TEMPLATE["spec"] | {"volumes": [CLOUD_INIT]}}},
            "spec.script", "script needs cloud-init for itself",
        ),
    ],
)  # fmt: skip
def test_bad_jobs(hostler: ApiServer, namespace: str, spec: Raw, field: str, says: str) -> None:
    answer = hostler.create(path(namespace), job(**spec))
    assert answer.code == 422, answer.body
    assert field in answer.message
    assert says in answer.message


def test_what_batch_has_to_say_of_indexes(hostler: ApiServer, namespace: str) -> None:
    wanted = INDEXED | {
        "backoffLimitPerIndex": 1,
        "maxFailedIndexes": 5,
        "managedBy": "kueue.x-k8s.io/multikueue",
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                {"action": "FailIndex", "onExitCodes": CODES | {"containerName": "compute"}},
                {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [0, 2, 3221225477]}},
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
            ]
        },
        "successPolicy": {"rules": [{"succeededIndexes": "0,2-4", "succeededCount": 4}, {"succeededCount": 5}]},
    }
    made = hostler.create(path(namespace), job(**wanted))
    assert made.code == 201, made.message
    last = made.body["spec"]["podFailurePolicy"]["rules"][2]
    assert last["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]


def test_names_and_the_last_index_are_a_host_name(hostler: ApiServer, namespace: str) -> None:
    wide = {"completionMode": "Indexed", "completions": 101}
    assert hostler.create(path(namespace), job("x" * 59, **wide)).code == 201
    for name in ("x" * 60, "a.b"):
        answer = hostler.create(path(namespace), job(name, **wide))
        assert answer.code == 422
        assert f"will not able to create pod with invalid DNS label: {name}-100" in answer.message


def test_names_are_labels_too(hostler: ApiServer, namespace: str) -> None:
    assert hostler.create(path(namespace), job("x" * 63)).code == 201
    answer = hostler.create(path(namespace), job("x" * 64))
    assert (answer.code, "metadata.name: must be no more than 63 characters" in answer.message) == (422, True)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"completions": 5}, "spec.completions"),
        ({"script": "false"}, "spec.script"),
        ({"env": [{"name": "A", "value": "2"}]}, "spec.env"),
        ({"template": {"spec": {"domain": {"memory": {"guest": "65Mi"}}}}}, "spec.template"),
        ({"template": {"metadata": {"labels": {"a": "b"}}}}, "spec.template"),
        ({"completionMode": "Indexed"}, "spec.completionMode"),
        ({"managedBy": "acme.io/foo"}, "spec.managedBy"),
        (on(onExitCodes=CODES), "spec.podFailurePolicy"),
    ],
)
async def test_what_may_not_change(user: Api, hostler: ApiServer, namespace: str, change: Raw, field: str) -> None:
    hostler.create(path(namespace), job(script="true", completions=3, env=[{"name": "A", "value": "1"}]))
    with pytest.raises(ApiError) as refused:
        await user.patch(VirtualMachineJob, namespace, "sum", {"spec": change})
    assert field in str(refused.value)
    assert "field is immutable" in str(refused.value)


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"completions": 6}, "spec.completions", "can only be modified in tandem with spec.parallelism"),
        ({"completions": 6, "parallelism": 5}, "spec.completions", "can only be modified in tandem"),
        ({"backoffLimitPerIndex": 2}, "spec.backoffLimitPerIndex", "field is immutable"),
        ({"successPolicy": {"rules": [{"succeededCount": 2}]}}, "spec.successPolicy", "field is immutable"),
        ({"completions": 6, "parallelism": 6}, "", ""),
        ({"completions": 2, "parallelism": 2}, "", ""),
    ],
)
async def test_an_elastic_job(
    user: Api, hostler: ApiServer, namespace: str, change: Raw, field: str, says: str
) -> None:
    policy = {"rules": [{"succeededCount": 1}]}
    hostler.create(path(namespace), job(backoffLimitPerIndex=1, successPolicy=policy, **INDEXED))
    try:
        await user.patch(VirtualMachineJob, namespace, "sum", {"spec": change})
    except ApiError as refused:
        assert says in str(refused)
        assert field in str(refused)
        assert field
    else:
        assert not field


AFFINITY: Raw = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}}
PLACED: Raw = {
    "metadata": {"labels": {"queue": "a"}, "annotations": {"b": "c"}},
    "spec": {
        "nodeSelector": {"zone": "a"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": AFFINITY},
    },
}


async def test_a_job_that_sleeps_may_be_sent_elsewhere(user: Api, hostler: ApiServer, namespace: str) -> None:
    """Until it has run; and what its guests are may not change even then."""

    async def change(template: Raw) -> bool:
        try:
            await user.patch(VirtualMachineJob, namespace, "sum", {"spec": {"template": template}})
        except ApiError as refused:
            assert "spec.template" in str(refused), refused
            return False
        return True

    hostler.create(path(namespace), job(suspend=True))
    assert await change(PLACED)
    assert await change({"spec": {"nodeSelector": None, "affinity": None}})
    assert not await change({"spec": {"domain": {"memory": {"guest": "65Mi"}}}})
    assert not await change({"spec": {"hostname": "other"}})
    assert not await change({"spec": {"affinity": {"podAffinity": {}}}})
    started: Raw = {"status": {"startTime": "2026-06-01T12:00:00Z"}}
    await user.patch(VirtualMachineJob, namespace, "sum", started, "status")
    assert not await change(PLACED)
    await user.patch(VirtualMachineJob, namespace, "sum", {"status": {"startTime": None}}, "status")
    assert await change(PLACED)
    await user.patch(VirtualMachineJob, namespace, "sum", {"spec": {"suspend": False}})
    assert not await change({"spec": {"nodeSelector": {"zone": "b"}}})


async def test_what_may_change(user: Api, hostler: ApiServer, namespace: str) -> None:
    hostler.create(path(namespace), job())
    change = {"parallelism": 3, "suspend": True, "backoffLimit": 1, "activeDeadlineSeconds": 9}
    await user.patch(VirtualMachineJob, namespace, "sum", {"spec": change | {"ttlSecondsAfterFinished": 1}})


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
        ({"timeZone": "Local"}, "spec.timeZone", ZONE),
        ({"timeZone": "+02:00"}, "spec.timeZone", ZONE),
        ({"timeZone": ""}, "spec.timeZone", ZONE),
        ({"concurrencyPolicy": "Never"}, "spec.concurrencyPolicy", "Unsupported value"),
        ({"startingDeadlineSeconds": -1}, "spec.startingDeadlineSeconds", NEGATIVE),
        ({"successfulJobsHistoryLimit": -1}, "spec.successfulJobsHistoryLimit", NEGATIVE),
        (
            {"jobTemplate": {"spec": {"template": TEMPLATE, "completionMode": "Indexed"}}},
            "spec.jobTemplate.spec.completions", "when completion mode is Indexed",
        ),
        (
            {"jobTemplate": {"spec": {"template": TEMPLATE} | won({"succeededIndexes": "7"})}},
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


async def guests_end(place: Place, badly: set[str]) -> None:
    """Each guest that runs ends a moment later: well, but for the first `badly`."""
    while True:
        for pod in await place.all(Pod):
            if pod["status"]["phase"] == "Running" and not pod["metadata"].get("deletionTimestamp"):
                first = not badly
                badly.add(pod["metadata"]["uid"]) if first else None
                with suppress(ApiError):
                    await place.end(pod, 3 if first else 0, '{"reason": "x", "message": "m", "exitCode": 3}\nsaid\n')
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
    failed: set[str] = set()
    ends = asyncio.create_task(guests_end(place, failed))

    async def over() -> None:
        while not await place.condition(VirtualMachineJob, "sum", "Complete"):  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    deaths = 0
    while not await place.condition(VirtualMachineJob, "sum", "Complete"):
        await live(place, 1, over)
        deaths += 1
        assert deaths < 120
    ends.cancel()
    await asyncio.gather(ends, return_exceptions=True)
    status = (await place.get(VirtualMachineJob, "sum"))["status"]
    phases = await place.phases()
    assert (status["succeeded"], status["failed"]) == (2, 1) == (phases.count("Succeeded"), phases.count("Failed"))
    assert deaths >= 10
    assert status["uncountedTerminated"] == {"succeeded": [], "failed": []}
    assert [each.get("exitCode") for each in status["results"]].count(3) == 3
    assert status["results"][0]["result"] == "said\n"
    assert not [vmi for vmi in await place.all(VMI) if TRACKING in vmi["metadata"]["finalizers"]]


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
