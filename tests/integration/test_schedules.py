"""Schedules on a real API server: what it refuses, and what the manager starts and stops with the rights it has."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from hostler.api.apps import VirtualMachineDeployment
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.schedule import BEFORE_STOP, SCHEDULED, VirtualMachineSchedule
from hostler.runtime.protocol import Raw
from tests.integration.apiserver import ApiServer
from tests.integration.manager import SOON, Place, managed

GUEST: Raw = {"domain": {"memory": {"guest": "64Mi"}, "devices": {}}}
EXAMPLE = Path(__file__).parents[2] / "examples" / "schedules" / "office-hours.yaml"
LABELS = {"hours": "office"}
ALWAYS, NOT_THIS_YEAR = "* * * * *", "0 0 1 1 *"
LONG_AGO = "2020-02-02T12:00:00Z"


def path(namespace: str) -> str:
    return f"/apis/hostler.io/v1alpha1/namespaces/{namespace}/virtualmachineschedules"


def schedule(target: Raw | None = None, **spec: Any) -> Raw:
    ref = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": "web"} | (target or {})
    return {
        "apiVersion": "hostler.io/v1alpha1",
        "kind": "VirtualMachineSchedule",
        "metadata": {"name": "office"},
        "spec": {"targetRef": {key: value for key, value in ref.items() if value is not None}} | spec,
    }


DAY: Raw = {"start": "0 7 * * mon-fri", "stop": "0 19 * * mon-fri"}
POOL: Raw = {"apiVersion": "pool.kubevirt.io/v1beta1", "kind": "VirtualMachinePool"}


@pytest.mark.parametrize(
    "wanted",
    [
        schedule(**DAY, timeZone="Europe/Berlin", startingDeadlineSeconds=0),
        schedule(stop="@daily"),
        schedule({"name": None, "selector": {"matchLabels": LABELS}}, start="@daily"),
        schedule(POOL, **DAY, replicas=3),
    ],
)
def test_good_schedules(hostler: ApiServer, namespace: str, wanted: Raw) -> None:
    answer = hostler.create(path(namespace), wanted)
    assert answer.code == 201, answer.message
    assert answer.body["spec"]["suspend"] is False


def test_the_example(hostler: ApiServer, namespace: str) -> None:
    for wanted in yaml.safe_load_all(EXAMPLE.read_text()):
        assert hostler.create(path(namespace), wanted).code == 201


FIVE_FIELDS = "must be five fields"


@pytest.mark.parametrize(
    ("wanted", "field", "says"),
    [
        (schedule(start="60 * * * *"), "spec.start", FIVE_FIELDS),
        (schedule(stop="* * * *"), "spec.stop", FIVE_FIELDS),
        (schedule(stop="TZ=UTC * * * * *"), "spec.stop", "cannot use TZ or CRON_TZ in stop, use timeZone field"),
        (schedule(**DAY, timeZone="Mars/Olympus"), "spec.timeZone", "unknown time zone"),
        (schedule(start="0 7 * * *", stop="0 7 * * *"), "spec.stop", "must not be the same as start"),
        (schedule(), "spec.start", "must say when: set start, stop or both"),
        (schedule(**DAY, startingDeadlineSeconds=-1), "spec.startingDeadlineSeconds", "greater than or equal to 0"),
        (schedule(**DAY, replicas=2), "spec.replicas", "a VirtualMachine has no size"),
        (schedule(POOL, **DAY, replicas=0), "spec.replicas", "greater than or equal to 1"),
        (schedule({"kind": "VirtualMachineDaemonSet"}, **DAY), "spec.targetRef.kind", "Unsupported value"),
        (
            schedule({"kind": "VirtualMachinePool"}, **DAY), "spec.targetRef.apiVersion",
            "must be of group pool.kubevirt.io, where VirtualMachinePool is",
        ),
        (schedule({"name": None}, **DAY), "spec.targetRef.name", "must have either a name or a selector"),
        (schedule({"selector": {"matchLabels": LABELS}}, **DAY), "spec.targetRef.name", "must have either a name"),
        (schedule({"name": None, "selector": {}}, **DAY), "spec.targetRef.selector", "empty selector is invalid"),
    ],
)  # fmt: skip
def test_bad_schedules(hostler: ApiServer, namespace: str, wanted: Raw, field: str, says: str) -> None:
    answer = hostler.create(path(namespace), wanted)
    assert answer.code == 422, answer.body
    assert field in answer.message
    assert says in answer.message


@pytest.fixture
async def place(hostler: ApiServer, namespace: str, tmp_path: Path) -> AsyncIterator[Place]:
    async with managed(hostler, namespace, tmp_path) as place:
        yield place


async def due(place: Place, name: str, **times: str) -> None:
    """A minute has struck since the last transition."""
    await place.user.patch(VirtualMachineSchedule, place.namespace, name, {"spec": times | {"suspend": True}})
    last = {"lastTransition": {"action": "Stop", "outcome": "Done", "time": LONG_AGO}}
    await place.user.patch(VirtualMachineSchedule, place.namespace, name, {"status": last}, "status")
    await place.user.patch(VirtualMachineSchedule, place.namespace, name, {"spec": {"suspend": False}})


async def test_down_and_up_again(place: Place) -> None:
    vm = {"template": {"spec": GUEST}}
    await place.create(VirtualMachine, "always", vm | {"runStrategy": "Always"}, labels=LABELS)
    await place.create(VirtualMachine, "manual", vm | {"runStrategy": "Manual"}, labels=LABELS)
    template = {"metadata": {"labels": {"app": "set"}}, "spec": GUEST}
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "set"}}, "template": template}
    await place.create(VirtualMachineDeployment, "set", spec)
    machines = schedule({"name": None, "selector": {"matchLabels": LABELS}}, stop=NOT_THIS_YEAR)["spec"]
    deployment = {"apiVersion": "hostler.io/v1alpha1", "kind": "VirtualMachineDeployment", "name": "set"}
    await place.create(VirtualMachineSchedule, "machines", machines)
    await place.create(VirtualMachineSchedule, "deployed", schedule(deployment, stop=NOT_THIS_YEAR)["spec"])

    for name in ("machines", "deployed"):
        await due(place, name, start=ALWAYS, stop=NOT_THIS_YEAR)
    await place.until("up", lambda: place.all_run(5))
    for name in ("machines", "deployed"):
        await due(place, name, start=NOT_THIS_YEAR, stop=ALWAYS)

    await place.until("down", lambda: place.all_run(0))
    always, kept = await place.get(VirtualMachine, "always"), await place.get(VirtualMachineDeployment, "set")
    assert always["spec"]["runStrategy"] == "Halted"
    assert kept["spec"]["replicas"] == 0
    assert always["metadata"]["annotations"][BEFORE_STOP] == "Always"
    assert kept["metadata"]["annotations"][BEFORE_STOP] == "3"
    assert kept["metadata"]["annotations"][SCHEDULED].startswith("deployed Stop ")

    await place.user.patch(VirtualMachineDeployment, place.namespace, "set", {"spec": {"replicas": 2}}, "scale")
    await place.until("what a user does in between stays", lambda: place.all_run(2))
    for name in ("machines", "deployed"):
        await due(place, name, start=ALWAYS, stop=NOT_THIS_YEAR)
    await place.until("up again", lambda: place.all_run(4))
    assert (await place.get(VirtualMachine, "always"))["spec"]["runStrategy"] == "Always"

    async def told() -> bool:
        status = (await place.get(VirtualMachineSchedule, "machines"))["status"]
        return (status["targets"], status["lastTransition"]["action"], status["nextTransition"]["action"]) == (
            2, "Start", "Start",
        )  # fmt: skip

    await place.until("the status says what was, and what comes", told)
    assert await place.condition(VirtualMachineSchedule, "machines", "Ready")


async def test_who_stands_in_the_way_is_told_of_and_keeps_nobody_else_up(place: Place, hostler: ApiServer) -> None:
    """A policy of the cluster's refuses one of two machines."""
    vm = {"template": {"spec": GUEST}, "runStrategy": "Always"}
    for name in ("a-kept", "b-free"):
        await place.create(VirtualMachine, name, vm, labels=LABELS)
    await place.until("both run", lambda: place.all_run(2))
    with refusing(hostler, place.namespace, "a-kept"):
        wanted = schedule({"name": None, "selector": {"matchLabels": LABELS}}, start=NOT_THIS_YEAR)["spec"]
        await place.create(VirtualMachineSchedule, "machines", wanted)
        await due(place, "machines", start=NOT_THIS_YEAR, stop=ALWAYS)
        await place.until("the other is down", lambda: place.all_run(1))

        async def told() -> bool:
            ready = await place.condition(VirtualMachineSchedule, "machines", "Ready")
            return ready is not None and ready["reason"] == "TransitionFailed" and "stays up" in ready["message"]

        await place.until("told", told)
    await place.until("down, too, when it may be", lambda: place.all_run(0))


@contextmanager
def refusing(hostler: ApiServer, namespace: str, name: str) -> Iterator[None]:
    """A policy by which a VM stays up; it works when this begins."""
    group = "/apis/admissionregistration.k8s.io/v1"
    rule: Raw = {
        "apiGroups": ["kubevirt.io"],
        "apiVersions": ["*"],
        "resources": ["virtualmachines"],
        "operations": ["UPDATE"],
    }
    policy: Raw = {
        "metadata": {"name": f"stays-up-{namespace}"},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "matchConditions": [
                {
                    "name": "it",
                    "expression": f"object.metadata.namespace == '{namespace}' && object.metadata.name == '{name}'",
                }
            ],
            "validations": [{"expression": "object.spec.runStrategy != 'Halted'", "message": "it stays up"}],
        },
    }
    binding: Raw = {
        "metadata": policy["metadata"],
        "spec": {"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]},
    }
    for kind, body in (("validatingadmissionpolicies", policy), ("validatingadmissionpolicybindings", binding)):
        assert hostler.create(f"{group}/{kind}", body).code == 201
    vm = f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachines/{name}"
    patch = {"spec": {"runStrategy": "Halted"}}
    try:
        until = time.monotonic() + SOON
        while hostler.request("PATCH", vm, patch, "merge-patch+json", dryRun="All").code == 200:
            assert time.monotonic() < until, "the policy never took effect"
            time.sleep(0.1)
        yield
    finally:
        for kind in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
            hostler.request("DELETE", f"{group}/{kind}/stays-up-{namespace}")
