"""What a disk is, by its first bytes; a name or a server's word is not asked."""

from typing import Literal

from hostler.runtime.errors import Terminal

HEAD = 512  # bytes that tell

Packing = Literal["gz", "xz"]
PACKINGS: dict[bytes, Packing] = {b"\x1f\x8b": "gz", b"\xfd7zXZ\0": "xz"}
QCOW2 = b"QFI\xfb"
# Formats that could lead QEMU to other files, or that nobody can boot from.
REFUSED = {
    b"KDMV": "vmdk",
    b"COWD": "vmdk",
    b"# Disk DescriptorFile": "vmdk",
    b"vhdxfile": "vhdx",
    b"conectix": "vpc",
    b"QED\0": "qed",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\3\4": "zip",
}
VDI, VDI_AT = b"\x7f\x10\xda\xbe", 0x40
TAR, TAR_AT = b"ustar", 257


def packing(head: bytes) -> Packing | None:
    """How the bytes are packed, if they are."""
    return next((name for magic, name in PACKINGS.items() if head.startswith(magic)), None)


def disk_format(head: bytes) -> Literal["raw", "qcow2"]:
    """raw or qcow2; Terminal for a format that is refused."""
    if head.startswith(QCOW2):
        return "qcow2"
    found = next((name for magic, name in REFUSED.items() if head.startswith(magic)), None)
    if head[VDI_AT : VDI_AT + len(VDI)] == VDI:
        found = "vdi"
    if head[TAR_AT : TAR_AT + len(TAR)] == TAR:
        found = "tar"
    if found:
        raise Terminal(
            "FormatNotSupported", f"the source is {found}; hostler takes raw and qcow2, plain or as gz or xz"
        )
    return "raw"
