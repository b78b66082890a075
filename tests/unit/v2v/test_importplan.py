"""A plan from its first look to its machines, with the test as source, workers and disks."""

import re
from datetime import timedelta
from typing import Any

import pytest

from hostler.api.cdi import DataVolume
from hostler.api.imports import ImportPlan, ImportSource
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.objects import Pod, RoleBinding, ServiceAccount
from hostler.runtime.apply import Applier
from hostler.runtime.errors import Forbidden
from hostler.runtime.events import Recorder
from hostler.runtime.store import Store
from tests.unit import make
from tests.unit.hostler.runtime.fake_kube import FakeKube
from tests.unit.v2v import made
from tests.unit.world import World
from v2v import importplan, importpod, importsource, verdict
from v2v.settings import DiskSettings
from v2v.verdict import Verdict

SETTINGS = DiskSettings(_env_file=None)
OFF = Verdict(True, "shut down")
CONVERTED = Verdict(True, "converted by virt-v2v")


def world(*things: Any, cut: int | None = None) -> World:
    found = World([importplan.controller(SETTINGS)])
    for each in things:
        found.add(each)
    return found


def plan(found: World) -> ImportPlan:
    result: ImportPlan = found.get(ImportPlan, "move")
    return result


def phases(found: World) -> list[tuple[str, str]]:
    status = plan(found).status
    assert status is not None
    return [(each.name, each.phase) for each in status.vms]


def pod(target: str, work: importpod.Work) -> str:
    return importpod.name(made.plan("web"), target, work)


def ends(found: World, name: str, said: Verdict) -> None:
    container = {"name": "worker", "state": {"terminated": {"exitCode": 0, "message": verdict.text(said)}}}
    found.change(found.get(Pod, name), {"status": {"phase": "Succeeded", "containerStatuses": [container]}})
    found.settle()


def disk(found: World, name: str, phase: str = "Succeeded", progress: str = "100.0%", message: str = "") -> None:
    running = {"type": "Running", "status": "False", "message": message}
    change = {"status": {"phase": phase, "progress": progress, "conditions": [running]}}
    found.change(found.get(DataVolume, name), change)
    found.settle()


def test_one_machine_all_the_way():
    found = world(made.source(made.machine("Web 1")), made.plan("Web 1", start=True))
    found.settle()
    assert phases(found) == [("Web 1", "PoweringOff")]
    assert found.all(ServiceAccount), "the workers' account is made where it is missing"
    assert found.all(RoleBinding)
    ends(found, pod("web-1", "off"), OFF)
    assert phases(found) == [("Web 1", "Copying")]
    disk(found, "web-1-disk0", "ImportInProgress", "25.00%")
    status = plan(found).status
    assert status is not None
    assert status.vms[0].disks[0].bytes == made.GIB // 4
    disk(found, "web-1-disk0")
    assert phases(found) == [("Web 1", "Converting")]
    said = {"metadata": {"annotations": {"conversion.import.hostler.io/web-1": "Inspecting the source"}}}
    found.change(plan(found), said)
    found.settle()
    status = plan(found).status
    assert status is not None
    assert status.vms[0].conversion == "Inspecting the source"
    ends(found, pod("web-1", "convert"), CONVERTED)
    assert phases(found) == [("Web 1", "Succeeded")]
    vm = found.get(VirtualMachine, "web-1")
    owners = [ref.uid for ref in found.get(DataVolume, "web-1-disk0").metadata.owner_references]
    assert owners == [vm.metadata.uid], "the disks are the machine's now, not the plan's"
    status = plan(found).status
    assert status is not None
    assert (status.phase, status.succeeded, status.failed) == ("Succeeded", 1, 0)


def test_a_bad_machine_does_not_keep_the_others():
    found = world(made.source(made.machine("web")), made.plan("web", "nobody"))
    found.settle()
    assert phases(found) == [("web", "PoweringOff"), ("nobody", "Failed")]
    status = plan(found).status
    assert status is not None
    assert status.vms[1].reason == "VMNotFound"
    assert status.phase == "Running"


def test_all_bad_is_the_end():
    twins = (made.machine("web"), made.machine("web", "vm-2"))
    found = world(made.source(*twins), made.plan("web"))
    found.settle()
    status = plan(found).status
    assert status is not None
    assert status.phase == "Failed"
    succeeded = next(each for each in status.conditions if each.type == "Succeeded")
    assert succeeded.status == "False"
    assert "2 machines are named 'web': give the id: vm-1, vm-2" in (succeeded.message or "")
    assert found.all(Pod) == []


@pytest.mark.parametrize(
    ("things", "reason"),
    [
        pytest.param([made.plan("web")], "SourceNotFound", id="no source"),
        pytest.param([made.source(ready=False), made.plan("web")], "SourceNotReady", id="not ready"),
        pytest.param(
            [made.source(), made.plan("web", targetNamespace="other")], "TargetNamespaceNotAllowed", id="away"
        ),
    ],
)
def test_it_waits_and_says_why(things, reason):
    found = world(*things)
    found.settle()
    status = plan(found).status
    assert status is not None
    assert [(each.type, each.status, each.reason) for each in status.conditions] == [("Valid", "False", reason)]


def test_a_source_that_becomes_ready_lets_it_begin():
    found = world(made.source(made.machine(), ready=False), made.plan("web"))
    found.settle()
    source = made.source(made.machine())
    found.change(source, {"status": source.model_dump(by_alias=True, mode="json")["status"]})
    found.settle()
    assert phases(found) == [("web", "PoweringOff")]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"generation": 2}, id="another address, perhaps"),
        pytest.param({"annotations": {importsource.REFRESH: "1"}}, id="another look is asked for"),
    ],
)
def test_machines_are_those_of_the_source_as_it_is_now(change):
    """Another vCenter may be behind its new address, with another machine of the same id."""
    source = made.source(made.machine())
    found = world(source, made.plan("web"))
    found.change(source, {"metadata": change})
    found.settle()
    status = plan(found).status
    assert status is not None
    assert [each.reason for each in status.conditions] == ["SourceNotReady"]
    assert "looked at again" in (status.conditions[0].message or "")
    looked = importsource.request(found.get(ImportSource, "vc"))
    found.change(source, {"status": {"seen": looked}})
    found.settle()
    assert phases(found) == [("web", "PoweringOff")]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param({"instance_uuid": "50-aa"}, "50-aa", id="unique within a vCenter"),
        pytest.param({}, made.machine().uuid, id="on a host of its own"),
    ],
)
def test_who_is_switched_off(more, expected):
    found = world(made.source(made.machine(**more)), made.plan("web"))
    found.settle()
    raw = next(raw for (kind, _), raw in found.objects.items() if kind is Pod)
    environment = {each["name"]: each["value"] for each in raw["spec"]["containers"][0]["env"]}
    assert importpod.Job.model_validate_json(environment[importpod.ENV]).machine == expected


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        pytest.param("off", "LoginRefused", id="the source refuses"),
        pytest.param("disk", "DiskFailed", id="a disk fails"),
        pytest.param("convert", "ConversionFailed", id="virt-v2v cannot"),
    ],
)
def test_failures_are_told(at, reason):
    found = world(made.source(made.machine()), made.plan("web"))
    found.settle()
    ends(found, pod("web", "off"), OFF if at != "off" else Verdict(False, "no", "LoginRefused"))
    if at == "disk":
        disk(found, "web-disk0", "Failed", "N/A", "vc answered 404")
    elif at == "convert":
        disk(found, "web-disk0")
        ends(found, pod("web", "convert"), Verdict(False, "no operating system", "ConversionFailed"))
    status = plan(found).status
    assert status is not None
    machine = status.vms[0]
    assert (machine.phase, machine.reason, status.phase) == ("Failed", reason, "Failed")
    assert found.all(VirtualMachine) == []
    assert ("stays off" in (machine.message or "")) == (at != "off")


def test_an_ova_has_no_power():
    found = world(made.source(made.machine(power="poweredOff"), ova=True), made.plan("web"))
    found.settle()
    assert phases(found) == [("web", "Copying")]
    assert found.all(Pod) == []


def test_few_at_a_time():
    names = [f"m{number}" for number in range(6)]
    machines = [made.machine(name, f"vm-{name}") for name in names]
    found = world(made.source(*machines), made.plan(*names))
    found.settle()
    assert [phase for _, phase in phases(found)].count("PoweringOff") == importplan.AT_ONCE
    ends(found, pod("m0", "off"), Verdict(False, "no", "LoginRefused"))
    assert [phase for _, phase in phases(found)].count("PoweringOff") == importplan.AT_ONCE


def test_the_inventory_may_go_once_it_has_begun():
    found = world(made.source(made.machine()), made.plan("web"))
    found.settle()
    ends(found, pod("web", "off"), OFF)
    found.change(made.source(), {"status": {"machines": []}})
    found.settle()
    disk(found, "web-disk0")
    ends(found, pod("web", "convert"), CONVERTED)
    assert phases(found) == [("web", "Succeeded")]


def test_pods_have_the_password_mounted_and_no_rights():
    found = world(made.source(made.machine()), made.plan("web"))
    found.settle()
    raw = next(raw for (kind, _), raw in found.objects.items() if kind is Pod)
    spec = raw["spec"]
    assert {"name": "credentials", "secret": {"secretName": "vc", "defaultMode": 0o440}} in spec["volumes"]
    container = spec["containers"][0]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert not any("password" in str(each) for each in container["env"])
    assert raw["metadata"]["namespace"] == make.NS


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 4])
def test_a_controller_that_dies_in_the_middle_of_a_visit(cut):
    """Each visit is broken off after some writes, as a crash would; the next one makes up for it."""

    def crash(found: World) -> None:
        found.visit(found.controllers[0], plan(found), cut)
        found.settle()

    found = world(made.source(made.machine(), made.machine("db", "vm-2")), made.plan("web", "db", "nobody"))
    crash(found)
    ends(found, pod("web", "off"), OFF)
    ends(found, pod("db", "off"), OFF)
    crash(found)
    for name in ("web-disk0", "db-disk0"):
        found.change(found.get(DataVolume, name), {"status": {"phase": "Succeeded", "progress": "100.0%"}})
    crash(found)
    for name in (pod("web", "convert"), pod("db", "convert")):
        container = {"name": "worker", "state": {"terminated": {"exitCode": 0, "message": verdict.text(CONVERTED)}}}
        found.change(found.get(Pod, name), {"status": {"phase": "Succeeded", "containerStatuses": [container]}})
        crash(found)
    assert phases(found) == [("web", "Succeeded"), ("db", "Succeeded"), ("nobody", "Failed")]
    assert len(found.all(VirtualMachine)) == 2


def test_another_plan_has_pods_of_its_own():
    """Else a second plan for a machine that failed would find the pod of the first in its way, for ever."""
    again = made.plan("web")
    again = again.model_copy(update={"metadata": again.metadata.model_copy(update={"uid": "another"})})
    names = {importpod.name(each, "web", "off") for each in (made.plan("web"), again)}
    assert len(names) == 2


@pytest.mark.parametrize("target", ["web", "w" * 50, f"{'w' * 39}-{'w' * 10}"])
@pytest.mark.parametrize("work", ["off", "convert"])
def test_names_of_pods_are_names_of_hosts(target, work):
    assert re.fullmatch("[a-z0-9](-?[a-z0-9])*", pod(target, work))
    assert len(pod(target, work)) < 63
    assert pod(target, work) != pod(f"{target}x", work)


async def test_one_that_is_refused_does_not_keep_the_others():
    """Applied for real: the first machine's pod is refused, the others begin and their progress is written."""
    kube, store = FakeKube(), Store()
    recorder = Recorder(kube, "test", "test-0")
    names = ("web", "db", "nobody")
    source = made.source(made.machine(), made.machine("db", "vm-2"))
    store.observe(ImportSource, source.model_dump(mode="json", by_alias=True, exclude_unset=True))
    body = made.plan(*names).model_dump(mode="json", by_alias=True, exclude_unset=True)
    body["metadata"].pop("resourceVersion")
    store.observe(ImportPlan, await kube.create(ImportPlan, make.NS, body))

    def policy(verb: str, kind: Any, name: str) -> None:
        if verb == "POST" and kind is Pod and name.startswith("import-web-off"):
            raise Forbidden(403, "Forbidden", "exceeded quota")

    kube.refuse = policy
    statuses = []
    for minute in range(3):
        parent = next(store.all(ImportPlan))
        now = make.NOON + timedelta(minutes=minute)
        planned = importplan.plan(parent, importplan.look(store, parent), now, SETTINGS)
        outcome = await Applier(kube, store, recorder).apply(importplan.controller(SETTINGS), parent, planned, now)
        assert [each.error.message for each in outcome.failures] == ["exceeded quota"]
        assert outcome.requeue_after == importplan.LOOK
        statuses.append(next(store.all(ImportPlan)).status)
    last = statuses[-1]
    assert last == statuses[1], "what does not change is not written again and again"
    assert last is not None
    assert [each.metadata.name[:13] for each in store.all(Pod)] == ["import-db-off"]
    assert [(each.name, each.phase) for each in last.vms] == [
        ("web", "PoweringOff"),
        ("db", "PoweringOff"),
        ("nobody", "Failed"),
    ]
    assert "exceeded quota" in (last.vms[0].message or "")
    assert last.vms[1].message is None
    assert (last.phase, last.failed) == ("Running", 1)


def pods(found: World) -> list[str]:
    return [each.metadata.name for each in found.all(Pod)]


def test_pods_go_with_their_step():
    """A finished pod holds the claims that it mounts: nobody could delete the machine and its disks."""
    found = world(made.source(made.machine(), made.machine("db", "vm-2")), made.plan("web", "db"))
    found.settle()
    assert pods(found) == [pod("db", "off"), pod("web", "off")]
    ends(found, pod("web", "off"), OFF)
    assert pods(found) == [pod("db", "off")]
    disk(found, "web-disk0")
    assert pods(found) == [pod("db", "off"), pod("web", "convert")]
    ends(found, pod("web", "convert"), CONVERTED)
    assert pods(found) == [pod("db", "off")]
    ends(found, pod("db", "off"), Verdict(False, "no", "LoginRefused"))
    assert (phases(found), pods(found)) == ([("web", "Succeeded"), ("db", "Failed")], [])


@pytest.mark.parametrize("gone", [False, True])
def test_a_pod_that_is_given_up_switches_nothing_off_later(gone):
    """It would be started again and again, until the source of an import that ended long ago is back."""
    found = world(made.source(made.machine(), made.machine("db", "vm-2")), made.plan("web", "db"))
    found.settle()
    container = {"name": "worker", "restartCount": verdict.RESTARTS + 1}
    status = {"phase": "Running", "containerStatuses": [container]}
    found.change(found.get(Pod, pod("web", "off")), {"status": status})
    found.visit(found.controllers[0], plan(found))
    assert (phases(found)[0], len(pods(found))) == (("web", "Failed"), 2), "first its word is written down"
    if gone:
        found.delete(made.source())
    found.settle()
    assert pods(found) == [pod("db", "off")]


@pytest.mark.parametrize("work", ["off", "convert"])
def test_a_word_is_written_before_its_pod_goes(work):
    found = world(made.source(made.machine()), made.plan("web"))
    found.settle()
    if work == "convert":
        ends(found, pod("web", "off"), OFF)
        disk(found, "web-disk0")
    said = {"terminated": {"exitCode": 0, "message": verdict.text(CONVERTED)}}
    status = {"phase": "Succeeded", "containerStatuses": [{"name": "worker", "state": said}]}
    found.change(found.get(Pod, pod("web", work)), {"status": status})
    found.visit(found.controllers[0], plan(found))
    assert pods(found) == [pod("web", work)]
    assert CONVERTED.message in str(plan(found).status)
