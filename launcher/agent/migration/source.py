"""The source's side of a move: carries out the dialogue's commands."""

import asyncio
import json
import logging
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from functools import partial

from hostler.api import launcher
from hostler.api.kubevirt.migration import VirtualMachineInstanceMigrationState as State
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from hostler.runtime import ownership
from hostler.runtime.errors import ApiError, Retry, Terminal
from hostler.runtime.plan import Event
from launcher.agent import controls, metrics, moves
from launcher.agent.ground import Ground
from launcher.agent.hypervisor import Hypervisor
from launcher.agent.migration import dialogue, marks, pki, tree, tunnel
from launcher.agent.migration.dialogue import (
    Abort,
    Command,
    GiveUp,
    HandOver,
    Job,
    Mark,
    Outcome,
    Seen,
    Start,
    Suspend,
    Unpause,
)
from launcher.agent.migration.tunnel import Peers
from launcher.agent.moves import Route
from launcher.agent.places import Place
from launcher.agent.reporter import Reporter
from launcher.agent.worker import Worker

LOOK = 0.2  # seconds between looks at libvirt's job
TELL = 2.0  # seconds between two notes of the progress, for people
AGAIN = 0.2  # seconds until a write that decides is tried again: a guest may stand still meanwhile

log = logging.getLogger(__name__)


class Source:
    """One guest that leaves one pod."""

    def __init__(self, reporter: Reporter, ground: Ground, peers: Peers, place: Place, one: Hypervisor) -> None:
        self._reporter = reporter
        self._ground = ground
        self._peers = peers
        self._place = place
        self._one = one
        pod = reporter.pod.metadata
        self._name = launcher.domain_name(pod.namespace, reporter.pod.vmi_name or "")
        self._call: asyncio.Task[None] | None = None
        self._begun = 0.0
        self._told = 0.0

    async def run(self, state: State) -> Outcome:
        """Drive the move to its end."""
        self._uid = state.migration_uid or ""
        self._state = state
        self._was_marked = bool(state.start_timestamp)
        flow = dialogue.move(marks.policy(state))
        async with AsyncExitStack() as held:
            self._held = held
            held.callback(self._gauge, None)
            command = next(flow)
            while True:
                seen = await self._carry_out(command)
                try:
                    command = flow.send(seen)
                except StopIteration as end:
                    outcome: Outcome = end.value
                    metrics.MOVES.labels(outcome).inc()
                    log.info("move ended", extra=self._fields(outcome=outcome, seconds=round(self._elapsed, 2)))
                    return outcome

    async def _carry_out(self, command: Command) -> Seen:
        log.debug("move", extra=self._fields(command=str(command)))
        match command:
            case Mark():
                await self._mark()
            case Start():
                await self._start()
            case Suspend():
                await self._try(self._one.control(self._name, controls.pause))
            case Abort():
                await self._try(self._one.control(self._name, moves.abort))
            case Unpause():
                await self._try(self._one.control(self._name, controls.unpause))
            case HandOver():
                await self._decide(ownership.hand_over)
                self._note("Migrated", "The VirtualMachineInstance migrated to node " + (self._state.target_node or ""))
            case GiveUp(why, aborted):
                await self._decide(lambda vmi, now: ownership.give_up(vmi, why, now, aborted=aborted))
                self._note("MigrationFailed", f"VirtualMachineInstance migration failed: {why}", "Warning")
        return await self._see()

    async def _mark(self) -> None:
        self._live = await self._one.control(self._name, moves.live_is_safe)
        written = await self._reporter.write(lambda vmi: marks.started(vmi, self._uid, self._live, datetime.now(UTC)))
        if written is None:
            raise Retry(1, "the move was over before it began")
        self._note("Migrating", "VirtualMachineInstance is migrating.")

    async def _start(self) -> None:
        """Papers for both sides, the way to the target's libvirtd, then libvirt's call on a connection of its own."""
        self._begun = time.monotonic()
        self._call = asyncio.create_task(self._perform(), name=f"move {self._name}")
        self._held.push_async_callback(self._stop)

    async def _stop(self) -> None:
        if self._call is not None:
            self._call.cancel()
            await asyncio.gather(self._call, return_exceptions=True)

    async def _perform(self) -> None:
        async with AsyncExitStack() as held:
            pod = self._reporter.pod.metadata.uid
            folder = self._ground.private(pod)
            held.callback(os.close, folder)
            papers = pki.issue()
            tree.write_papers(folder, papers.source)
            target = self._target()
            stream = await held.enter_async_context(self._peers.open(self._state.target_node or "", target))
            await stream.send(json.dumps({"migration": self._uid, "papers": papers.target}).encode())
            answer = await stream.receive()
            if not answer.startswith(b"ready"):
                raise Retry(1, "the target's agent does not take the guest")
            address = answer.decode().partition(" ")[2]
            await held.enter_async_context(tunnel.gate(folder, stream))
            worker = Worker(f"move-{pod}")
            held.callback(worker.close)
            own = await self._ground.connect(self._place, worker)
            held.callback(own.close)
            vmi = self._reporter.vmi
            route = Route(
                libvirt=f"{launcher.PRIVATE}/{tunnel.SOCKET}",
                address=address,
                disks=marks.copied_disks(vmi) if vmi else (),
                bandwidth=marks.bandwidth(self._state),
                live=self._live,
                auto_converge=marks.auto_converge(self._state),
            )
            await own.control(self._name, partial(moves.perform, route=route), moves.LONGEST)

    def _target(self) -> str:
        """The UID of the target pod."""
        vmi = self._reporter.vmi
        active = vmi.status.active_pods if vmi and vmi.status else {}
        found = next((uid for uid, node in active.items() if node == self._state.target_node), None)
        if found is None:
            raise Retry(1, "the VMI does not name its target pod")
        return found

    async def _see(self) -> Seen:
        """What libvirt and the VMI say, a moment later."""
        if self._call is not None:
            await asyncio.wait((self._call,), timeout=LOOK)
        elif self._was_marked:
            await asyncio.sleep(LOOK)
        vmi, state = self._reporter.vmi, self._current()
        try:
            domain = next((each for each in await self._one.domains() if each.name == self._name), None)
            job = await self._one.control(self._name, moves.job) if domain else None
        except Retry:
            domain, job = None, None  # libvirtd is gone, or the guest between two questions
            if self._call is None:
                raise
        await self._tell(job)
        return Seen(
            guest="gone" if domain is None else "paused" if domain.state == "paused" else "running",
            job=job,
            at=self._elapsed,
            ended=self._ended(),
            abort=bool(state is not None and state.abort_requested),
            marked=self._was_marked,
            paused_by_user=vmi is not None and marks.paused_by_user(vmi),
        )

    def _ended(self) -> str | None:
        if self._call is None or not self._call.done():
            return None
        error = self._call.exception()
        if error is not None and not isinstance(error, Retry | Terminal):
            log.error("move failed", exc_info=error, extra=self._fields())
        return "" if error is None else str(error) or type(error).__name__

    def _current(self) -> State | None:
        vmi = self._reporter.vmi
        state = vmi.status.migration_state if vmi and vmi.status else None
        return state if state and state.migration_uid == self._uid else None

    async def _tell(self, job: Job | None) -> None:
        """Metrics always, a note on the VMI now and then."""
        if job is None or not job.total:
            return
        self._gauge((job.total, job.processed, job.remaining))
        if time.monotonic() - self._told >= TELL and self._elapsed >= TELL:
            self._told = time.monotonic()
            with suppress(ApiError):
                await self._reporter.write(lambda vmi: marks.progress(vmi, self._uid, job))

    def _gauge(self, sizes: tuple[int, int, int] | None) -> None:
        pod = self._reporter.pod
        metrics.moving(pod.metadata.namespace, pod.vmi_name or "", sizes)

    async def _decide(self, make: Callable[[VirtualMachineInstance, datetime], dict[str, object]]) -> None:
        """Write what ends the move, however long the API server is away; who has written the end already, was right."""

        def patch(vmi: VirtualMachineInstance) -> dict[str, object]:
            state = ownership.moving(vmi)
            return make(vmi, datetime.now(UTC)) if state and state.migration_uid == self._uid else {}

        while True:
            try:
                await self._reporter.write(patch)
            except ApiError as error:
                log.warning("cannot write the end of a move", extra=self._fields(error=str(error)))
            vmi = self._reporter.vmi
            state = ownership.moving(vmi) if vmi else None
            if state is None or state.migration_uid != self._uid:
                return
            await asyncio.sleep(AGAIN)

    async def _try(self, call: Awaitable[None]) -> None:
        """What fails shows in what is seen next."""
        try:
            await call
        except Retry as error:
            log.info("libvirt refused", extra=self._fields(error=str(error)))

    def _note(self, reason: str, note: str, kind: str = "Normal") -> None:
        self._reporter.record(Event(reason, note, "Warning" if kind == "Warning" else "Normal"))

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._begun if self._begun else 0.0

    def _fields(self, **more: object) -> dict[str, object]:
        meta = self._reporter.pod.metadata
        return {"pod": f"{meta.namespace}/{meta.name}", "migration": self._uid} | more
