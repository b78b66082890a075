"""Switching a source machine off, the polite way first: a dialogue that another drives."""

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum

SUSPENDED = "suspended"
POLL = 2.0  # seconds between two looks


class Power(Enum):
    """What vSphere says of a machine."""

    ON = "poweredOn"
    OFF = "poweredOff"
    SUSPENDED = "suspended"


@dataclass(frozen=True)
class Look:
    """Read the power state; the observation is a Power."""


@dataclass(frozen=True)
class ShutDown:
    """Ask the guest to shut down; the observation is whether it was told."""


@dataclass(frozen=True)
class Cut:
    """Switch it off; there is no observation: whether it is off, only a look tells."""


@dataclass(frozen=True)
class Wait:
    seconds: float


Command = Look | ShutDown | Cut | Wait
Off = Generator[Command, Power | bool | None, str]


def off(patience: float) -> Off:
    """Until the machine is off: how it came to be. `patience`: seconds that the guest may take.

    A suspended machine has memory that is not on its disks: it is refused, by the word `suspended`.
    """
    seen = yield Look()
    if seen is Power.OFF:
        return "was off"
    if seen is Power.SUSPENDED:
        return SUSPENDED
    told = yield ShutDown()
    waited = 0.0
    while told and waited < patience:
        yield Wait(POLL)
        waited += POLL
        if (yield Look()) is Power.OFF:
            return "shut down"
    while True:
        yield Cut()
        if (yield Look()) is Power.OFF:
            return "switched off"
        yield Wait(POLL)
