"""Runs fence agents: parameters on their standard input, a clock that they cannot stop, and an output that is bounded.

An agent's word is all that this module brings home; whether it is to be believed is decided elsewhere.
"""

import asyncio
import logging
import os
import re
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fencing import metrics

TIMEOUT = 60.0  # seconds; an `off` that is verified by the agent took 2 to 5, of a slow BMC 56
OUTPUT = 16384  # bytes kept; the rest is read and thrown away
MESSAGE = 300  # characters of the output that are told
IPMI = ("fence_ipmilan", "fence_ipmilanplus", "fence_idrac", "fence_imm", "fence_ilo3", "fence_ilo4", "fence_ilo5")
IPMITOOL = Path(__file__).parent / "ipmitool"
LIBRARY = "/usr/share/fence"  # the agents import a module `fencing` of theirs, and would find ours
NAME = re.compile(r"fence_[a-z0-9_]+")
NOISE = re.compile(
    r"^.*Warning:.*$\n?(^ .*$\n?)?|^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (ERROR|WARNING|INFO|DEBUG): ", re.M
)

# What the tools behind the agents say, and what it means; the agents themselves only say that they failed.
REASONS = (
    ("DeviceStuck", re.compile(r"waiting to power", re.I)),
    (
        "AuthenticationFailed",
        re.compile(r"HMAC is invalid|unauthorized name|password .*invalid|\b401\b|Unauthorized", re.I),
    ),
    (
        "DeviceUnreachable",
        re.compile(r"timed? ?out|Unable to establish|unreachable|refused|No route|Failed to resolve", re.I),
    ),
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """What an agent is to do; `secrets` are parameters, too, but are never told."""

    agent: str
    action: str
    parameters: Mapping[str, str]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = TIMEOUT


@dataclass(frozen=True)
class Result:
    """How it ended."""

    exit_code: int | None  # None: killed, because its time was over
    message: str
    seconds: float
    reason: str = "FenceAgentFailed"


class FenceAgent(Protocol):
    """Who switches power."""

    async def __call__(self, order: Order) -> Result: ...


class Programs:
    """FenceAgent, by the programs of the fence-agents packages."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __call__(self, order: Order) -> Result:
        program = self._folder / order.agent
        if not NAME.fullmatch(order.agent) or not program.is_file():
            return Result(1, f"there is no program {order.agent} in {self._folder}", 0.0, "NoFenceAgent")
        begun = time.monotonic()
        result = await self._run(program, order)
        if result.exit_code not in (0, 2) and result.reason == "FenceAgentFailed" and order.agent in IPMI:
            result = await self._diagnosed(program, order, result)
        metrics.RUNS.labels(order.agent, order.action, str(result.exit_code)).inc()
        seconds = time.monotonic() - begun
        metrics.RUN_SECONDS.labels(order.agent, order.action).observe(seconds)
        log.info(
            "fence agent",
            extra={
                "agent": order.agent,
                "action": order.action,
                "exit": result.exit_code,
                "seconds": round(seconds, 1),
            },
        )
        return Result(result.exit_code, result.message, seconds, result.reason)

    async def _diagnosed(self, program: Path, order: Order, failed: Result) -> Result:
        """Why it failed, by asking once more and listening to what the tool below says."""
        loud = Order(order.agent, "status", {**order.parameters, "verbose_level": "2"}, order.secrets, order.timeout)
        told = await self._run(program, loud)
        if told.reason == "FenceAgentFailed":
            return failed
        return Result(failed.exit_code, f"{failed.message} ({SAID[told.reason]})", failed.seconds, told.reason)

    async def _run(self, program: Path, order: Order) -> Result:
        begun = time.monotonic()
        text, environment = stdin(order)
        try:
            process = await asyncio.create_subprocess_exec(
                program,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            return Result(1, f"{order.agent} cannot be started: {error.strerror}", 0.0, "NoFenceAgent")
        try:
            async with asyncio.timeout(order.timeout):
                output = await talk(process, text)
                code = await process.wait()
        except TimeoutError:
            message = f"no answer within {order.timeout:.0f} s, killed"
            return Result(None, message, time.monotonic() - begun, "FenceAgentTimeout")
        finally:
            await end(process)
        said = scrubbed(output, order.secrets)
        return Result(code, summary(said), time.monotonic() - begun, reason(said))


SAID = {
    "DeviceStuck": "the device took the order, and the power did not change",
    "AuthenticationFailed": "the device refuses the user name or the password",
    "DeviceUnreachable": "the device does not answer at its address",
}


def stdin(order: Order) -> tuple[bytes, dict[str, str]]:
    """What the agent reads, and its environment."""
    given = {**order.parameters, **order.secrets}
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "HOME": "/nonexistent",
        "PYTHONPATH": LIBRARY,
    }
    if order.agent in IPMI and "password" in given:
        environment["IPMI_PASSWORD"] = given.pop("password")
        given["ipmitool_path"] = str(IPMITOOL)
    lines = [f"{key}={value}" for key, value in {**given, "action": order.action}.items()]
    if any("\n" in line or "\r" in line or "\0" in line for line in lines):
        raise ValueError("a parameter of more than one line")
    return ("\n".join(lines) + "\n").encode(), environment


async def talk(process: asyncio.subprocess.Process, text: bytes) -> bytes:
    """Say it, and read all that comes back, of which the beginning is kept."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(ConnectionError):
        process.stdin.write(text)
        await process.stdin.drain()
    process.stdin.close()
    kept = b""
    while piece := await process.stdout.read(4096):
        kept += piece[: OUTPUT - len(kept)]
    return kept


async def end(process: asyncio.subprocess.Process) -> None:
    """The agent with all that it started: they are a session of their own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def scrubbed(output: bytes, secrets: Mapping[str, str]) -> str:
    """Its text without what must not be told."""
    text = output.decode(errors="replace")
    for value in secrets.values():
        if value:
            text = text.replace(value, "***")
    return text


def summary(text: str) -> str:
    """The last lines that mean something, in one."""
    lines = [line.strip() for line in NOISE.sub("", text).splitlines() if line.strip()]
    return re.sub(r"[^ -~]", "?", "; ".join(dict.fromkeys(lines[-3:])))[-MESSAGE:] or "it said nothing"


def reason(text: str) -> str:
    return next((name for name, pattern in REASONS if pattern.search(text)), "FenceAgentFailed")
