"""Run the payload on a virtual CPU of /dev/kvm, by the kernel's own interface: no emulator is needed.

Prints a letter for each stage that the payload passes; `payload.S` tells them.
"""

import ctypes
import mmap
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import closing
from fcntl import ioctl
from pathlib import Path

from launcher.agent.kvm.payload import CODE

ORIGIN = 0x1000
MEMORY = 8 << 20
PROGRESS, END = 0xE9, 0xF4
DONE = 0x15

# linux/kvm.h, x86
API_VERSION = 12
GET_API_VERSION, CREATE_VM, GET_VCPU_MMAP_SIZE = 0xAE00, 0xAE01, 0xAE04
CREATE_VCPU, SET_TSS_ADDR, CREATE_IRQCHIP = 0xAE41, 0xAE47, 0xAE60
SET_USER_MEMORY_REGION = 0x4020AE46
GET_SUPPORTED_CPUID, SET_CPUID2 = 0xC008AE05, 0x4008AE90
GET_SREGS, SET_SREGS, SET_REGS = 0x8138AE83, 0x4138AE84, 0x4090AE82
RUN = 0xAE80
EXIT_IO = 2
SREGS_BYTES, REGS_WORDS = 312, 18
RIP, RFLAGS = 16, 17
CPUID_ENTRIES = 256
TSS = 0x7FFBD000  # three pages that no memory of the guest covers


def run(code: bytes) -> Iterator[tuple[int, int]]:
    """(port, value) of each byte that the guest puts out; ends when it does anything else that stops it."""
    with open("/dev/kvm", "r+b", buffering=0) as kvm:  # noqa: PTH123 - unbuffered
        if ioctl(kvm, GET_API_VERSION, 0) != API_VERSION:
            return
        machine = ioctl(kvm, CREATE_VM, 0)
        ioctl(machine, SET_TSS_ADDR, TSS)
        ioctl(machine, CREATE_IRQCHIP, 0)
        with closing(mmap.mmap(-1, MEMORY)) as memory:
            memory[ORIGIN : ORIGIN + len(code)] = code
            map_memory(machine, memory)
            cpu = ioctl(machine, CREATE_VCPU, 0)
            set_up(kvm.fileno(), cpu)
            state = mmap.mmap(cpu, ioctl(kvm, GET_VCPU_MMAP_SIZE, 0))
            with closing(state):
                yield from outputs(cpu, state)


def outputs(cpu: int, state: mmap.mmap) -> Iterator[tuple[int, int]]:
    while True:
        ioctl(cpu, RUN, 0)
        (reason,) = struct.unpack_from("=I", state, 8)
        if reason != EXIT_IO:
            return
        _, _, port, _, offset = struct.unpack_from("=BBHIQ", state, 32)
        yield port, state[offset]


def map_memory(machine: int, memory: mmap.mmap) -> None:
    view = ctypes.c_char.from_buffer(memory)
    ioctl(machine, SET_USER_MEMORY_REGION, struct.pack("=IIQQQ", 0, 0, 0, MEMORY, ctypes.addressof(view)))
    del view  # or the mapping could not be closed


def set_up(kvm: int, cpu: int) -> None:
    """All features that there are, real mode, at the payload's first instruction."""
    features = bytearray(struct.pack("=II", CPUID_ENTRIES, 0) + bytes(40 * CPUID_ENTRIES))
    ioctl(kvm, GET_SUPPORTED_CPUID, features)
    ioctl(cpu, SET_CPUID2, features)
    segments = bytearray(SREGS_BYTES)
    ioctl(cpu, GET_SREGS, segments)
    struct.pack_into("=QIH", segments, 0, 0, 0xFFFF, 0)  # cs: base, limit, selector
    ioctl(cpu, SET_SREGS, segments)
    registers = [0] * REGS_WORDS
    registers[RIP], registers[RFLAGS] = ORIGIN, 2
    ioctl(cpu, SET_REGS, struct.pack(f"={REGS_WORDS}Q", *registers))


def main() -> int:
    if os.uname().machine != "x86_64" or not Path("/dev/kvm").exists():
        return 1
    for port, value in run(CODE):
        if port == PROGRESS:
            sys.stdout.write(chr(value))
            sys.stdout.flush()
        elif port == END:
            return 0 if value == DONE else 1
    return 1


if __name__ == "__main__":
    sys.exit(main())
