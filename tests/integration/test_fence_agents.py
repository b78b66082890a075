"""Real fence agents against a BMC that is honest, and against those that are not."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fencing.agents import Order, Programs
from tests.integration.bmc import PASSWORD

ROOT = Path(__file__).parents[2]
AGENTS = Path("/usr/sbin")

pytestmark = pytest.mark.skipif(not (AGENTS / "fence_ipmilan").exists(), reason="needs the package fence-agents")


class Machine:
    """A BMC and what it is wired to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.set("on", "honest")

    def set(self, power: str, fault: str) -> None:
        (self.folder / "power").write_text(power)
        (self.folder / "fault").write_text(fault)

    @property
    def power(self) -> str:
        return (self.folder / "power").read_text()

    def ask(self, action: str, password: str = PASSWORD, limit: float = 60, **more: str):
        parameters = {"ip": "127.0.0.1", "ipport": str(self.port), "lanplus": "1", "username": "admin"} | more
        order = Order("fence_ipmilan", action, parameters, {"password": password}, limit)
        return asyncio.run(Programs(AGENTS)(order))


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    made = Machine(tmp_path_factory.mktemp("bmc"))
    command = [sys.executable, "-m", "tests.integration.bmc", str(made.port), str(made.folder)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while not (made.folder / "ready").exists():
            assert time.monotonic() < deadline, "the BMC does not start"
            assert process.poll() is None, "the BMC ended"
            time.sleep(0.05)
        yield made
    finally:
        process.kill()
        process.wait()


def test_an_honest_one(machine):
    machine.set("on", "honest")
    assert machine.ask("status").exit_code == 0
    assert machine.ask("off").exit_code == 0
    assert machine.power == "off"
    assert machine.ask("status").exit_code == 2, "2 is how an agent says off"
    assert machine.ask("off").exit_code == 0, "off of what is off is done"
    assert machine.ask("on").exit_code == 0
    assert machine.power == "on"


def test_wrong_password(machine):
    machine.set("on", "honest")
    result = machine.ask("off", password="wr0ng-s3cret")
    assert (result.exit_code, result.reason) == (1, "AuthenticationFailed")
    assert "refuses the user name or the password" in result.message
    assert "wr0ng-s3cret" not in result.message
    assert machine.power == "on"


def test_a_liar(machine):
    machine.set("on", "liar")
    assert machine.ask("off").exit_code == 0, "the agent believes it: this is why somebody else must listen to the node"
    assert machine.ask("status").exit_code == 2
    assert machine.power == "on"


def test_a_stuck_one(machine):
    machine.set("on", "stuck")
    result = machine.ask("off", power_timeout="4")
    assert (result.exit_code, result.reason) == (1, "DeviceStuck")
    assert machine.power == "on"


def test_a_slow_one_is_cut_off(machine):
    machine.set("on", "slow")
    result = machine.ask("status", limit=3)
    assert (result.exit_code, result.reason) == (None, "FenceAgentTimeout")
    assert result.seconds < 20
    time.sleep(7)  # until it has answered what it was asked


def test_a_mute_one(machine):
    machine.set("on", "mute")
    result = machine.ask("off", power_timeout="3", ipmitool_timeout="1")
    assert (result.exit_code, result.reason) == (1, "DeviceUnreachable")


def test_the_password_is_on_no_command_line(machine):
    """Every process of the machine can read command lines; the agent alone would put it on ipmitool's."""
    machine.set("on", "slow")
    process = subprocess.Popen([sys.executable, "-c", ASK, str(machine.port)], cwd=ROOT, start_new_session=True)
    seen = set()
    try:
        while process.poll() is None:
            for entry in Path("/proc").iterdir():
                try:
                    words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
                    ours = words and os.getsid(int(entry.name)) != 0 and str(machine.port).encode() in words
                except OSError:
                    continue
                if ours:
                    seen.add(words)
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    machine.set("on", "honest")
    assert any(b"ipmitool" in words and b"-E" in words for words in seen), "it was looked at while it ran"
    assert not [words for words in seen if b"right" in words]


ASK = """
import asyncio, sys
from pathlib import Path
from fencing.agents import Order, Programs
where = {"ip": "127.0.0.1", "ipport": sys.argv[1], "lanplus": "1", "username": "admin"}
password = "".join(reversed("thgir"))  # this program's own command line must not have it, either
asyncio.run(Programs(Path("/usr/sbin"))(Order("fence_ipmilan", "status", where, {"password": password}, 4)))
"""


@pytest.fixture
def folder(tmp_path):
    """A folder of agents of our own; returns a way to make one."""

    def make(name: str, text: str) -> Programs:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return Programs(tmp_path)

    return make


async def test_a_flood_is_bounded(folder):
    agents = folder("fence_flood", "cat >/dev/null; head -c 100000000 /dev/zero | tr '\\0' x; echo end >&2; exit 1")
    result = await agents(Order("fence_flood", "off", {}, timeout=60))
    assert result.exit_code == 1
    assert len(result.message) <= 300


async def test_an_agent_is_killed_with_all_that_it_started(folder, tmp_path):
    agents = folder("fence_hang", f"sleep 1000 & echo $! >{tmp_path}/pid; wait")
    result = await agents(Order("fence_hang", "off", {}, timeout=3))
    assert (result.exit_code, result.reason) == (None, "FenceAgentTimeout")
    async with asyncio.timeout(30):
        while not ended((tmp_path / "pid").read_text().strip()):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def ended(pid: str) -> bool:
    """Gone, or waiting for somebody to reap it."""
    stat = Path("/proc", pid, "stat")
    return not stat.exists() or " Z " in stat.read_text()


async def test_what_it_reads(folder, tmp_path):
    agents = folder("fence_tell", f"cat >{tmp_path}/in; env >{tmp_path}/env; exit 2")
    result = await agents(Order("fence_tell", "status", {"ip": "1.2.3.4"}, {"password": "pw", "login": "me"}))
    assert result.exit_code == 2
    assert (tmp_path / "in").read_text() == "ip=1.2.3.4\npassword=pw\nlogin=me\naction=status\n"
    assert "pw" not in (tmp_path / "env").read_text()


async def test_secrets_are_not_repeated(folder):
    agents = folder("fence_chatty", "cat; exit 1")
    result = await agents(Order("fence_chatty", "off", {}, {"password": "s3cret"}))
    assert "password=***" in result.message


async def test_there_is_no_such_agent(folder):
    agents = folder("fence_x", "exit 0")
    for name in ("fence_y", "../bin/sh", "sh"):
        assert (await agents(Order(name, "off", {}))).reason == "NoFenceAgent"


async def test_a_crash_is_a_failure(folder):
    agents = folder("fence_crash", "kill -SEGV $$")
    assert (await agents(Order("fence_crash", "off", {}))).exit_code == -signal.SIGSEGV


async def test_a_second_line_is_refused(folder):
    agents = folder("fence_x", "exit 0")
    with pytest.raises(ValueError, match="one line"):
        await agents(Order("fence_x", "off", {"ip": "1\naction=on"}))


def test_tools_are_there():
    assert shutil.which("ipmitool")
