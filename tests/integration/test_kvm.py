"""The KVM probe: its payload on an emulated processor, which passes all of it, and the probe on this machine's KVM."""

import shutil
import subprocess
from pathlib import Path

import pytest

from launcher.agent import kvm
from launcher.agent.kvm.payload import CODE

SOURCE = Path(kvm.__file__).with_name("payload.S")
STAGES = "ABCDEFGHI"
SUCCESS = 0x15 << 1 | 1  # what QEMU's debug exit makes of it

# a ROM that copies the payload, which lies at 0x100, to where the probe puts it, and goes there
ROM = b"\xb8\x00\xf0\x8e\xd8\x31\xc0\x8e\xc0\xbe\x00\x01\xbf\x00\x10\xb9\x00\x10\xfc\xf3\xa4\xea\x00\x10\x00\x00"
RESET = b"\xea\x00\x00\x00\xf0"

FLAGS = Path("/proc/cpuinfo").read_text().split()


def needs(*programs: str) -> pytest.MarkDecorator:
    absent = [name for name in programs if not shutil.which(name)]
    return pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)}")


@needs("as", "objcopy")
def test_the_payload_is_what_its_source_says(tmp_path: Path) -> None:
    made, binary = tmp_path / "payload.o", tmp_path / "payload.bin"
    subprocess.run(["as", "--64", "-o", made, SOURCE], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", made, binary], check=True)
    assert binary.read_bytes() == CODE, "run scripts/kvm-payload"


@needs("qemu-system-x86_64")
def test_a_processor_that_works_passes_every_stage(tmp_path: Path) -> None:
    image = bytearray(65536)
    image[: len(ROM)] = ROM
    image[0x100 : 0x100 + len(CODE)] = CODE
    image[0xFFF0 : 0xFFF0 + len(RESET)] = RESET
    rom = tmp_path / "rom"
    rom.write_bytes(image)
    machine = "-nodefaults -no-user-config -display none -monitor none -serial none -no-reboot -M q35 -accel tcg -m 16"
    ports = "-device isa-debug-exit,iobase=0xf4,iosize=1 -chardev stdio,id=d -device isa-debugcon,iobase=0xe9,chardev=d"
    command = ["qemu-system-x86_64", *machine.split(), *ports.split(), "-bios", str(rom)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == (STAGES, SUCCESS)


@pytest.mark.skipif(not kvm.DEVICE.exists(), reason="no /dev/kvm here")
async def test_this_machines_kvm_is_believed_only_with_hardware(tmp_path: Path) -> None:
    """Without vmx or svm, what is behind /dev/kvm is an interpreter, in which no stock kernel boots."""
    hardware = not {"vmx", "svm"}.isdisjoint(FLAGS)
    progress = await kvm.probe()
    assert progress == STAGES if hardware else STAGES.startswith(progress) and progress != STAGES
    assert await kvm.proven(tmp_path) == hardware


async def test_the_answer_is_remembered_until_the_next_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(kvm, "DEVICE", device)
    monkeypatch.setattr(kvm, "BOOT_ID", tmp_path / "boot_id")
    answers = [STAGES, "AB"]

    async def probe() -> str:
        return answers.pop(0)

    monkeypatch.setattr(kvm, "probe", probe)
    (tmp_path / "boot_id").write_text("first\n")
    assert [await kvm.proven(tmp_path / "state"), await kvm.proven(tmp_path / "state")] == [True, True]
    (tmp_path / "boot_id").write_text("second\n")
    assert [await kvm.proven(tmp_path / "state"), await kvm.proven(tmp_path / "state")] == [False, False]
    assert answers == []


async def test_a_probe_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "hang"
    program.write_text("#!/bin/sh\nprintf AB\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(kvm.sys, "executable", str(program))
    monkeypatch.setattr(kvm, "LIMIT", 2.0)
    assert await kvm.probe() == "AB"


async def test_no_kvm_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "DEVICE", tmp_path / "kvm")
    assert not await kvm.proven(tmp_path)
