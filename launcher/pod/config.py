"""Configuration of the pod's libvirtd: one unprivileged session, a Unix socket, one QEMU."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from .places import Places

# Only who may open the socket's folder (this user, the node's agent) gets here: no further authentication.
# host_uuid must differ between any two libvirtds, else they refuse to migrate to one another.
LIBVIRTD = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = "{host}"
min_workers = 2
max_workers = 8
prio_workers = 2
admin_min_workers = 1
admin_max_workers = 1
log_level = 4
log_outputs = "4:stderr"
"""

# The pod is the sandbox: libvirt may neither change owners nor make namespaces or cgroups in it.
# stdio_handler "file": QEMU writes its logs itself, so that no virtlogd is needed.
# The folder of certificates must be there when libvirtd starts; the node's agent fills it for each move.
QEMU = """\
security_driver = "none"
dynamic_ownership = 0
remember_owner = 0
namespaces = [ ]
cgroup_controllers = [ ]
stdio_handler = "file"
max_core = 0
migrate_tls_x509_cert_dir = "{pki}"
migrate_tls_x509_verify = 1
"""

# What QEMU can do was asked when the image was made (images/hostler-launcher); it takes libvirtd 0.4 s to ask again.
# libvirtd believes what it finds only as long as these programs are the same, which it tells by the files' ctime.
PROGRAM = "/usr/bin/qemu-system-x86_64"
LIBVIRT = ("/usr/sbin/libvirtd", "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so")


def write(places: Places) -> None:
    """Write both files and make the folders of the session."""
    folder = Path(places.config, "libvirt")
    for needed in (folder, Path(places.cache), Path(places.private, "data"), Path(places.pki)):
        needed.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.joinpath("libvirtd.conf").write_text(LIBVIRTD.format(host=new_uuid()))
    folder.joinpath("qemu.conf").write_text(QEMU.replace("{pki}", places.pki))
    remember(Path(places.known), Path(places.cache, "libvirt", "qemu", "cache", "capabilities"))


def remember(known: Path, cache: Path, program: str = PROGRAM, libvirt: Iterable[str] = LIBVIRT) -> None:
    """Give libvirtd what the image knows of its QEMU, dated as the files are on this node; without it, it asks."""
    if not known.is_dir():
        return
    times = {"qemuctime": ctime(program), "selfctime": max(map(ctime, libvirt))}
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in known.iterdir():
        cache.joinpath(file.name).write_text(dated(file.read_text(), times))


def dated(text: str, times: dict[str, int]) -> str:
    """The text with the content of these elements replaced."""
    for element, time in times.items():
        text = re.sub(rf"<{element}>\d+</{element}>", f"<{element}>{time}</{element}>", text, count=1)
    return text


def ctime(path: str) -> int:
    return int(os.stat(path).st_ctime)  # noqa: PTH116 - cheaper


def new_uuid() -> str:
    """A random UUID, version 4 (Debian's minimal Python has no uuid module)."""
    bits = int.from_bytes(os.urandom(16)) & ~(0xF << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62
    text = f"{bits:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
