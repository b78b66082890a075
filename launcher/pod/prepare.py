"""Make what QEMU and libvirtd need before they start: disk images, cloud-init ISOs, configuration.

The request comes in the environment variable HOSTLER_PREPARE as JSON; `hostler.api.launcher.Prepare` writes it:

    {"domain": "default_web-0",       libvirt's name of the domain
     "graceSeconds": 30,              how long SIGTERM lets the guest shut down before it is destroyed
     "boot": {"kernel": PATH, "initrd": PATH},                     kernelBoot: files that the image must have
     "disks": [
       {"kind": "overlay", "volume": NAME, "path": PATH},          containerDisk: IMAGES/NAME -> DISKS/NAME (qcow2)
       {"kind": "empty", "volume": NAME, "bytes": N},              emptyDisk: DISKS/NAME (qcow2)
       {"kind": "claim", "volume": NAME, "bytes": N},              filesystem PVC: CLAIMS/NAME/disk.img (raw, sparse)
       {"kind": "cloudInit", "volume": NAME, "label": "cidata" or "config-2", "hostname": H, "instanceId": I,
        "userData": BASE64, "networkData": BASE64,                 cloud-init: DISKS/NAME (ISO)
        "secrets": ["userdata", "networkdata"]}]}                  read SECRETS/NAME/KEY instead

Optional: boot and its members, disks, path, userData, networkData, secrets.
"""

import json
import os
from pathlib import Path
from typing import Any

from . import cloudinit, config, images
from .errors import PrepareError
from .places import Places


def prepare(text: str, places: Places) -> tuple[str, int]:
    """Do all that the request asks for; the domain's name and its grace period in seconds."""
    request = parse(text)
    disks = Path(places.disks)
    disks.mkdir(parents=True, exist_ok=True)
    for path in request.get("boot", {}).values():
        images.regular(Path(places.images, "kernel-boot"), path, "kernel-boot")
    for disk in request.get("disks", ()):
        make(disk, places)
    config.write(places)
    fifos = (places.serial_log, places.exit_fifo, places.result_fifo)
    for stale in (*fifos, places.domain_log(request["domain"])):  # of a container that ran here before
        Path(stale).unlink(missing_ok=True)
    for fifo in fifos:
        os.mkfifo(fifo, 0o600)
    return request["domain"], request["graceSeconds"]


def parse(text: str) -> dict[str, Any]:
    """The request; a PrepareError if it is none, or names a volume that could lead elsewhere."""
    try:
        request: dict[str, Any] = json.loads(text)
        volumes = [disk["volume"] for disk in request.get("disks", ())]
        known = isinstance(request["domain"], str) and isinstance(request["graceSeconds"], int)
    except (ValueError, KeyError, TypeError, AttributeError):
        known, volumes = False, []
    if not known or any("/" in volume or volume.startswith(".") for volume in volumes):
        raise PrepareError("HOSTLER_PREPARE is not a request that this launcher understands")
    return request


def make(disk: dict[str, Any], places: Places) -> None:
    """Make one disk; see the module's description for its fields."""
    volume = disk["volume"]
    path = Path(places.disks, volume)
    match disk["kind"]:
        case "overlay":
            image = Path(places.images, volume)
            inner = disk.get("path") or images.only_disk(image, volume)
            images.overlay(images.regular(image, inner, volume), path, volume)
        case "empty":
            images.empty(path, disk["bytes"], volume)
        case "claim":
            images.claim(Path(places.claims, volume, "disk.img"), disk["bytes"], volume)
        case "cloudInit":
            cloudinit.make(disk, Path(places.secrets), path)
        case kind:
            raise PrepareError(f"volume {volume}: this launcher cannot make a disk of kind {kind}")
