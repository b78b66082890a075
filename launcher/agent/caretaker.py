"""Looks after the guest of one launcher pod: starts it once, reports how it is, until the pod is gone.

It keeps nothing that it could not find again: after a restart of the agent it sees a running guest and takes over.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import NoReturn

from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance, VirtualMachineInstanceSpec
from hostler.runtime import ownership
from hostler.runtime.errors import ApiError, Error, Retry, Terminal
from hostler.runtime.pace import TokenBucket
from hostler.runtime.reflector import back_off
from launcher.agent import changes, controls, metrics, network
from launcher.agent.facts import Domain, Guest
from launcher.agent.ground import Ground
from launcher.agent.guests import Running
from launcher.agent.hypervisor import Hypervisor
from launcher.agent.migration import marks, target
from launcher.agent.migration.source import Source
from launcher.agent.migration.ways import Ways
from launcher.agent.places import Place
from launcher.agent.pods import LauncherPod, too_late
from launcher.agent.reporter import Reporter
from launcher.agent.status import Net, Sight
from launcher.agent.worker import Worker
from launcher.domain import Host, convert

EAGER, EAGER_FOR = 0.05, 20.0  # seconds between looks for libvirtd, and for how long; later it is not worth the CPU
PATIENT = 1.0
LOOK = 60.0  # seconds between looks at a guest that is quiet; its agent's answers come in no other way
CALM = 0.2  # seconds between looks at one that is not
PACE, BURST = 0.2, 10  # looks a second at one that never is, after so many
AGAIN = 5.0  # seconds until a report that was not heard is made again

log = logging.getLogger(__name__)


class Caretaker:
    """One launcher pod; `news` is set when the pod, its VMI or its guest has changed."""

    def __init__(self, reporter: Reporter, ground: Ground, ways: Ways | None = None) -> None:
        self.reporter = reporter
        self._ways = ways or Ways()
        self.news = asyncio.Event()
        self.guest: Running | None = None  # while it runs and its libvirtd answers
        self.leaving = False  # it is on its way to another node
        self._ground = ground
        self._born = time.monotonic()
        self._started = False
        self._pace = TokenBucket(PACE, BURST)
        self._worker = Worker(f"libvirt-{reporter.pod.metadata.uid}")

    def saw_pod(self, pod: LauncherPod) -> None:
        self.reporter.pod = pod
        self.news.set()

    def saw_vmi(self, vmi: VirtualMachineInstance) -> None:
        if self.reporter.saw(vmi):
            self.news.set()

    @property
    def pod(self) -> LauncherPod:
        return self.reporter.pod

    async def run(self) -> NoReturn:
        """Until cancelled; whatever goes wrong is tried again, ever more slowly."""
        try:
            pauses = back_off()
            while True:
                begun = time.monotonic()
                wait = await self._visit()
                if time.monotonic() - begun > LOOK:
                    pauses = back_off()
                await asyncio.sleep(max(wait, next(pauses)))
        finally:
            self._worker.close()

    async def _visit(self) -> float:
        """Seconds after which it is worth another try."""
        try:
            await self._care()
        except Retry as error:
            return self._failed("retry", error, error.after)
        except ApiError as error:
            return self._failed("api", error, 0)
        except Error as error:  # an intruder, or a VMI that cannot be run
            return self._failed("terminal", error, LOOK)
        except Exception:
            metrics.ERRORS.labels("bug").inc()
            log.exception("caretaker failed", extra=self._fields())
        return LOOK

    async def _care(self) -> None:
        """Find the pod's libvirtd, make sure of its guest, follow it until the connection breaks."""
        async with AsyncExitStack() as held:
            place = await self._find()
            held.callback(place.close)
            one = await self._ground.connect(place, self._worker)
            held.callback(one.close)
            vmi = await self.reporter.look()
            if not ownership.owns(self.pod, vmi):
                await self._receive(held, place, one)  # until the connection breaks
            domain = await self._own(one)
            self._step("libvirtd answers", found=bool(domain))
            if domain is None and (why := "a guest ran already" if self._started else too_late(self.pod, vmi)):
                raise Retry(LOOK, why)
            try:
                net = await self._net(held, place, vmi)
                self._step("network is ready")
                if domain is None:
                    await self._start(one, vmi, net)
            except (Retry, Terminal) as error:
                if domain is None:  # a guest that runs is no worse for our trouble
                    await self.reporter.trouble(str(error))
                raise
            await self._arrive(one, vmi)
            await self._follow(one, net, place, vmi.spec)

    async def _receive(self, held: AsyncExitStack, place: Place, one: Hypervisor) -> None:
        """The guest runs in another pod yet: be ready for it, and let it run once it is ours."""
        vmi = await target.named(self.reporter, self.news)
        state = marks.coming(self.pod, vmi)
        net = await self._net(held, place, vmi)
        self._step("network is ready for a guest that comes")
        if state is not None:
            async with target.expected(self._ways, self._ground, self.pod, place, state.migration_uid or ""):
                await self.reporter.write(lambda vmi: marks.prepared(vmi, self.pod, self._ways.address))
                vmi = await target.owned(self.reporter, self.news)
        await self._arrive(one, vmi)
        await self._follow(one, net, place, vmi.spec)

    async def _arrive(self, one: Hypervisor, vmi: VirtualMachineInstance) -> None:
        """Let a guest run that came stopped; also if an earlier life of this agent did not come to that."""
        if not marks.came(self.pod, vmi):
            return
        domain = await self._own(one)
        if domain is not None and domain.state == "paused":
            await one.control(domain.name, controls.unpause)
            self._step("the guest has moved in")

    async def _leave(self, place: Place, one: Hypervisor) -> bool:
        """Move the guest away, if it is to; whether it was tried."""
        vmi = self.reporter.vmi
        state = marks.leaving(self.pod, vmi) if vmi else None
        if state is None or self._ways.peers is None:
            return False
        self.guest = None  # nobody is to pause or reboot it on its way
        self.leaving = True
        try:
            outcome = await Source(self.reporter, self._ground, self._ways.peers, place, one).run(state)
        finally:
            self.leaving = False
        if outcome != "stayed":
            raise Retry(
                LOOK, "the guest has moved away" if outcome == "moved" else "the guest has left; PID 1 says how"
            )
        return True

    async def _find(self) -> Place:
        while True:
            place = self._ground.find(self.pod.metadata.uid)
            if place is not None:
                return place
            await asyncio.sleep(EAGER if time.monotonic() - self._born < EAGER_FOR else PATIENT)

    async def _own(self, one: Hypervisor) -> Domain | None:
        """The guest's domain; there may be no other in its pod, but what a tenant's libvirtd says is only read."""
        name = launcher.domain_name(self.pod.metadata.namespace, self.pod.vmi_name or "")
        domain = next((domain for domain in await one.domains() if domain.name == name), None)
        if domain is not None and domain.starting:
            # by an earlier life of this agent, or a call whose answer was lost: it may yet fail, and is no guest then
            raise Retry(1, "the guest is being started")
        return domain

    async def _net(self, held: AsyncExitStack, place: Place, vmi: VirtualMachineInstance) -> Net | None:
        nic = network.pod_nic(vmi.spec)
        self._ground.open_devices(place, self.pod)
        if nic is None:
            return None
        uplink = await self._ground.network(place, nic)
        server = await self._ground.dhcp(place, vmi, nic, uplink)
        held.callback(server.close)
        return Net(nic.name, uplink)

    async def _start(self, one: Hypervisor, vmi: VirtualMachineInstance, net: Net | None) -> None:
        host = Host(
            kvm=self.pod.kvm,
            block_volumes=frozenset(device.volume for device in self.pod.compute.volume_devices),
        )
        if net is not None:
            host = replace(host, mtu=net.uplink.mtu, pod_mac=net.uplink.mac)
        try:
            await one.start(convert(vmi, host), paused=vmi.spec.start_strategy == "Paused")
        except Retry:
            if await self._own(one) is None:  # else the answer was lost, not the guest
                raise
        self._started = True
        metrics.START.observe(time.monotonic() - self._born)
        self._step("started")

    async def _follow(self, one: Hypervisor, net: Net | None, place: Place, spec: VirtualMachineInstanceSpec) -> None:
        """Report what changes; raises Retry when the connection breaks."""
        async with listening(one, self.news):
            try:
                await self._attend(one, net, place, spec)
            finally:
                self.guest = None

    async def _attend(self, one: Hypervisor, net: Net | None, place: Place, spec: VirtualMachineInstanceSpec) -> None:
        guest: Guest | None = None
        asked = 0.0
        while True:
            self.news.clear()
            if one.lost:
                raise Retry(1, "the connection to libvirtd is lost")
            domain = await self._own(one)
            if domain is None:
                # PID 1 sees the end, too, and ends the pod; its verdict is what the manager reports
                raise Retry(LOOK, "the guest has ended")
            self._started = True
            if await self._leave(place, one):
                continue
            self.guest = Running(self.pod, domain.name, one, place, net, spec)
            if not domain.agent:
                guest = None
            elif guest is None or time.monotonic() - asked >= LOOK:
                guest, asked = await ask(one, domain.name), time.monotonic()
            troubles = await self._change(one, domain)
            domain = await self._own(one) or domain
            told = await self._report(Sight(domain, guest, net, troubles)) and not troubles
            # a guest can make news as fast as it likes, by opening and closing its agent's channel
            await asyncio.sleep(CALM if self._pace.take() else 1 / PACE)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK if told else AGAIN):
                    await self.news.wait()

    async def _change(self, one: Hypervisor, domain: Domain) -> dict[str, str]:
        """Give the guest what its VMI has meanwhile."""
        vmi = self.reporter.vmi
        if vmi is None or domain.state not in ("running", "paused"):
            return {}
        return await changes.carry_out(one, self._ground, vmi, domain, self.reporter.tell)

    async def _report(self, sight: Sight) -> bool:
        """Whether the VMI says what was seen; the guest is served on when the API server is away."""
        try:
            await self.reporter.running(sight)
        except ApiError as error:
            self._failed("api", error, AGAIN)
            return False
        return True

    def _step(self, what: str, **more: object) -> None:
        """One thing done, and how long after the first sight of the pod."""
        log.info(what, extra=self._fields(**more, seconds=round(time.monotonic() - self._born, 3)))

    def _failed(self, kind: str, error: Error, after: float) -> float:
        metrics.ERRORS.labels(kind).inc()
        log.info("waiting", extra=self._fields(reason=str(error)))
        return after

    def _fields(self, **more: object) -> dict[str, object]:
        meta = self.pod.metadata
        return {"pod": f"{meta.namespace}/{meta.name}", "uid": meta.uid} | more


@asynccontextmanager
async def listening(one: Hypervisor, news: asyncio.Event) -> AsyncIterator[None]:
    """Turn what libvirt says into news."""

    async def listen() -> None:
        while True:
            await one.changed()
            news.set()

    metrics.GUESTS.inc()
    task = asyncio.create_task(listen())
    try:
        yield
    finally:
        task.cancel()
        metrics.GUESTS.dec()


async def ask(one: Hypervisor, name: str) -> Guest | None:
    """What the guest's agent says, if it says anything."""
    try:
        return await one.guest(name)
    except Retry:
        return None
