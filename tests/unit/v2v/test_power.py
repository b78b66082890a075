"""The power dialogue, with the test as the vSphere."""

import pytest

from v2v.vsphere.power import Cut, Look, Power, ShutDown, Wait, off


def play(answers, patience=10.0):
    """The commands and the outcome, when vSphere answers so."""
    dialogue, answers = off(patience), iter(answers)
    commands = [next(dialogue)]
    try:
        while len(commands) < 50:
            observed = next(answers) if isinstance(commands[-1], Look | ShutDown) else None
            commands.append(dialogue.send(observed))
    except StopIteration as end:
        return commands, end.value
    raise AssertionError("no end")


def test_a_machine_that_is_off():
    assert play([Power.OFF]) == ([Look()], "was off")


def test_the_guest_shuts_down():
    commands, outcome = play([Power.ON, True, Power.ON, Power.OFF])
    assert outcome == "shut down"
    assert Cut() not in commands


def test_a_guest_that_does_not_is_switched_off():
    commands, outcome = play([Power.ON, True, *[Power.ON] * 5, Power.OFF])
    assert outcome == "switched off"
    assert commands.count(Wait(2.0)) == 5
    assert commands.count(Cut()) == 1


def test_without_tools_there_is_no_waiting():
    commands, outcome = play([Power.ON, False, Power.OFF])
    assert outcome == "switched off"
    assert Wait(2.0) not in commands


def test_it_is_asked_until_it_is_off():
    commands, _ = play([Power.ON, False, Power.ON, Power.ON, Power.OFF])
    assert commands.count(Cut()) == 3


@pytest.mark.parametrize("patience", [0.0, 10.0])
def test_a_suspended_machine_is_left_alone(patience):
    assert play([Power.SUSPENDED], patience) == ([Look()], "suspended")
