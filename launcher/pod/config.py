"""Configuration of the pod's libvirtd: one unprivileged session, a Unix socket, one QEMU."""

import os
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
QEMU = """\
security_driver = "none"
dynamic_ownership = 0
remember_owner = 0
namespaces = [ ]
cgroup_controllers = [ ]
stdio_handler = "file"
max_core = 0
"""


def write(places: Places) -> None:
    """Write both files and make the folders of the session."""
    folder = Path(places.config, "libvirt")
    for needed in (folder, Path(places.cache), Path(places.private, "data")):
        needed.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.joinpath("libvirtd.conf").write_text(LIBVIRTD.format(host=new_uuid()))
    folder.joinpath("qemu.conf").write_text(QEMU)


def new_uuid() -> str:
    """A random UUID, version 4 (Debian's minimal Python has no uuid module)."""
    bits = int.from_bytes(os.urandom(16)) & ~(0xF << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62
    text = f"{bits:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
