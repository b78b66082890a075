"""cloud-init data as an ISO image, in the layout of NoCloud or of the config drive."""

import json
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import Any

from .errors import PrepareError

SECONDS = 30
LIMIT = 4 << 20  # bytes of one document; a Secret cannot hold more than 1 MiB
# A Secret may use either spelling, as with KubeVirt.
KEYS = {"userdata": ("userdata", "userData"), "networkdata": ("networkdata", "networkData")}


def make(disk: dict[str, Any], secrets: Path, path: Path) -> None:
    """Write the ISO for one "cloudInit" entry of the request to `path`."""
    folder = path.with_name(f".{path.name}")
    folder.mkdir(mode=0o700, exist_ok=True)
    grafts = []
    for number, (name, data) in enumerate(files(disk, secrets).items()):
        source = folder / str(number)
        source.write_bytes(data)
        grafts.append(f"/{name}={source}")
    iso(grafts, disk["label"], path, disk["volume"])
    for source in folder.iterdir():
        source.unlink()
    folder.rmdir()


def files(disk: dict[str, Any], secrets: Path) -> dict[str, bytes]:
    """Names and contents of the files on the ISO."""
    user = document(disk, "userdata", "userData", secrets)
    network = document(disk, "networkdata", "networkData", secrets)
    if disk["label"] == "cidata":
        meta = {"instance-id": disk["instanceId"], "local-hostname": disk["hostname"]}
        found = {"meta-data": as_json(meta), "user-data": user or b"", "network-config": network}
    else:
        meta = {"instance_id": disk["instanceId"], "uuid": disk["instanceId"], "hostname": disk["hostname"]}
        found = {
            "openstack/latest/meta_data.json": as_json(meta),
            "openstack/latest/user_data": user,
            "openstack/latest/network_data.json": network,
        }
    return {name: data for name, data in found.items() if data is not None}


def document(disk: dict[str, Any], key: str, field: str, secrets: Path) -> bytes | None:
    """User or network data: from the mounted Secret if the request says so, else from the request."""
    if key in disk.get("secrets", ()):
        return secret(secrets / disk["volume"], key, disk["volume"])
    return b64decode(disk[field]) if field in disk else None


def secret(folder: Path, key: str, volume: str) -> bytes:
    """One key of a mounted Secret, under either of its spellings."""
    for name in KEYS[key]:
        try:
            with folder.joinpath(name).open("rb") as file:
                return file.read(LIMIT)
        except FileNotFoundError:
            continue
    raise PrepareError(f"volume {volume}: the Secret has no key {key}")


def as_json(meta: dict[str, Any]) -> bytes:
    return json.dumps(meta).encode()


def iso(grafts: list[str], label: str, path: Path, volume: str) -> None:
    """Joliet and Rock Ridge, so that every guest sees the long names."""
    command = (
        "xorriso",
        "-as",
        "mkisofs",
        "-quiet",
        "-o",
        str(path),
        "-V",
        label,
        "-J",
        "-r",
        "-graft-points",
        *grafts,
    )
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise PrepareError(f"volume {volume}: making the cloud-init image took more than {SECONDS} s") from None
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip()[-400:]
        raise PrepareError(f"volume {volume}: making the cloud-init image failed: {why}")
