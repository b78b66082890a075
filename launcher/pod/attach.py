"""The attachment pod of a hotpluggable volume: makes the disk image if there is none, then holds the claim.

    attach.py VOLUME BYTES    a filesystem PVC, in /run/hostler/hotplug
    attach.py VOLUME          a block PVC: there is nothing to make

The node's agent hands the disk to the guest's QEMU by an open descriptor; this pod only keeps the claim on the node.
"""

# ruff: noqa: PTH100, PTH119, PTH120
# (as in pid1.py)

import os
import signal
import sys

if not __package__:  # in the image this file is run by its path; its folder is the package
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path.append(os.path.dirname(folder))
    __package__ = os.path.basename(folder)
    __import__(__package__)

FOLDER = "/run/hostler/hotplug"


def main(arguments: list[str], folder: str = FOLDER) -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    volume, *size = arguments
    if size:
        make(folder, volume, int(size[0]))
    signal.pause()


def make(folder: str, volume: str, size: int) -> None:
    from pathlib import Path

    from .errors import PrepareError
    from .images import claim

    try:
        claim(Path(folder, "disk.img"), size, volume)
    except (PrepareError, OSError) as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main(sys.argv[1:])
