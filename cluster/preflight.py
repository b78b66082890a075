"""What a cluster needs of this host, asked before anything is downloaded or built."""

import os

from cluster import catalog, image_builder, layout, node, registry, routing
from cluster.errors import ClusterError


def preflight(name: str, size: int, *, images: bool = False) -> None:
    """ClusterError or Terminal says what is missing; `images`: Hostler's are to be built, too."""
    require_root()
    layout.checked_name(name)
    layout.checked_size(size)
    registry.known(name)
    require_machine()
    node.require_tools()
    if images:
        image_builder.require(*image_builder.TOOLS)
    if size:
        routing.require_bridge_filter()


def require_root() -> None:
    if os.geteuid() != 0:
        raise ClusterError("a cluster needs root: it makes network interfaces, mounts and cgroups")


def require_machine() -> None:
    if (machine := os.uname().machine) != catalog.MACHINE:
        raise ClusterError(
            f"this machine is {machine}: a cluster on one host, and Hostler's images, are for {catalog.MACHINE} only"
        )
