"""One libvirtd, asked and heard: the only module, with `plugging`, that knows libvirt.

What it says is a tenant's: strings are cut, lists are cut, its XML is read without a document type.
"""

import asyncio
import functools
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import libvirt

from hostler.runtime.errors import Retry, Terminal
from launcher.agent import plugging
from launcher.agent.facts import Domain, Guest, GuestNic, domain_facts, guest_facts
from launcher.agent.hotplug import Change
from launcher.agent.worker import Worker

__all__ = ["Domain", "Guest", "GuestNic", "Hypervisor", "Libvirt", "connect"]

CALL = 30.0  # seconds for an answer
START = 120.0  # seconds for a start: QEMU may have to allocate all of the guest's memory
AGENT = 5  # seconds that libvirt waits for the guest's agent
DOMAINS = 8  # of one libvirtd that we look at; there is one
FLOOD = 1000  # events a second that no libvirtd has reason to send
KEEPALIVE = (5, 3)  # seconds between pings, unanswered ones until the connection is dead
T = TypeVar("T")
EVENTS = (
    libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
    libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
    libvirt.VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE,
)
USAGE = (
    libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_VCPU
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
    | libvirt.VIR_DOMAIN_STATS_BLOCK
)
GUEST_INFO = libvirt.VIR_DOMAIN_GUEST_INFO_OS | libvirt.VIR_DOMAIN_GUEST_INFO_HOSTNAME
NO_XML = frozenset({libvirt.VIR_ERR_XML_ERROR, libvirt.VIR_ERR_XML_DETAIL, libvirt.VIR_ERR_CONFIG_UNSUPPORTED})


class Hypervisor(Protocol):
    """One libvirtd. Every call raises Retry when it does not answer; Terminal when it never will as asked."""

    async def start(self, xml: str, *, paused: bool = False) -> Domain:
        """Create a domain that is gone when it ends."""
        ...

    async def change(self, name: str, change: Change) -> None:
        """Give a running domain more or less; what its guest makes of it, `domains` tells later."""
        ...

    async def domains(self) -> tuple[Domain, ...]:
        """What runs now."""
        ...

    async def guest(self, name: str) -> Guest:
        """What the agent in the guest says."""
        ...

    async def control(self, name: str, work: Callable[[Any], T], limit: float = CALL) -> T:
        """Have `work`, one of `controls`, do something with libvirt's own object of the domain; seconds at most."""
        ...

    async def changed(self) -> None:
        """Return when something happened since the last call: a domain began, ended, paused, or its agent came."""
        ...

    @property
    def lost(self) -> bool:
        """Whether the connection has broken."""
        ...

    def close(self) -> None: ...


class Libvirt:
    """Hypervisor, by libvirt's own protocol."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._connection: libvirt.virConnect | None = None
        self._callbacks: list[int] = []
        self._changed = asyncio.Event()
        self._told = False
        self._events, self._window = 0, 0.0
        self._loop = asyncio.get_running_loop()
        self.lost = False

    async def open(self, uri: str) -> None:
        await self._call(lambda: self._open(uri))

    async def start(self, xml: str, *, paused: bool = False) -> Domain:
        flags = libvirt.VIR_DOMAIN_START_PAUSED if paused else 0
        return await self._call(lambda: read(self._live().createXML(xml, flags)), START)

    async def change(self, name: str, change: Change) -> None:
        await self._call(lambda: plugging.carry_out(self._live().lookupByName(name), change))

    async def domains(self) -> tuple[Domain, ...]:
        return await self._call(lambda: read_all(self._live()))

    async def guest(self, name: str) -> Guest:
        return await self._call(lambda: ask_guest(self._live().lookupByName(name)))

    async def control(self, name: str, work: Callable[[Any], T], limit: float = CALL) -> T:
        return await self._call(lambda: work(self._live().lookupByName(name)), limit)

    async def changed(self) -> None:
        await self._changed.wait()
        self._changed.clear()
        self._told = False

    def close(self) -> None:
        self._worker.later(self._close)  # it asks the daemon, which may not answer

    def _open(self, uri: str) -> None:
        start_event_loop()
        connection = libvirt.open(uri)
        self._connection = connection
        try:
            connection.setKeepAlive(*KEEPALIVE)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:  # libvirt's test driver
                raise
        connection.registerCloseCallback(self._on_close, None)
        self._callbacks = [connection.domainEventRegisterAny(None, event, self._on_event, None) for event in EVENTS]

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        for callback in self._callbacks:  # or libvirt would keep the connection for them
            with suppress(libvirt.libvirtError):
                connection.domainEventDeregisterAny(callback)
        with suppress(libvirt.libvirtError):
            connection.unregisterCloseCallback()
        connection.close()

    def _live(self) -> libvirt.virConnect:
        if self._connection is None or self.lost:
            raise Retry(1, "the connection to libvirtd is lost")
        return self._connection

    def _on_event(self, *_: object) -> None:
        """From libvirt's thread, which all connections share: who talks without end is hung up on."""
        self._events += 1
        if self._events == FLOOD:
            now = time.monotonic()
            self.lost = self.lost or now - self._window < 1
            self._window, self._events = now, 0
        self._wake()

    def _on_close(self, *_: object) -> None:
        self.lost = True
        self._wake()

    def _wake(self) -> None:
        """From libvirt's thread. What happened is asked for, not told: a flood of events costs one question."""
        if not self._told and not self._loop.is_closed():
            self._told = True
            self._loop.call_soon_threadsafe(self._changed.set)

    async def _call(self, work: Callable[[], T], limit: float = CALL) -> T:
        return await self._worker.call(lambda: translated(work), limit)


async def connect(uri: str, worker: Worker) -> Libvirt:
    """A connection used by one thread; two threads on one connection can wait for each other for ever."""
    hypervisor = Libvirt(worker)
    try:
        await hypervisor.open(uri)
    except BaseException:
        hypervisor.close()
        raise
    return hypervisor


def translated(work: Callable[[], T]) -> T:
    """libvirt's errors as ours."""
    try:
        return work()
    except libvirt.libvirtError as error:
        if error.get_error_code() in NO_XML:
            raise Terminal("DomainRejected", str(error)) from error
        raise Retry(5, str(error)) from error


def read_all(connection: libvirt.virConnect) -> tuple[Domain, ...]:
    """What is active; one that ends while we look is not."""
    found = []
    for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)[:DOMAINS]:
        try:
            found.append(read(domain))
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
    return tuple(found)


def read(domain: libvirt.virDomain) -> Domain:
    state, reason = domain.state()
    return domain_facts(domain.name(), state, reason, domain.XMLDesc(0))


def ask_guest(domain: libvirt.virDomain) -> Guest:
    domain.agentSetResponseTimeout(AGENT)
    said: dict[str, Any] = domain.guestInfo(GUEST_INFO)
    nics = domain.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
    return guest_facts(said, nics)


def usage(domain: libvirt.virDomain) -> dict[str, Any]:
    """What the domain uses, by libvirt's names, but a disk by its volume's; for `control`. What would wait is left out.

    https://libvirt.org/html/libvirt-libvirt-domain.html#virConnectGetAllDomainStats
    """
    nowait = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
    stats: dict[str, Any] = domain.connect().domainListGetStats([domain], USAGE, nowait)[0][1]
    volumes = {target: alias for alias, target in read(domain).disks.items()}
    return {key: volumes.get(value, value) if key.startswith("block.") else value for key, value in stats.items()}


@functools.cache
def start_event_loop() -> None:
    """libvirt's own event loop, in a thread of its own, once a process and before the first connection."""
    libvirt.registerErrorHandler(lambda *_: None, None)  # they come as exceptions
    libvirt.virEventRegisterDefaultImpl()

    def run() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=run, name="libvirt-events", daemon=True).start()
