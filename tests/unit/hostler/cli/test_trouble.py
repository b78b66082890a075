"""Why a rollout does not get on, from what there is to read."""

from typing import Any

import pytest

from hostler.api.apps import VirtualMachineDaemonSet, VirtualMachineDeployment
from hostler.api.kubevirt.pool import VirtualMachinePool
from hostler.api.kubevirt.vm import VirtualMachine
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.api.objects import Event
from hostler.cli import trouble
from hostler.cli.revisions import Found
from hostler.runtime.protocol import Kind, Raw

SELECTOR = {"selector": {"matchLabels": {"app": "web"}}}


def guest(name: str, *conditions: tuple[str, str, str, str]) -> Raw:
    said = [dict(zip(("type", "status", "reason", "message"), each, strict=True)) for each in conditions]
    return {"metadata": {"name": name, "labels": {"app": "web"}}, "status": {"conditions": said}}


NO_IMAGE = ("Synchronized", "False", "ErrImagePull", "no such image")
NO_ROOM = ("PodScheduled", "False", "Unschedulable", "0/2 nodes are available")
UNREADY = ("Ready", "False", "GuestNotRunning", "Guest VM is not reported as running")
UNPROBED = ("Ready", "False", "ContainersNotReady", "the guest's readiness probe has not succeeded yet")


@pytest.mark.parametrize(
    ("guests", "told"),
    [
        pytest.param([], [], id="nothing is known"),
        pytest.param([guest("a", UNREADY)], [], id="it only takes time"),
        pytest.param([guest("a", ("Ready", "True", "", "")), {"metadata": {"name": "b"}}], [], id="all is well"),
        pytest.param([guest("a", UNREADY, NO_IMAGE)], ["a: ErrImagePull: no such image"], id="the cause only"),
        pytest.param([guest("a", UNPROBED)], [f"a: ContainersNotReady: {UNPROBED[3]}"], id="a probe"),
        pytest.param(
            [guest("c", NO_IMAGE), guest("d", NO_ROOM), guest("b", NO_IMAGE)],
            ["b: ErrImagePull: no such image (and 1 more)", "d: Unschedulable: 0/2 nodes are available"],
            id="of many the first, the most frequent cause before the others",
        ),
    ],
)
def test_the_causes(guests: list[Raw], told: list[str]) -> None:
    assert trouble.causes(guest("web"), guests) == told


def test_what_the_set_itself_says_comes_first() -> None:
    refused = ("ReplicaFailure", "True", "FailedCreate", "exceeded quota")
    workload = guest("web", ("Progressing", "False", "ProgressDeadlineExceeded", ""), refused)
    assert trouble.causes(workload, [guest("a", NO_IMAGE)])[0] == "FailedCreate: exceeded quota"


class Shelf:
    """Answers lists from what lies on it, and remembers the questions."""

    def __init__(self, found: dict[Kind, list[Raw]]) -> None:
        self.found, self.asked = found, list[tuple[Kind, str, str]]()

    async def list(self, kind: Kind, namespace: str, labels: str = "", fields: str = "") -> tuple[list[Raw], str]:
        self.asked.append((kind, labels, fields))
        return self.found.get(kind, []), "1"


def workload(kind: Any) -> Found:
    return Found(kind, "web", {"metadata": {"namespace": "here", "uid": "u"}, "spec": SELECTOR})


@pytest.mark.parametrize(
    ("kind", "member"),
    [(VirtualMachineDeployment, VirtualMachineInstance), (VirtualMachinePool, VirtualMachine)],
)
async def test_its_own_guests_are_asked(kind: Any, member: Kind) -> None:
    shelf = Shelf({member: [guest("a", NO_IMAGE)]})
    assert await trouble.of(shelf, workload(kind)) == ["a: ErrImagePull: no such image"]  # type: ignore[arg-type]
    assert shelf.asked == [(member, "app=web", "")]


async def test_a_set_without_a_condition_has_events() -> None:
    events = [
        {"type": "Warning", "reason": "FailedCreate", "note": "no quota", "eventTime": "2026-01-01T00:00:02Z"},
        {"type": "Warning", "reason": "FailedCreate", "note": "before", "eventTime": "2026-01-01T00:00:01Z"},
        {"type": "Normal", "reason": "SuccessfulCreate", "note": "later", "eventTime": "2026-01-01T00:00:03Z"},
    ]
    shelf = Shelf({Event: events})
    assert await trouble.of(shelf, workload(VirtualMachineDaemonSet)) == ["FailedCreate: no quota"]  # type: ignore[arg-type]
    assert shelf.asked[-1] == (Event, "", "regarding.uid=u")
