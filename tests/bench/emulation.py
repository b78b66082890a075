"""CPU that a guest's boot costs under emulation, and memory, by how much translated code QEMU keeps.

The rival of what Hostler gives a guest (hostler.api.launcher.tb_cache_mib) is 32 MiB, and what QEMU takes unasked. One
guest is a whole Debian until cloud-init is done, the other a small Linux until it has its address.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from hostler.api.launcher import tb_cache_mib
from tests.bench import report
from tests.integration.test_guest_images import boot, files, seed

ROUNDS = 1
LIMIT = 900.0  # seconds
LEAST, UNASKED = 32, 1024  # MiB
# memory in MiB, and what the guest says when it has booted
GUESTS = {"debian": (512, "Cloud-init .* finished at"), "tiny": (96, "hostler-guest: .* is up")}
CLOUD_INIT = {"user-data": "#cloud-config\n{}\n", "meta-data": "instance-id: bench\n"}


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        disks = {name: files(name, Path(scratch, name)) / "disk" / f"{name}.qcow2" for name in GUESTS}
        taken: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for _ in range(options.rounds or ROUNDS):
            for name, (memory, _said) in GUESTS.items():
                for size in sorted({LEAST, tb_cache_mib(memory << 20), UNASKED}):
                    taken.setdefault((name, size), []).append(_boot(Path(scratch), name, disks[name], size))
    result = summary(taken)
    report.write("emulation", result)
    print(_table(result))


def _boot(scratch: Path, name: str, disk: Path, size: int) -> tuple[float, float]:
    """Seconds of CPU until the guest has booted, and the MiB that QEMU has then."""
    memory, said = GUESTS[name]
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        here = Path(folder)
        drives = ["-drive", f"file={disk},if=virtio,snapshot=on", *seed(here, "cidata", CLOUD_INIT)]
        options = ["-cpu", "max", *drives, "-nic", "user,model=virtio-net-pci"]
        with boot(here, *options, memory=str(memory), accel=f"tcg,tb-size={size}") as guest:
            guest.wait(said, LIMIT)
            fields = Path(f"/proc/{guest.process.pid}/stat").read_text().rpartition(")")[2].split()
            ticks, pages = int(fields[11]) + int(fields[12]), int(fields[21])
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def summary(taken: dict[tuple[str, int], list[tuple[float, float]]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for (name, size), boots in taken.items():
        seconds, resident = (round(statistics.median(each), 1) for each in zip(*boots, strict=True))
        least = found.setdefault(name, {"given_mib": tb_cache_mib(GUESTS[name][0] << 20), "by_cache": {}})["by_cache"]
        first = next(iter(least.values()))["cpu_seconds"] if least else seconds
        least[str(size)] = {"cpu_seconds": seconds, "resident_mib": resident, "ratio": round(seconds / first, 2)}
    return found


def _table(result: dict[str, Any]) -> str:
    rows: list[tuple[object, ...]] = [
        (f"{name}, {size} MiB{' (given)' if int(size) == guest['given_mib'] else ''}", *boot_.values())
        for name, guest in result.items()
        for size, boot_ in guest["by_cache"].items()
    ]
    head = ("guest, translated code kept", "CPU s to boot", "MiB resident", f"CPU / that with {LEAST}")
    return report.table("emulation", head, rows)
