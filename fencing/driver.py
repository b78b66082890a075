"""Plays the other side of the dialogue for one operation: writes what it notes, runs agents, looks at the node."""

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import Any

from fencing import clearing, metrics
from fencing.agents import TIMEOUT, FenceAgent, Order, Result
from fencing.dialogue import Cleared, Command, Look, Note, Pace, Ran, Recover, Reply, Run, Witness, fence
from fencing.eyes import Eyes
from fencing.settings import FencingSettings
from fencing.verdict import Reach, switching
from hostler.api.fencing import (
    FINAL,
    NEEDS_ACK,
    EndedInstance,
    FenceDevice,
    FenceOperation,
    FenceOperationStatus,
    NodeFencing,
)
from hostler.api.objects import Node, Secret
from hostler.runtime.conditions import parse
from hostler.runtime.errors import ApiError, Conflict, Forbidden, NotFound, Terminal
from hostler.runtime.events import Recorder
from hostler.runtime.plan import Event
from hostler.runtime.protocol import Kube, Raw
from hostler.runtime.store import Store

AGAIN = 2.0  # seconds until a dialogue that was interrupted is taken up again
SLICE = 2.0  # seconds of a long pause, after which it is looked whether somebody has helped
ATTEMPTS = 16  # kept in the status
LOUD = ("NeedsAck", "Failed", "PoweringOff", "Fenced", "Observed")  # phases that are told as warnings

log = logging.getLogger(__name__)


class Driver:
    """What all operations need."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        kube: Kube,
        store: Store,
        recorder: Recorder,
        eyes: Eyes,
        agent: FenceAgent,
        settings: FencingSettings,
        pace: Pace | None = None,
    ) -> None:
        self.kube, self.store, self.recorder, self.eyes = kube, store, recorder, eyes
        self.settings = settings
        self.pace = pace or Pace()
        self._agent = agent

    async def drive(self, name: str) -> None:
        """One operation to its end, over as many beginnings as it takes."""
        while (op := self.store.get(FenceOperation, ("", name))) is not None and op.phase not in FINAL:
            try:
                await self._converse(Conversation(self, op))
            except (Conflict, NotFound) as error:
                log.info("taken up anew", extra={"operation": name, "reason": str(error)})
            except ApiError as error:
                log.warning("API server", extra={"operation": name, "error": str(error)})
            except Exception:  # a bug: this operation waits, the others go on
                log.exception("bug", extra={"operation": name})
            await asyncio.sleep(AGAIN)

    async def _converse(self, conversation: "Conversation") -> None:
        op = conversation.op
        flow = fence(op, self.config(op.spec.node_name), self.pace)
        reply: Reply = None
        while True:
            try:
                command = flow.send(reply)
            except StopIteration:
                return
            reply = await conversation.answer(command)

    def config(self, node: str) -> NodeFencing | None:
        return self.store.get(NodeFencing, ("", node))

    def turn(self, op: FenceOperation) -> bool:
        """Whether it may switch its node off: one that has waited for a person has given its place away."""
        others = switching(self.store.all(FenceOperation)) - {op.spec.node_name}
        return op.phase != NEEDS_ACK or len(others) < self.settings.most_at_once

    def superseded(self, op: FenceOperation) -> str:
        """Why an operation that does nothing but tell is of no use any more."""
        node = op.spec.node_name
        if op.spec.mode == "Observe" and self.settings.mode == "Enforce":
            return f"the mode is Enforce by now: if {node} is still lost, there will be an operation that acts"
        acting = (each for each in self.store.all(FenceOperation) if each.spec.node_name == node and acts(each))
        return next((f"{each.metadata.name} fences {node}" for each in acting), "")

    async def ask(self, device: FenceDevice, action: str) -> Result:
        """Have a device do something, with its credentials."""
        try:
            secrets = await self._secrets(device)
        except Terminal as error:
            return Result(1, error.message, 0.0, error.reason)
        except ApiError as error:  # it is no proof; and no reason for who asks to end
            return Result(1, f"{device.name}: its Secret could not be read: {error}", 0.0, "SecretUnreadable")
        limit = device.timeout_seconds or TIMEOUT
        try:
            return await self._agent(Order(device.agent, action, device.parameters, secrets, limit))
        except ValueError as error:
            return Result(1, f"{device.name}: {error}", 0.0, "BadParameter")

    async def _secrets(self, device: FenceDevice) -> dict[str, str]:
        if (ref := device.secret_ref) is None:
            return {}
        place = f"{self.settings.namespace}/{ref.name}"
        try:
            secret = Secret.model_validate(await self.kube.get(Secret, self.settings.namespace, ref.name))
        except NotFound as error:
            raise Terminal("SecretNotFound", f"{device.name}: there is no Secret {place}") from error
        except Forbidden as error:
            fix = f"add it to the chart's fencing.secretNames, currently without {ref.name}"
            raise Terminal("SecretForbidden", f"{device.name}: Secret {place} may not be read: {fix}") from error
        prefix = ref.prefix or ""
        try:
            texts = secret.texts()
        except ValueError as error:
            raise Terminal("SecretNotText", f"{device.name}: Secret {place} has a value that is no text") from error
        # editors and `--from-file` leave a newline at the end
        found = {key.removeprefix(prefix): text.rstrip("\r\n") for key, text in texts.items() if key.startswith(prefix)}
        if not found:
            raise Terminal("SecretEmpty", f"{device.name}: Secret {place} has no key that begins with {prefix!r}")
        return found


class Conversation:
    """One operation, as we last wrote it."""

    def __init__(self, driver: Driver, op: FenceOperation) -> None:
        self.op = op
        self._all = driver
        self._attempts: list[Raw] = dump(op.status).get("attempts", [])
        self._instances: list[Raw] = dump(op.status).get("instances", [])
        self._pods = (op.status.pods if op.status else None) or 0
        self._witnessed: tuple[Any, ...] = ()  # what people had done when it was last looked

    async def answer(self, command: Command) -> Reply:
        match command:
            case Note():
                await self._note(command)
                return None
            case Look():
                return await self._look(command)
            case Run():
                return await self._run(command.device, command.action)
            case Recover():
                return await self._recover()

    async def _note(self, note: Note) -> None:
        """The phase is in the API server before the dialogue goes on: what follows relies on it."""
        passed = dump(self.op.status).get("transitions", [])
        now = stamp()
        if note.phase != self.op.phase or not passed:
            self._timed(passed, now)
            passed = [*passed, {"phase": note.phase, "at": now}][-64:]
        status: Raw = {
            "phase": note.phase,
            "reason": note.reason,
            "message": note.message[:1024],
            "transitions": passed,
            "attempts": self._attempts,
        }
        if note.proof is not None:
            proof = note.proof.model_copy(update={"message": note.proof.message[:1024]})
            status["proof"] = proof.model_dump(mode="json", by_alias=True, exclude_none=True)
        await self._write(status)
        metrics.OPERATIONS.labels(note.phase, note.reason).inc()
        log.info(
            "phase",
            extra={
                "operation": self.op.metadata.name,
                "phase": note.phase,
                "reason": note.reason,
                "message_": note.message,
            },
        )
        event = Event(note.phase, note.message, "Warning" if note.phase in LOUD else "Normal")
        self._all.recorder.record(self.op, event)
        if (node := self._all.store.get(Node, ("", self.op.spec.node_name))) is not None:
            self._all.recorder.record(node, Event(f"Fence{note.phase}", note.message, event.type))

    async def _look(self, look: Look) -> Witness:
        await self._pass(look)
        eyes, name = self._all.eyes, self.op.spec.node_name
        reach = await eyes.reach(name) if look.knock else Reach.UNKNOWN
        now, self._witnessed = time.monotonic(), self._helped()
        newest = self._all.store.get(FenceOperation, ("", self.op.metadata.name))
        if newest is None:
            raise NotFound(404, "NotFound", "the operation was deleted")
        return Witness(
            now=now,
            stamp=stamp(),
            boot_id=eyes.boots.get(name, ""),
            renewed=eyes.ours.renewed(name),
            since=None if eyes.ours.blind(now) else eyes.ours.since,
            reach=reach,
            acknowledged=newest.spec.acknowledgement,
            config=self._all.config(name),
            turn=self._all.turn(newest),
            superseded=self._all.superseded(newest),
        )

    async def _pass(self, look: Look) -> None:
        """The time of a look; one that is not patient ends when somebody has done something about the node."""
        end = time.monotonic() + look.seconds
        while (left := end - time.monotonic()) > 0:
            if not look.patient and self._helped() != self._witnessed:
                return
            await asyncio.sleep(left if look.patient else min(left, SLICE))

    def _helped(self) -> tuple[Any, ...]:
        """What people, and the node itself, can change."""
        newest = self._all.store.get(FenceOperation, ("", self.op.metadata.name))
        config, boot = self._all.config(self.op.spec.node_name), self._all.eyes.boots.get(self.op.spec.node_name)
        return newest and newest.spec.acknowledgement, config and config.metadata.generation, boot

    async def _run(self, device: FenceDevice, action: str) -> Ran:
        started = stamp()
        result = await self._all.ask(device, action)
        attempt = {
            "device": device.name,
            "action": action,
            "startedAt": started,
            "seconds": round(result.seconds, 2),
            "message": result.message,
        }
        if result.exit_code is not None:
            attempt["exitCode"] = result.exit_code
        self._attempts = [*self._attempts, attempt][-ATTEMPTS:]
        return Ran(device.name, action, result.exit_code, result.message, time.monotonic(), started, result.reason)

    async def _recover(self) -> Cleared:
        proof = self.op.proof
        if proof is None:  # the API server would not have let us come here
            raise AssertionError("recovery without a proof")
        cleared, instances = await clearing.clear(self._all.kube, self._all.recorder, self.op, proof)
        self._pods += cleared.left  # none is met twice: without grace a pod goes at once, or it is held
        known = {each["uid"] for each in self._instances}
        self._instances += [plain(each) for each in instances if each.uid not in known]
        await self._write({"pods": self._pods, "instances": self._instances[:1024]})
        if cleared.left:
            return cleared
        return Cleared(0, f"{len(self._instances)} VMIs ended, {self._pods} pods deleted{cleared.message}")

    async def _write(self, status: Raw) -> None:
        newest = self._all.store.get(FenceOperation, ("", self.op.metadata.name)) or self.op
        if newest.metadata.uid != self.op.metadata.uid or newest.phase != self.op.phase:
            raise Conflict(409, "Changed", "somebody else has moved the operation on")
        patch = {"metadata": {"resourceVersion": newest.metadata.resource_version}, "status": status}
        name = self.op.metadata.name
        answer = await self._all.kube.patch(FenceOperation, None, name, patch, subresource="status")
        self._all.store.observe(FenceOperation, answer)
        self.op = FenceOperation.model_validate(answer)

    def _timed(self, passed: list[Raw], now: str) -> None:
        if passed:
            spent = (parse(now) - parse(passed[-1]["at"])).total_seconds()
            metrics.PHASES.labels(passed[-1]["phase"]).observe(max(spent, 0.0))


def acts(op: FenceOperation) -> bool:
    return op.spec.mode == "Enforce" and op.phase not in FINAL


def dump(status: FenceOperationStatus | None) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True) if status else {}


def plain(ended: EndedInstance) -> Raw:
    return ended.model_dump(mode="json", by_alias=True)


def stamp() -> str:
    """Now, to the millisecond: phases are short."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
