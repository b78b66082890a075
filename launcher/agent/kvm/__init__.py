"""KVM is proven, not assumed: /dev/kvm may be there and run no kernel."""

import asyncio
import os
import sys
from pathlib import Path

DEVICE = Path("/dev/kvm")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
LIMIT = 2.0  # seconds; it takes 0.1 where KVM works
LAST_STAGE = "I"
PROVEN = "proven"


async def proven(memory: Path) -> bool:
    """Whether KVM runs what a kernel runs. The answer is kept in the folder `memory` until the machine boots anew."""
    known = recall(memory)
    if known is None:
        known = (await probe()).endswith(LAST_STAGE)
        remember(memory, known)
    return known


def recall(memory: Path) -> bool | None:
    place = note(memory)
    return place.read_text() == PROVEN if place.exists() else None


def remember(memory: Path, works: bool) -> None:
    memory.mkdir(parents=True, exist_ok=True)
    note(memory).write_text(PROVEN if works else "rejected")


def note(memory: Path) -> Path:
    return memory / f"kvm-{BOOT_ID.read_text().strip()}"


async def probe() -> str:
    """The stages that the payload passed, by a process of its own: a virtual CPU can hang for ever."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "launcher.agent.kvm.probe",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert child.stdout is not None
    try:
        async with asyncio.timeout(LIMIT):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()
    return (await child.stdout.read()).decode(errors="replace").strip()
