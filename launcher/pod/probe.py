"""Asks the agent in the guest: probe.py DOMAIN SECONDS [COMMAND...]

Without a command: whether it is there. With one: runs it in the guest. The exit code is 0 when all is well; else 1,
and what is wrong is printed, since the kubelet makes an event of it.
"""

import json
import os
import subprocess
import sys
import time
from typing import Protocol

if not __package__:  # in the image this file is run by its path; its folder is the package
    folder = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    sys.path.append(os.path.dirname(folder))  # noqa: PTH120
    __package__ = os.path.basename(folder)  # noqa: PTH119
    __import__(__package__)

from .places import Places, environment

LOOK = 0.2  # seconds between looks at a command that runs in the guest
LONGEST = 4096  # characters of what the guest says that are of interest


class Unwell(Exception):
    """The guest's agent does not answer, or what it did failed."""


class Agent:
    """The guest's agent, through libvirt; one answer within the time that is left."""

    def __init__(self, places: Places, domain: str, seconds: float) -> None:
        self.places = places
        self.domain = domain
        self.deadline = time.monotonic() + seconds

    def ask(self, command: str, **arguments: object) -> object:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Unwell("no answer in time")
        request = json.dumps({"execute": command, "arguments": arguments} if arguments else {"execute": command})
        uri = f"qemu:///session?socket={self.places.socket}"
        virsh = ("virsh", "-q", "-c", uri, "qemu-agent-command", "--timeout", str(max(1, round(left))))
        try:
            done = subprocess.run(
                (*virsh, self.domain, request),
                env=environment(self.places),
                capture_output=True,
                timeout=left,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unwell("no answer in time") from None
        if done.returncode != 0:
            raise Unwell(done.stderr.decode(errors="replace").strip()[:LONGEST] or "the guest's agent does not answer")
        try:
            return json.loads(done.stdout)["return"]
        except (ValueError, TypeError, KeyError):
            raise Unwell("the guest's agent talks nonsense") from None


class Asked(Protocol):
    """Who answers for the guest; Unwell when it does not."""

    def ask(self, command: str, **arguments: object) -> object: ...


def ping(agent: Asked) -> None:
    agent.ask("guest-ping")


def execute(agent: Asked, command: list[str]) -> None:
    """Run it in the guest until it ends; Unwell unless with 0."""
    started = agent.ask("guest-exec", path=command[0], arg=command[1:], **{"capture-output": True})
    pid = started.get("pid") if isinstance(started, dict) else None
    if not isinstance(pid, int):
        raise Unwell("the guest's agent talks nonsense")
    while True:
        status = agent.ask("guest-exec-status", pid=pid)
        if not isinstance(status, dict):
            raise Unwell("the guest's agent talks nonsense")
        if status.get("exited"):
            break
        time.sleep(LOOK)
    if status.get("exitcode") != 0:
        raise Unwell(f"{command[0]} ended with {status.get('exitcode', status.get('signal'))}")


def main() -> None:
    domain, seconds, *command = sys.argv[1:]
    agent = Agent(Places(), domain, float(seconds))
    try:
        execute(agent, command) if command else ping(agent)
    except Unwell as why:
        sys.exit(str(why))


if __name__ == "__main__":
    main()
