"""The dialogue of a move: each step, each time-out, and every cut of it by a crash."""

from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest

from launcher.agent.migration.dialogue import (
    GIB,
    RESTARTED,
    Abort,
    Command,
    GiveUp,
    HandOver,
    Job,
    Look,
    Mark,
    Policy,
    Seen,
    Start,
    Suspend,
    Unpause,
    Wait,
    move,
)

HALF = Job(total=GIB, processed=GIB // 2, remaining=GIB // 2)


def talk(policy: Policy, *seen: Seen) -> tuple[list[Command], str | None]:
    """The commands that follow upon what is seen, and the outcome if it came to one."""
    flow = move(policy)
    commands = [next(flow)]
    for each in seen:
        try:
            commands.append(flow.send(each))
        except StopIteration as end:
            return commands, end.value
    return commands, None


DONE = Seen(guest="gone", ended="")


@pytest.mark.parametrize(
    ("seen", "commands", "outcome"),
    [
        pytest.param(
            [Seen(), Seen(), Seen(job=HALF), DONE, DONE],
            [Look(), Mark(), Start(), Wait(), HandOver()], "moved", id="all goes well",
        ),
        pytest.param(
            [Seen(abort=True), Seen()], [Look(), GiveUp("the migration was aborted", True)], "stayed",
            id="aborted before it began",
        ),
        pytest.param(
            [Seen(), Seen(), Seen(job=HALF, abort=True), Seen(abort=True), Seen(ended="aborted"), Seen()],
            [Look(), Mark(), Start(), Abort(), Wait(), GiveUp("the migration was aborted", True)], "stayed",
            id="aborted while it runs",
        ),
        pytest.param(
            [Seen(), Seen(), Seen(job=HALF, abort=True), replace(DONE, abort=True), DONE],
            [Look(), Mark(), Start(), Abort(), HandOver()], "moved", id="an abort that came too late",
        ),
        pytest.param(
            [Seen(), Seen(), Seen(ended="no route to host"), Seen()],
            [Look(), Mark(), Start(), GiveUp("no route to host")], "stayed", id="libvirt fails",
        ),
        pytest.param(
            [Seen(), Seen(), Seen(ended="lost the target", guest="paused"), Seen(guest="paused"), Seen()],
            [Look(), Mark(), Start(), GiveUp("lost the target"), Unpause()], "stayed",
            id="the guest is left stopped: it runs on once that is written",
        ),
        pytest.param(
            [Seen(), Seen(), Seen(ended="x", guest="paused", paused_by_user=True),
             Seen(guest="paused", paused_by_user=True)],
            [Look(), Mark(), Start(), GiveUp("x")], "stayed", id="a guest that its user stopped stays so",
        ),
        pytest.param(
            [Seen(), Seen(), Seen(ended="End of file", guest="gone")], [Look(), Mark(), Start()], "unknown",
            id="libvirtd went with the guest: only PID 1 knows",
        ),
        pytest.param([Seen(guest="gone")], [Look()], "unknown", id="there is no guest"),
        pytest.param(
            [Seen(marked=True, job=HALF), Seen(job=HALF), Seen(job=None), Seen()],
            [Look(), Abort(), Wait(), GiveUp(RESTARTED)], "stayed", id="restarted: what runs is ended",
        ),
        pytest.param(
            [Seen(marked=True, guest="gone")], [Look()], "unknown", id="restarted: the guest is gone, we saw not how"
        ),
        pytest.param(
            [Seen(marked=True, guest="paused"), Seen(guest="paused"), Seen()],
            [Look(), GiveUp(RESTARTED), Unpause()], "stayed", id="restarted: stopped, and no job",
        ),
    ],
)  # fmt: skip
def test_dialogue(seen: list[Seen], commands: list[Command], outcome: str) -> None:
    assert talk(Policy(), *seen) == (commands, outcome)


def test_it_may_not_take_for_ever() -> None:
    late = Seen(job=HALF, at=151)
    commands, _ = talk(Policy(), Seen(), Seen(), late, late, Seen(ended="aborted"))
    assert commands[3:] == [
        Abort(), Wait(), GiveUp("Live migration is not completed after 150 seconds and has been aborted"),
    ]  # fmt: skip


def test_large_guests_may_take_longer() -> None:
    large = Job(total=4 * GIB, remaining=3 * GIB)
    commands, _ = talk(Policy(), Seen(), Seen(), Seen(job=large, at=149), Seen(job=replace(large, remaining=1), at=299))
    assert commands[3:] == [Wait(), Wait()]


def test_it_must_get_closer() -> None:
    commands, _ = talk(
        Policy(completion_per_gib=1000, progress=10),
        Seen(), Seen(), Seen(job=HALF, at=1), Seen(job=HALF, at=10), Seen(job=HALF, at=11.5), Seen(ended="aborted"),
    )  # fmt: skip
    assert commands[3:] == [
        Wait(), Wait(), Abort(), GiveUp("Live migration stuck for 10 seconds and has been aborted"),
    ]  # fmt: skip


def test_a_guest_that_may_be_stopped_is_before_the_move_fails() -> None:
    policy = Policy(disruption=True)
    commands, _ = talk(
        policy, Seen(), Seen(), Seen(job=HALF, at=151), Seen(job=HALF, at=200, guest="paused"),
        Seen(job=HALF, at=301, guest="paused"), Seen(ended="aborted", guest="paused"), Seen(guest="paused"), Seen(),
    )  # fmt: skip
    assert [type(each) for each in commands[3:]] == [Suspend, Wait, Abort, GiveUp, Unpause]


def test_an_abort_is_asked_for_again() -> None:
    commands, _ = talk(
        Policy(), Seen(), Seen(), Seen(job=HALF, abort=True), Seen(job=HALF, at=29), Seen(job=HALF, at=31)
    )
    assert commands[3:] == [Abort(), Wait(), Abort()]


@dataclass
class World:
    """A VMI, the QEMU of its source and of its target, and libvirt, which crashes do not stop."""

    guest: str = "running"
    target: str = "none"  # none, copying, stopped, running
    owner: str = "source"
    state: str = "asked"  # asked, marked, moved, failed
    ticks: int = 0
    ended: str | None = None  # what libvirt would answer to a caller that is still there
    fails: bool = False
    lost: bool = False  # the answer of the last step is lost, with the connection: the source runs on

    def carry_out(self, command: Command) -> None:
        match command:
            case Mark():
                assert self.state == "asked"
                self.state = "marked"
            case Start():
                self.target, self.ticks = "copying", 0
            case Abort() if self.target == "copying":
                self.target, self.ended = "none", "aborted"
            case HandOver():
                assert (self.guest, self.target) == ("gone", "stopped"), "a hand-over without proof"
                self.hand_over()
            case GiveUp():
                if self.state in ("asked", "marked"):
                    self.state = "failed"
            case Unpause():
                assert self.state == "failed", "a guest that somebody may still hand over"
                if self.guest == "paused":
                    self.guest = "running"
        self.tick()

    def hand_over(self) -> None:
        if self.state == "marked":
            self.state, self.owner, self.target = "moved", "target", "running"

    def tick(self) -> None:
        """libvirt gets on."""
        if self.target == "copying":
            self.ticks += 1
            if self.ticks == 2 and self.fails:
                self.target, self.ended = "none", "no route to host"
            elif self.ticks == 2:
                self.guest = "paused"
            elif self.ticks == 3 and self.lost:
                self.target, self.guest, self.ended = "stopped", "running", "the connection broke"
            elif self.ticks == 3:
                self.target, self.guest, self.ended = "stopped", "gone", ""
        running = [self.guest == "running", self.target == "running"]
        assert sum(running) <= 1, "two guests run"

    def crash(self) -> None:
        """The source's agent dies: its tunnel breaks, and libvirt gives up what it has not finished."""
        if self.target == "copying":
            self.target = "none"
            self.guest = "running" if self.guest != "gone" else "gone"
        self.ended = None

    def seen(self, restarted: bool, started: bool) -> Seen:
        job = HALF if self.target == "copying" else None
        ended = self.ended if started else None
        guest: Any = self.guest
        return Seen(guest=guest, job=job, ended=ended, marked=restarted and self.state == "marked")

    def manager(self) -> None:
        """The migration process: hands over on PID 1's word, ends the target of a move that failed."""
        if self.state == "marked" and self.guest == "gone" and self.target == "stopped":
            self.hand_over()
        if self.state == "failed":
            self.target = "none"
        self.tick()


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("cut", range(12))
@pytest.mark.parametrize("before", [False, True], ids=["answer lost", "never sent"])
def test_crashes(cut: int, fails: bool, lost: bool, before: bool) -> None:
    """The agent dies at its n-th command, before or after it was carried out; its next life begins anew."""
    world = World(fails=fails, lost=lost)
    steps = count()
    for life in range(3):
        flow = move(Policy())
        command, started = next(flow), False
        if world.state not in ("asked", "marked"):
            break
        restarted = life > 0
        while True:
            crashed = life == 0 and next(steps) == cut
            if not (crashed and before):
                world.carry_out(command)
            if crashed:
                world.crash()
                break
            started = started or isinstance(command, Start)
            try:
                command = flow.send(world.seen(restarted, started))
            except StopIteration:
                break
        world.manager()
    assert world.state in ("moved", "failed"), world
    running = [name for name, state in (("source", world.guest), ("target", world.target)) if state == "running"]
    assert running == [world.owner], "one guest runs, and it is the owner's"
