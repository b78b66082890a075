"""A Hypervisor in memory; tests/integration/test_hypervisor.py holds it to what libvirt does."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar
from xml.etree import ElementTree

from hostler.runtime.errors import Retry, Terminal
from launcher.agent.facts import Domain, Guest, domain_facts
from launcher.agent.hotplug import Attach, Change, Detach, Grow, SetCpus

T = TypeVar("T")
RUNNING, PAUSED = 1, 3  # virDomainState


class StandIn:
    """Holds domains; tests end them, and let agents come."""

    def __init__(self) -> None:
        self.running: dict[str, Domain] = {}
        self.guests: dict[str, Guest] = {}
        self.started: list[str] = []
        self.rebooted: list[str] = []
        self.changes: list[Change] = []
        self.refuses = ""  # why no change is carried out
        self.closed = False
        self.lost = False
        self._changed = asyncio.Event()

    async def start(self, xml: str, *, paused: bool = False) -> Domain:
        try:
            name = ElementTree.fromstring(xml).findtext("name", "")
        except ElementTree.ParseError as error:
            raise Terminal("DomainRejected", f"{error}: {xml}") from error
        if name in self.running:
            raise Retry(5, f"domain {name} is already active")
        self.started.append(name)
        self.running[name] = domain_facts(name, PAUSED if paused else RUNNING, 1, xml)
        self._changed.set()
        return self.running[name]

    async def change(self, name: str, change: Change) -> None:
        if self.refuses or name not in self.running:
            raise Retry(5, self.refuses or f"no domain {name}")
        self.changes.append(change)
        now = self.running[name]
        match change:
            case SetCpus(count):
                now = replace(now, vcpus=count)
            case Grow(requested=requested):
                now = replace(now, growth=(requested, requested))  # a guest that does as it is asked
            case Attach(volume=volume):
                now = replace(now, disks={**now.disks, volume: "sda"}, plugged=now.plugged | {volume})
            case Detach(volume):
                left = {name: target for name, target in now.disks.items() if name != volume}
                now = replace(now, disks=left, plugged=now.plugged - {volume})
        self.running[name] = now
        self._changed.set()

    async def domains(self) -> tuple[Domain, ...]:
        return tuple(self.running.values())

    async def guest(self, name: str) -> Guest:
        try:
            return self.guests[name]
        except KeyError:
            raise Retry(5, f"no domain {name} with an agent") from None

    async def control(self, name: str, work: Callable[[Any], T], limit: float = 30) -> T:
        if name not in self.running:
            raise Retry(5, f"no domain {name}")
        return work(StandInDomain(self, name))

    async def changed(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    def close(self) -> None:
        self.closed = True

    def end(self, name: str) -> None:
        del self.running[name]
        self._changed.set()

    def agent_comes(self, name: str, guest: Guest) -> None:
        self.running[name] = replace(self.running[name], agent=True)
        self.guests[name] = guest
        self._changed.set()

    def agent_goes(self, name: str) -> None:
        self.running[name] = replace(self.running[name], agent=False)
        del self.guests[name]
        self._changed.set()

    def pause(self, name: str, paused: bool) -> None:
        self.running[name] = replace(self.running[name], state="paused" if paused else "running")
        self._changed.set()

    def lose(self) -> None:
        """The connection breaks; the guests run on."""
        self.lost = True
        self._changed.set()


class StandInDomain:
    """As much of libvirt's virDomain as `controls` use."""

    def __init__(self, libvirt: StandIn, name: str) -> None:
        self._libvirt, self._name = libvirt, name

    def suspend(self) -> None:
        self._libvirt.pause(self._name, True)

    def resume(self) -> None:
        self._libvirt.pause(self._name, False)

    def reboot(self, _flags: int = 0) -> None:
        self._libvirt.rebooted.append(self._name)
