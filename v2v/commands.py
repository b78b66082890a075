"""The programs that work on disks, as argument lists. What they read may be hostile: each has its limits."""

from pathlib import Path

INFO_SECONDS = 30
INFO_MEMORY = 1 << 30  # bytes of address space: a header that asks for more is an attack
CONVERT_MEMORY = 2 << 30


def limits(memory: int, seconds: int | None = None) -> tuple[str, ...]:
    """Bounds of address space and processor time for the command that follows."""
    return ("prlimit", f"--as={memory}", "--core=0", *((f"--cpu={seconds}",) if seconds else ()))


def qemu_img_info(image: Path) -> tuple[str, ...]:
    """JSON about a qcow2 image; never about what it refers to."""
    return (*limits(INFO_MEMORY, INFO_SECONDS), "qemu-img", "info", "-f", "qcow2", "--output=json", str(image))


def qemu_img_convert(image: Path, target: Path) -> tuple[str, ...]:
    """qcow2 to raw, in order, into a target that exists; zeros become holes."""
    convert = ("qemu-img", "convert", "-p", "-n", "-f", "qcow2", "-O", "raw", "-t", "writeback", "-S", "64k")
    return (*limits(CONVERT_MEMORY), *convert, str(image), str(target))
