"""Runs virt-v2v-in-place on the disks of a machine: safe to kill and to run again."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from hostler.runtime.errors import Retry, Terminal
from v2v import conversion
from v2v.importpod import Job

SECONDS = 3600  # that a conversion may take; under emulation a real guest takes two minutes


def convert(job: Job, scratch: Path, tell: Callable[[str], None]) -> str:
    """Convert in place; Terminal if virt-v2v says that it cannot, Retry if it ended without saying why."""
    xml = scratch / "guest.xml"
    xml.write_bytes(conversion.guest_xml(job))
    fixed = Path(conversion.APPLIANCE).is_dir()
    run = subprocess.Popen(
        ("timeout", "--kill-after=10", str(SECONDS), *conversion.command(str(xml))),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=os.environ | conversion.environment(job, str(scratch), fixed),
    )
    assert run.stdout is not None  # a pipe
    error, warnings = "", 0
    with run.stdout as output:
        while raw := output.readline(conversion.LONGEST_LINE):
            line = conversion.read(raw)
            if line is None:
                continue
            warnings += line.kind == "warning"
            if line.kind == "error":
                error = line.text
            else:
                tell(line.text)
    code = run.wait()
    if code == 0:
        return f"converted by virt-v2v ({warnings} warnings)" if warnings else "converted by virt-v2v"
    if error:
        raise Terminal("ConversionFailed", conversion.advice(error))
    raise Retry(10, f"virt-v2v ended with code {code} without saying why")
