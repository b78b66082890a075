"""Carries out the power dialogue on a real vSphere."""

import time
from collections.abc import Callable
from contextlib import suppress

from pyVmomi import vim

from v2v.vsphere.power import Command, Cut, Look, Off, Power, ShutDown, Wait
from v2v.vsphere.session import Session


def drive(session: Session, identity: str, dialogue: Off, pause: Callable[[float], None] = time.sleep) -> str:
    """The dialogue's outcome."""
    machine = session.machine(identity)
    observation: Power | bool | None = None
    try:
        command = next(dialogue)
        while True:
            observation = obey(machine, command, pause)
            command = dialogue.send(observation)
    except StopIteration as end:
        return str(end.value)


def obey(machine: vim.VirtualMachine, command: Command, pause: Callable[[float], None]) -> Power | bool | None:
    """Carry out one command; that the machine went off meanwhile is no error."""
    match command:
        case Look():
            return Power(str(machine.runtime.powerState))
        case ShutDown():
            try:
                machine.ShutdownGuest()
            except (vim.fault.ToolsUnavailable, vim.fault.InvalidPowerState):
                return False
            return True
        case Cut():
            with suppress(vim.fault.InvalidPowerState):
                machine.PowerOffVM_Task()
            return None
        case Wait(seconds):
            pause(seconds)
            return None
