"""One move of a guest, as a dialogue with the source's libvirt and the API server. Pure.

The generator yields commands and receives what is seen after each. It may be cut off at any command and begun anew by
the agent's next life; these hold at every cut:

- the target's guest is stopped until the VMI's owner epoch names it, and only `HandOver` writes that;
- `HandOver` follows only upon libvirt's word that the guest is complete at the target and has ended here;
- a move that was `Mark`ed and whose end nobody saw is given up if the guest is still here. If it is not, PID 1 says
  whether it moved, and the migration process hands over on that proof;
- a guest that the move left stopped here runs on only after `GiveUp` was written: from then on nobody hands over.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

GIB = 2**30
AGAIN = 30.0  # seconds until an abort is asked for once more
RESTARTED = "the agent of the source node was restarted during the migration"
Outcome = Literal["moved", "stayed", "unknown"]


@dataclass(frozen=True)
class Policy:
    """What the operator allows; seconds and bytes."""

    completion_per_gib: float = 150.0
    progress: float = 150.0
    disruption: bool = False  # stop the guest when it would fail otherwise


@dataclass(frozen=True)
class Job:
    """How far libvirt is; bytes."""

    total: int = 0
    processed: int = 0
    remaining: int = 0


@dataclass(frozen=True)
class Seen:
    """After a command: the guest here, the job, and who wants what."""

    guest: Literal["running", "paused", "gone"] = "running"
    job: Job | None = None  # None: libvirt knows of no move
    at: float = 0.0  # seconds since Start
    ended: str | None = None  # "": libvirt says it is done; else why not; None: it goes on
    abort: bool = False  # somebody wants it to end
    marked: bool = False  # an earlier life of this agent had begun it
    paused_by_user: bool = False


@dataclass(frozen=True)
class Look:
    """Only see."""


@dataclass(frozen=True)
class Mark:
    """Write that it begins: from here on nobody else gives it up."""


@dataclass(frozen=True)
class Start:
    """Have libvirt begin."""


@dataclass(frozen=True)
class Wait:
    """See again a little later."""


@dataclass(frozen=True)
class Suspend:
    """Stop the guest, so that what is left can be copied."""


@dataclass(frozen=True)
class Abort:
    """Have libvirt stop the move; the guest stays."""


@dataclass(frozen=True)
class HandOver:
    """Write that the guest is the target's."""


@dataclass(frozen=True)
class GiveUp:
    """Write that it failed."""

    why: str
    aborted: bool = False


@dataclass(frozen=True)
class Unpause:
    """Let the guest run on here."""


Command = Look | Mark | Start | Wait | Suspend | Abort | HandOver | GiveUp | Unpause
Flow = Generator[Command, Seen, Outcome]


def move(policy: Policy) -> Flow:
    """Drive one move until it ends; or end what an earlier life left."""
    seen = yield Look()
    if seen.marked:
        return (yield from recover(seen))
    if seen.guest == "gone":
        return "unknown"
    if seen.abort:
        yield GiveUp("the migration was aborted", aborted=True)
        return "stayed"
    yield Mark()
    seen = yield Start()
    why, aborted = "", False
    patience = Patience(policy)
    while seen.ended is None:
        command, reason = patience.next(seen)
        aborted = aborted or (isinstance(command, Abort) and seen.abort)
        why = why or reason
        seen = yield command
    if not seen.ended:  # also when an abort came too late
        yield HandOver()
        return "moved"
    if seen.guest == "gone":  # libvirtd went before it could answer
        return "unknown"
    return (yield from stay(seen, why or seen.ended, aborted))


def recover(seen: Seen) -> Flow:
    """The job may still run, may have failed, or may have succeeded to the end."""
    while seen.job is not None and seen.guest != "gone":
        yield Abort()
        seen = yield Wait()
    if seen.guest == "gone":
        return "unknown"
    return (yield from stay(seen, RESTARTED, seen.abort))


def stay(seen: Seen, why: str, aborted: bool) -> Flow:
    seen = yield GiveUp(why, aborted)
    if seen.guest == "paused" and not seen.paused_by_user:
        yield Unpause()
    return "stayed"


class Patience:
    """Decides when a move has taken too long."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._factor = 1.0
        self._best: int | None = None  # fewest bytes left so far
        self._closer = 0.0  # when that was
        self._asked: float | None = None  # when an abort was

    def next(self, seen: Seen) -> tuple[Command, str]:
        """The next command, and the reason if it is an abort."""
        if self._asked is not None:
            if seen.at - self._asked < AGAIN:
                return Wait(), ""
            self._asked = seen.at
            return Abort(), ""
        if seen.abort:
            self._asked = seen.at
            return Abort(), "the migration was aborted"
        why = self._late(seen)
        if not why:
            return Wait(), ""
        if self._policy.disruption and self._factor == 1:
            self._factor, self._closer = 2.0, seen.at  # as KubeVirt: a stopped guest gets as long again
            return Suspend(), ""
        self._asked = seen.at
        return Abort(), why

    def _late(self, seen: Seen) -> str:
        if seen.job is None:
            return ""
        left = seen.job.remaining
        if self._best is None or left < self._best:
            self._best, self._closer = left, seen.at
        gib = max(1, -(-seen.job.total // GIB))
        limit = self._policy.completion_per_gib * gib * self._factor
        if seen.at > limit:
            return f"Live migration is not completed after {limit:.0f} seconds and has been aborted"
        if seen.at - self._closer > self._policy.progress:
            return f"Live migration stuck for {seen.at - self._closer:.0f} seconds and has been aborted"
        return ""
