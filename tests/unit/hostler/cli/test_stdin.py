"""A console that is left does not wait for a key."""

import subprocess
import sys
import time

CODE = """
import asyncio
from hostler.cli.stdin import chunks

async def main():
    async for data in chunks():
        print(data.decode(), end="", flush=True)
        if data == b"end":
            return

asyncio.run(main())
"""


def test_it_ends_though_standard_input_is_open():
    with subprocess.Popen([sys.executable, "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for word in (b"one", b"end"):
            process.stdin.write(word)
            process.stdin.flush()
            time.sleep(0.5)
        assert process.wait(20) == 0
        assert process.stdout.read().startswith(b"one")


def test_it_ends_with_its_input():
    done = subprocess.run(
        [sys.executable, "-c", CODE], input=b"x" * 300_000, capture_output=True, timeout=120, check=True
    )
    assert len(done.stdout) == 300_000
