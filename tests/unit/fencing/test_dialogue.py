"""The dialogue, stepped by hand; and whatever the world answers, nothing is fenced without a proof."""

import dataclasses
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from fencing.dialogue import REQUESTED, Cleared, Look, Note, Pace, Ran, Recover, Run, Witness, fence
from fencing.verdict import Reach
from hostler.api.fencing import (
    PHASES,
    PROVEN,
    Acknowledgement,
    FenceDevice,
    FenceLevel,
    FenceOperation,
    NodeFencing,
    NodeFencingSpec,
)
from hostler.api.meta import ObjectMeta

PACE = Pace()
STAMP = "2026-01-01T00:00:00Z"
ONE = (("bmc",),)
TWO_SUPPLIES = (("left", "right"),)
THEN_PDU = (("bmc",), ("pdu",))


def operation(phase="Pending", mode="Enforce", reason="it fell silent", **status):
    whole = {"phase": phase} | status
    spec = {"nodeName": "n", "bootID": "old", "mode": mode, "reason": reason, "requestedBy": "test"}
    return FenceOperation.model_validate({"metadata": {"name": "n-1"}, "spec": spec, "status": whole})


def config(levels=ONE, after=None, retries=0):
    made = tuple(
        FenceLevel(devices=tuple(FenceDevice(name=name, agent="fence_x", retries=retries) for name in level))
        for level in levels
    )
    return NodeFencing(metadata=ObjectMeta(name="n"), spec=NodeFencingSpec(levels=made, after_fencing=after))


@dataclass
class World:
    """Answers a dialogue: a node that is silent, devices that do what `said` says; `log` is what came to pass."""

    said: dict = field(default_factory=dict)  # (device, action) -> exit codes, the last one for ever
    renewed: float | None = None
    boot: str = "old"
    reach: Reach = Reach.SILENT
    blind: bool = False
    acknowledged: Acknowledgement | None = None
    config: NodeFencing | None = None
    turn: bool = True
    superseded: str = ""
    left: list = field(default_factory=lambda: [2, 0])
    now: float = 1000.0
    log: list = field(default_factory=list)

    def answer(self, command):
        if not isinstance(command, Look):
            self.log.append(self.word(command))
        match command:
            case Look(seconds):
                self.now += seconds
                since = None if self.blind else 0.0
                seen = (self.boot, self.renewed, since, self.reach, self.acknowledged)
                return Witness(self.now, STAMP, *seen, self.config, self.turn, self.superseded)
            case Run(device, action):
                self.now += 1
                codes = self.said.get((device.name, action), [0 if action != "status" else 2])
                code = codes.pop(0) if len(codes) > 1 else codes[0]
                reason = "AuthenticationFailed" if code == 1 else "FenceAgentFailed"
                return Ran(device.name, action, code, "said", self.now, STAMP, reason)
            case Recover():
                return Cleared(self.left.pop(0), "2 pods deleted")
        return None

    @staticmethod
    def word(command):
        match command:
            case Note(phase, reason):
                return phase if phase not in ("NeedsAck", "Cancelled", "Failed") else f"{phase} {reason}"
            case Run(device, action):
                return f"{device.name} {action}"
            case Recover():
                return "recover"

    def play(self, flow, until="", most=60):
        """Until the dialogue ends, or a word is said; what was said, in order."""
        reply = None
        for _ in range(most):
            try:
                command = flow.send(reply)
            except StopIteration:
                return self.log
            reply = self.answer(command)
            if until and self.log and self.log[-1].startswith(until):
                return self.log
        return self.log


def play(op=None, levels=ONE, until="", after=None, **world):
    devices = config(levels, after)
    return World(config=devices, **world).play(fence(op or operation(), devices, PACE), until)


OFF = ["PoweringOff", "bmc off", "Verifying", "bmc status", "bmc status"]
CLEAR = ["Fenced", "Recovering", "recover", "recover", "Recovered"]


def test_a_dead_node():
    assert play() == ["Confirming", *OFF, *CLEAR]


def test_is_switched_on_again_when_that_is_wanted():
    assert play(after="PowerOn") == ["Confirming", *OFF, *CLEAR[:-1], "bmc on", "Recovered"]


def test_two_power_supplies_are_both_off():
    assert play(levels=TWO_SUPPLIES)[:7] == [
        *["Confirming", "PoweringOff", "left off", "right off", "Verifying"],
        *["left status", "right status"],
    ]
    half = {("right", "off"): [1]}
    assert play(levels=TWO_SUPPLIES, said=half, until="NeedsAck")[-1] == "NeedsAck AuthenticationFailed"


def test_the_next_level_when_one_fails():
    told = play(levels=THEN_PDU, said={("bmc", "off"): [1]})
    assert told[:5] == ["Confirming", "PoweringOff", "bmc off", "pdu off", "Verifying"]
    assert told[-1] == "Recovered"


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        pytest.param({"said": {("bmc", "off"): [1]}}, "AuthenticationFailed", id="wrong password"),
        pytest.param({"said": {("bmc", "off"): [None]}}, "FenceAgentFailed", id="never answers"),
        pytest.param({"said": {("bmc", "off"): [2]}}, "FenceAgentFailed", id="2 is no success of off"),
        pytest.param({"said": {("bmc", "status"): [0]}}, "NotOff", id="still on"),
        pytest.param({"said": {("bmc", "status"): [2, 0]}}, "NotOff", id="on again"),
        pytest.param({"said": {("bmc", "status"): [1]}}, "NotOff", id="cannot be read"),
        pytest.param({"reach": Reach.ANSWERS}, "DeviceLies", id="its kubelet answers"),
        pytest.param({"reach": Reach.DEAF}, "DeviceLies", id="its kernel answers"),
    ],
)
def test_without_a_proof_somebody_must_look(world, reason):
    told = play(until="NeedsAck", **world)
    assert told[-1] == f"NeedsAck {reason}"
    assert not set(told) & set(PROVEN)


def test_a_node_that_goes_on_renewing_its_lease_is_not_off():
    world = World(config=config())
    flow = fence(operation(reason=REQUESTED), config(), PACE)
    world.play(flow, until="Verifying")
    world.renewed = world.now + 100
    told = world.play(flow, until="NeedsAck")
    assert told[-1] == "NeedsAck DeviceLies"


def test_tries_again_while_it_waits_for_somebody():
    told = play(said={("bmc", "off"): [1, 1, 0]})
    assert told.count("NeedsAck AuthenticationFailed") == 2
    assert told[-1] == "Recovered"


def test_no_device_at_all():
    flow = fence(operation(), None, PACE)
    world = World()
    assert world.play(flow, until="NeedsAck")[-1] == "NeedsAck NoFenceDevice"
    world.config = config()
    assert world.play(flow)[-1] == "Recovered", "until somebody makes one"


def test_it_waits_for_its_turn():
    world = World(config=config(), turn=False)
    flow = fence(operation("NeedsAck"), config(), PACE)
    assert world.play(flow, most=20) == []
    world.turn = True
    assert world.play(fence(operation("NeedsAck"), config(), PACE))[-1] == "Recovered"


def test_a_look_that_waits_for_help_is_not_patient():
    asked = []
    flow, reply, world = fence(operation(), None, PACE), None, World()
    for _ in range(12):
        command = flow.send(reply)
        asked += [command] if isinstance(command, Look) else []
        reply = world.answer(command)
    assert asked[0].patient, "a renewal has to be heard"
    assert not any(each.patient for each in asked[1:])


def test_a_node_that_comes_back_is_left_alone():
    assert play(renewed=1001.0) == ["Confirming", "Cancelled NodeAlive"]


def test_but_not_when_somebody_wants_it_off():
    told = play(operation(reason=REQUESTED), renewed=1001.0)
    assert told[-1] == "Recovered"


def test_a_new_boot_is_a_proof():
    assert play(boot="new") == ["Confirming", "Fenced", "Recovered"], "its kubelet clears up itself"


SAID = Acknowledgement(by="ada", message="I pulled the plug")


def test_a_persons_word_is_a_proof():
    told = play(operation("NeedsAck"), acknowledged=SAID)
    assert told == CLEAR


def test_unless_the_node_denies_it():
    told = play(operation("NeedsAck"), acknowledged=SAID, renewed=1001.0)
    assert told == ["Cancelled NodeAlive"]


def test_observe_only_tells():
    told = play(operation(mode="Observe"), renewed=None)
    assert told == ["Observed"]
    assert play(operation("Observed", mode="Observe"), renewed=1002.0) == ["Cancelled NodeAlive"]
    assert play(operation("Observed", mode="Observe"), acknowledged=SAID) == CLEAR


def test_who_only_tells_gives_way_to_who_acts():
    told = play(operation("Observed", mode="Observe"), superseded="the mode is Enforce by now")
    assert told == ["Cancelled Superseded"]
    assert play(superseded="not meant") == play(), "what acts goes on"


def test_a_lease_that_is_gone_is_no_new_boot():
    assert play(operation("Recovering", proof=PROOF), boot="") == CLEAR[1:]
    assert play(operation("Recovering", proof=PROOF), boot="new") == ["Recovering", "Recovered"]
    assert play(operation("Recovering", proof=PROOF), boot="", blind=True) == ["Recovering"], "who knows"


def test_who_sees_nothing_does_nothing():
    assert play(blind=True) == ["Confirming"]


def test_an_alarm_stops_the_recovery():
    told = play(operation("Recovering", proof=PROOF), renewed=1000.0)
    assert told == ["Recovering", "Failed NodeStillAlive"]


PROOF = {"kind": "PowerOff", "at": STAMP, "bootID": "old", "message": "off", "readings": []}


@pytest.mark.parametrize("phase", PHASES)
def test_every_phase_can_be_taken_up_again(phase):
    proof = {"proof": PROOF} if phase in PROVEN else {}
    told = play(operation(phase, **proof))
    if phase in PROVEN:
        assert told in ([], CLEAR, CLEAR[1:])
        assert ("recover" in told) == (phase != "Recovered")
    else:
        assert told[-5:] == CLEAR
        assert "bmc off" in told, "what was done before the crash is done again: it is the same done twice"


# Whatever the world does


@st.composite
def replies(draw):
    return draw(
        st.fixed_dictionaries(
            {
                "code": st.sampled_from([None, 0, 1, 2, 127]),
                "boot": st.sampled_from(["old", "old", "old", "new", ""]),
                "renewed": st.sampled_from([None, None, "now", "before"]),
                "reach": st.sampled_from(list(Reach)),
                "blind": st.booleans(),
                "ack": st.sampled_from([None, None, None, SAID]),
                "left": st.integers(0, 2),
                "turn": st.sampled_from([True, True, False]),
            }
        )
    )


@dataclass
class Judge:
    """Keeps its own book of what was seen, and decides for itself whether there was a proof."""

    levels: tuple
    offs: dict = field(default_factory=dict)  # device -> readings of off since it was said to be off
    ended: float = 0.0  # when the last device was said to be off
    alive_since: bool = False
    last: Witness | None = None

    def saw(self, command, reply):
        match command, reply:
            case Run(device, "off"), Ran(exit_code=code):
                self.offs[device.name] = 0 if code == 0 else None
                self.ended, self.alive_since = reply.ended, False
            case Run(device, "status"), Ran(exit_code=code):
                known = self.offs.get(device.name)
                self.offs[device.name] = known + 1 if known is not None and code == 2 else None
            case Look(), Witness():
                self.last = reply
                if reply.boot_id == "old" and reply.renewed is not None and reply.renewed > self.ended + PACE.margin:
                    self.alive_since = True

    def proven(self):
        seen = self.last
        if seen.boot_id not in ("", "old") or seen.acknowledged:
            return True
        off = any(all((self.offs.get(device) or 0) >= 2 for device in level) for level in self.levels)
        return off and not self.alive_since and seen.since is not None and seen.reach not in (Reach.ANSWERS, Reach.DEAF)


@settings(max_examples=300, deadline=None)
@for_all(
    st.lists(replies(), min_size=1, max_size=80),
    st.sampled_from([ONE, TWO_SUPPLIES, THEN_PDU]),
    st.sampled_from([phase for phase in PHASES if phase not in PROVEN]),
    st.sampled_from(["it fell silent", REQUESTED]),
    st.sampled_from(["Enforce", "Observe"]),
)
def test_no_history_leads_to_fenced_without_a_proof(history, levels, phase, reason, mode):
    judge, now, reply = Judge(levels), 1000.0, None
    devices = config(levels)
    flow = fence(operation(phase, mode, reason), devices, PACE)
    fenced = False
    for seen in history:
        try:
            command = flow.send(reply)
        except StopIteration:
            return
        now += command.seconds if isinstance(command, Look) else 1.0
        renewed = {"now": now, "before": 900.0, None: None}[seen["renewed"]]
        match command:
            case Look():
                since = None if seen["blind"] else 0.0
                told = (seen["boot"], renewed, since, seen["reach"], seen["ack"])
                reply = Witness(now, STAMP, *told, devices, seen["turn"])
            case Run(device, action):
                assert mode == "Enforce", "Observe switches nothing"
                reply = Ran(device.name, action, seen["code"], "", now, STAMP)
            case Recover():
                assert fenced
                reply = Cleared(seen["left"], "")
            case Note():
                if command.phase in PROVEN:
                    assert fenced or (command.phase == "Fenced" and command.proof is not None)
                if command.phase == "Fenced":
                    assert judge.proven(), (judge, command)
                    fenced = True
                reply = None
        judge.saw(command, reply)


def test_the_judge_can_find_fault():
    """A judge that never objects would prove nothing."""
    judge = Judge(ONE)
    silent = Witness(1000.0, STAMP, "old", None, 0.0, Reach.SILENT)
    judge.saw(Look(1), silent)
    device = FenceDevice(name="bmc", agent="fence_x")
    assert not judge.proven()
    judge.saw(Run(device, "off"), Ran("bmc", "off", 0, "", 1001.0, STAMP))
    judge.saw(Run(device, "status"), Ran("bmc", "status", 2, "", 1002.0, STAMP))
    assert not judge.proven(), "one reading"
    judge.saw(Run(device, "status"), Ran("bmc", "status", 2, "", 1004.0, STAMP))
    assert judge.proven()
    judge.saw(Look(1), replace(silent, renewed=1010.0))
    assert not judge.proven(), "it lives"
    assert dataclasses.is_dataclass(judge)
