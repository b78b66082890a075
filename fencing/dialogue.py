"""The dialogue by which a silent node is proven off and its place is cleared: a generator that does nothing itself.

It can be started anew from any status: every step may be done twice, and nothing is known that is not in the status.
There is one way to `Fence`: with a proof, made in `verify`, or from a new boot, or from a person's word.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import chain, repeat

from fencing.verdict import Reach
from hostler.api import fencing as api
from hostler.api.fencing import FenceDevice, FenceLevel, FenceOperation, FenceProof, NodeFencing, PowerReading

REQUESTED = "Requested"  # the reason of an operation that a person asked for: the node may be alive


@dataclass(frozen=True)
class Pace:
    """Seconds."""

    confirm: float = 3.0  # of a last look before anything is done
    between: float = 2.5  # the readings of a device: a lease would be renewed in between
    quiet: float = 5.0  # that a node must have been silent, as seen without a break, after it was said to be off
    margin: float = 2.0  # by which a renewal may be seen later than it was made
    again: tuple[float, ...] = (5, 15, 30, 60, 120, 300)  # until the devices are tried again


READINGS = 2


@dataclass(frozen=True)
class Note:
    """Write the phase, and why, before anything else is done."""

    phase: str
    reason: str
    message: str
    proof: FenceProof | None = None


@dataclass(frozen=True)
class Look:
    """Wait for so many seconds, then tell what is seen of the node."""

    seconds: float
    knock: bool = False  # at the node's address, too, which takes a while
    patient: bool = True  # not patient: earlier, when somebody has done something about it meanwhile


@dataclass(frozen=True)
class Run:
    """Have a fence agent do something."""

    device: FenceDevice
    action: str


@dataclass(frozen=True)
class Recover:
    """Clear the node's place: taint, VMIs, pods."""


@dataclass(frozen=True)
class Witness:
    """What is seen of the node; times are the observer's monotonic clock."""

    now: float
    stamp: str  # the same moment, for people
    boot_id: str  # of its lease; "" if it has none
    renewed: float | None = None  # when the lease was last seen to change
    since: float | None = 0.0  # of the watching without a break; None: we see nothing now
    reach: Reach = Reach.UNKNOWN
    acknowledged: api.Acknowledgement | None = None
    config: NodeFencing | None = None  # as it is by now: who finds it wrong mends it
    turn: bool = True  # whether one more node may be switched off now
    superseded: str = ""  # why nothing more is to be told in mode Observe


@dataclass(frozen=True)
class Ran:
    """How a fence agent ended: exit code 0 and 2 are its words for done (or on) and off."""

    device: str
    action: str
    exit_code: int | None  # None: killed at its timeout
    message: str
    ended: float  # the observer's monotonic clock
    stamp: str  # when it was started, for people
    reason: str = "FenceAgentFailed"  # what kind of failure, if it is one

    @property
    def done(self) -> bool:
        return self.exit_code == 0

    @property
    def power(self) -> str:
        """What a `status` means."""
        return {0: "on", 2: "off"}.get(-1 if self.exit_code is None else self.exit_code, "unknown")


@dataclass(frozen=True)
class Cleared:
    """How far `Recover` has come."""

    left: int  # pods that were still there
    message: str  # at the end: what became of them


@dataclass(frozen=True)
class Why:
    """Why there is no proof."""

    reason: str
    message: str


LIES = Why("DeviceLies", "the devices say that it is off, but the node went on renewing its lease")

Command = Note | Look | Run | Recover
Reply = Witness | Ran | Cleared | None
Flow = Generator[Command, Reply, None]


def fence(op: FenceOperation, config: NodeFencing | None, pace: Pace) -> Flow:
    """From where the operation is to its end."""
    proof = op.proof
    if proof is None or op.phase not in api.PROVEN:
        proof = yield from prove(op, config, pace)
        if proof is None:
            return
        yield Note(api.FENCED, proof.kind, proof.message, proof)
    yield from recover(op, proof, pace)


def prove(op: FenceOperation, config: NodeFencing | None, pace: Pace) -> Generator[Command, Reply, FenceProof | None]:
    """The proof; None if the operation ended without one."""
    observing = op.spec.mode == "Observe"
    if op.phase == api.PENDING:
        yield from told(op, observing, config)
    for pause in pauses(op, pace):
        witness = yield from look(pause)
        if proof := given(op, witness, pace):
            return proof
        if observing and witness.superseded:
            yield Note(api.CANCELLED, "Superseded", witness.superseded)
            return None
        if alive(op, witness, pace) and op.spec.reason != REQUESTED:
            yield Note(api.CANCELLED, "NodeAlive", "the node renews its lease again, under the same boot")
            return None
        if observing or witness.since is None or not witness.turn:
            continue
        yield Note(api.POWERING_OFF, "PoweringOff", f"switching off {op.spec.node_name}: {plan(witness.config)}")
        proven = yield from power_off(op, witness.config, pace)
        if isinstance(proven, FenceProof):
            return proven
        yield Note(api.NEEDS_ACK, proven.reason, f"{proven.message}; it is tried again, or {how_to_ack(op)}")
    return None


def told(op: FenceOperation, observing: bool, config: NodeFencing | None) -> Generator[Command, Reply, None]:
    node, why = op.spec.node_name, op.spec.reason
    if observing:
        yield Note(
            api.OBSERVED, "Observe", f"{node}: {why}. Nothing is done in mode Observe; Enforce would {plan(config)}"
        )
    else:
        yield Note(api.CONFIRMING, "NodeSilent" if why != REQUESTED else why, f"{node}: {why}")


def plan(config: NodeFencing | None) -> str:
    """What would be done, in words."""
    if config is None:
        return "need a NodeFencing: there is none of its name"
    levels = (" and ".join(f"{d.agent} ({d.name})" for d in level.devices) for level in config.spec.levels)
    return "run " + ", or else ".join(levels)


def how_to_ack(op: FenceOperation) -> str:
    return f"make sure that it is off and say so: vmctl fence ack {op.metadata.name}"


def pauses(op: FenceOperation, pace: Pace) -> Iterator[Look]:
    """The first look is long enough to see a renewal, also for a manager that has just started."""
    yield Look(max(pace.confirm, pace.margin))
    if op.spec.mode == "Observe":
        while True:
            yield Look(pace.confirm)
    for seconds in chain(pace.again, repeat(pace.again[-1])):
        yield Look(seconds, patient=False)


def look(wanted: Look) -> Generator[Command, Reply, Witness]:
    reply = yield wanted
    assert isinstance(reply, Witness)
    return reply


def given(op: FenceOperation, witness: Witness, pace: Pace) -> FenceProof | None:
    """A proof that no device had to be asked for: a new boot; or a person's word, unless the node itself denies it."""
    boot = op.spec.boot_id
    if boot and witness.boot_id and witness.boot_id != boot:
        message = f"the node runs boot {witness.boot_id}: boot {boot} is over"
        return FenceProof(kind="NewBoot", at=witness.stamp, boot_id=boot, message=message)
    if (said := witness.acknowledged) and not alive(op, witness, pace):
        message = f"{said.by} says that the node is off: {said.message}"
        return FenceProof(kind="Acknowledged", at=witness.stamp, boot_id=boot, message=message, by=said.by)
    return None


def alive(op: FenceOperation, witness: Witness, pace: Pace, after: float | None = None) -> bool:
    """Whether this very boot was seen to renew its lease: since `after`, or of late."""
    if witness.renewed is None or witness.boot_id != op.spec.boot_id:
        return False
    return witness.renewed > (witness.now - pace.quiet if after is None else after + pace.margin)


def power_off(
    op: FenceOperation, config: NodeFencing | None, pace: Pace
) -> Generator[Command, Reply, FenceProof | Why]:
    """Level after level until all devices of one are off, and seen to be."""
    failure = Why(
        "NoFenceDevice", f"there is no NodeFencing named {op.spec.node_name}: nothing says how to switch it off"
    )
    for level in config.spec.levels if config else ():
        ended = yield from switch(level, "off")
        if isinstance(ended, Why):
            failure = ended
            continue
        yield Note(api.VERIFYING, "Verifying", "said to be off; reading the power again, and listening to the node")
        proven = yield from verify(op, level, ended, pace)
        if isinstance(proven, FenceProof):
            return proven
        failure = proven
    return failure


def switch(level: FenceLevel, action: str) -> Generator[Command, Reply, float | Why]:
    """All devices of a level; when the last of them was done."""
    ended = 0.0
    for device in level.devices:
        ran = yield from run(device, action)
        if not ran.done:
            return Why(ran.reason, f"{device.agent} ({device.name}) {action}: {ran.message}")
        ended = ran.ended
    return ended


def run(device: FenceDevice, action: str) -> Generator[Command, Reply, Ran]:
    """An agent, again if it failed."""
    for left in range(device.retries if device.retries is not None else 1, -1, -1):
        ran = yield Run(device, action)
        assert isinstance(ran, Ran)
        if ran.power != "unknown" or not left:
            return ran
    raise AssertionError("there is always a last run")


def verify(
    op: FenceOperation, level: FenceLevel, off: float, pace: Pace
) -> Generator[Command, Reply, FenceProof | Why]:
    """Whether it is off: by new readings of each device, and by the node's own silence. A BMC can lie."""
    readings: list[PowerReading] = []
    stamp = ""
    for _ in range(READINGS):
        heard = yield from look(Look(pace.between))
        if alive(op, heard, pace, after=off):
            return LIES
        for device in level.devices:
            ran = yield from run(device, "status")
            if ran.power != "off":
                return Why("NotOff", f"{device.agent} ({device.name}) said it was off, but its status is {ran.power}")
            readings.append(PowerReading(device=device.name, at=ran.stamp, power=ran.power))
            stamp = ran.stamp
    witness = yield from listen(op, off, pace)
    if proof := given(op, witness, pace):
        return proof
    if alive(op, witness, pace, after=off):
        return LIES
    if witness.reach in (Reach.ANSWERS, Reach.DEAF):
        return Why("DeviceLies", "the devices say that it is off, but the node's address still answers")
    message = f"{', '.join(device.name for device in level.devices)} read off {READINGS} times, and the node is silent"
    return FenceProof(kind="PowerOff", at=stamp, boot_id=op.spec.boot_id, message=message, readings=tuple(readings))


def listen(op: FenceOperation, off: float, pace: Pace) -> Generator[Command, Reply, Witness]:
    """Until we have heard nothing for long enough without having been away, or have heard something."""
    while True:
        witness = yield from look(Look(0.5, knock=True))
        if alive(op, witness, pace, after=off) or given(op, witness, pace):
            return witness
        if witness.since is not None and witness.now - max(witness.since, off) >= pace.quiet:
            return witness


def recover(op: FenceOperation, proof: FenceProof, pace: Pace) -> Flow:
    """Clear the node's place, as far as it is not itself there again to do so."""
    message = "the node is back, and its kubelet ends what was there"
    if op.phase == api.RECOVERED:
        return
    if proof.kind != "NewBoot":
        yield Note(api.RECOVERING, proof.kind, "no pods are scheduled there any more; its VMIs and pods are ended")
        pause = 0.0
        while True:
            witness = yield from look(Look(pause))
            pause = 1.0
            if witness.since is None:
                continue  # we do not know which boot there is
            if witness.boot_id not in ("", op.spec.boot_id):
                break
            if alive(op, witness, pace):
                yield Note(api.FAILED, "NodeStillAlive", f"ALARM: the node renews its lease although {proof.message}")
                return
            cleared = yield Recover()
            assert isinstance(cleared, Cleared)
            message = cleared.message
            if not cleared.left:
                message += yield from power_on(proof, witness.config)
                break
    yield Note(api.RECOVERED, proof.kind, message)


def power_on(proof: FenceProof, config: NodeFencing | None) -> Generator[Command, Reply, str]:
    """The node's next life, if that is wanted; what became of it, in words."""
    if proof.kind != "PowerOff" or config is None or config.spec.after_fencing != "PowerOn":
        return ""
    off = {reading.device for reading in proof.readings}
    for level in config.spec.levels:
        if {device.name for device in level.devices} <= off:
            ended = yield from switch(level, "on")
            return (
                f"; it was not switched on: {ended.message}" if isinstance(ended, Why) else "; it was switched on again"
            )
    return ""
