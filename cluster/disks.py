"""The folders and block devices behind volumes, on the host and at the same path in every node."""

import json
import os
import shutil
import stat
from pathlib import Path

from cluster import host
from cluster.errors import ClusterError

DATA, IMAGE, DEVICE = "data", "disk.img", "device"
LOOP = Path("/dev")


def make_folder(place: Path) -> Path:
    """A folder that any user of a pod can write to: who may use it at all is for Kubernetes to say."""
    data = place / DATA
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o777)
    return data


def make_device(place: Path, size: int) -> Path:
    """A block device over a file that takes space only as it is written; also after the host has started anew.

    The device has a name of its own, not /dev/loop7: that one may be somebody else's after a reboot.
    """
    place.mkdir(parents=True, exist_ok=True)
    image, device = place / IMAGE, place / DEVICE
    if not image.exists() or image.stat().st_size == 0 < size:  # empty: an older version could not make it longer
        _make_image(image, size)
    loop = attached(image) or _attach(image)
    number = (LOOP / Path(loop).name).stat().st_rdev
    if not device.exists() or device.stat().st_rdev != number:
        device.unlink(missing_ok=True)
        os.mknod(device, stat.S_IFBLK | 0o660, number)
    return device


def _make_image(image: Path, size: int) -> None:
    """Whole or not at all: who finds it takes it for the disk."""
    if image.exists() and (loop := attached(image)):
        host.run("losetup", "--detach", loop)
    fresh = image.with_name(f".{image.name}")
    fresh.touch(mode=0o600)
    os.truncate(fresh, size)
    fresh.replace(image)


def attached(image: Path) -> str:
    """The loop device over a file; empty if there is none."""
    listing = json.loads(host.run("losetup", "--json", "--list", "--associated", image) or "{}")
    return next((str(item["name"]) for item in listing.get("loopdevices", [])), "")


def _attach(image: Path) -> str:
    try:
        return host.run("losetup", "--find", "--show", image).strip()
    except ClusterError as error:
        raise ClusterError(f"volumeMode Block needs loop devices, which this host does not give: {error}") from error


def remove(place: Path) -> None:
    """The volume and all in it."""
    image = place / IMAGE
    if image.exists() and (loop := attached(image)):
        host.run("losetup", "--detach", loop)
    if place.exists():
        shutil.rmtree(place)
