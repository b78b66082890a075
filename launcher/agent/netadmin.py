"""Looks at a pod's network namespace and carries out what `network` planned there."""

import json
import subprocess
from pathlib import Path
from typing import Any

from hostler.runtime.errors import Retry
from launcher.agent import network, plumbing
from launcher.agent.netns import within

LIMIT = 20.0  # seconds for one program; they take milliseconds


async def connect(namespace: int, nic: network.Nic) -> network.Uplink:
    """Make the tap device that leads to the guest, if it is not there; returns what the pod was given."""
    return await within(namespace, lambda: _connect(nic))


def _connect(nic: network.Nic) -> network.Uplink:
    seen = network.links(_ask("ip", "-details", "-json", "address"))
    pod = network.uplink(seen, network.routes(_ask("ip", "-4", "-json", "route")))
    todo = plumbing.changes(seen, pod, nic)
    _run(("ip", "-batch", "-"), "\n".join(todo.ip) + "\n")
    _run(("nft", "-f", "-"), todo.nft)
    for name, value in todo.sysctls.items():
        Path("/proc/sys", name).write_text(value)
    return pod


def _ask(*command: str) -> list[dict[str, Any]]:
    return json.loads(_run(command) or "[]")  # type: ignore[no-any-return]


def _run(command: tuple[str, ...], script: str = "") -> str:
    """The output of a program that works in the namespace of this thread."""
    try:
        done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=LIMIT, check=True)
    except subprocess.CalledProcessError as error:
        raise Retry(5, f"{command[0]}: {error.stderr.strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise Retry(5, f"{command[0]}: no end after {LIMIT:.0f} s") from error
    return done.stdout
