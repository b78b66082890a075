"""What libvirt and the guest's agent say -> KubeVirt's GuestAgentInfo. Pure; the input is hostile."""

import json
from collections.abc import Mapping
from typing import Any

from hostler.runtime.protocol import Raw
from launcher.agent.facts import OS_FIELDS, text

USERS, DISKS, COMMANDS, TARGETS = 64, 128, 256, 16
LONGEST = 256 * 1024  # characters of the agent's answer


def told(said: Mapping[str, Any], version: str) -> Raw:
    agent = parsed(version)
    return {
        "guestAgentVersion": text(agent.get("version", "")),
        "supportedCommands": commands(agent),
        "hostname": text(said.get("hostname", "")),
        "os": {name: text(said[key]) for key, name in OS_FIELDS.items() if said.get(key)},
        "timezone": timezone(said),
        "userList": [user(said, number) for number in numbers(said, "user.count", USERS)],
        "fsInfo": {"disks": [disk(said, number) for number in numbers(said, "fs.count", DISKS)]},
    }


def parsed(version: str) -> Mapping[str, Any]:
    """The answer to guest-info, {} if it is none."""
    try:
        answer = json.loads(version[:LONGEST])["return"]
    except (ValueError, KeyError, TypeError):
        return {}
    return answer if isinstance(answer, dict) else {}


def commands(agent: Mapping[str, Any]) -> list[Raw]:
    listed = agent.get("supported_commands")
    known = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return [{"name": text(c.get("name", "")), "enabled": bool(c.get("enabled"))} for c in known[:COMMANDS]]


def timezone(said: Mapping[str, Any]) -> str:
    name, offset = text(said.get("timezone.name", "")), said.get("timezone.offset")
    return f"{name}, {offset}" if name and isinstance(offset, int) else name


def user(said: Mapping[str, Any], number: int) -> Raw:
    prefix = f"user.{number}"
    known: Raw = {"userName": text(said.get(f"{prefix}.name", ""))}
    if domain := said.get(f"{prefix}.domain"):
        known["domain"] = text(domain)
    if isinstance(at := said.get(f"{prefix}.login-time"), int):
        known["loginTime"] = at / 1000  # libvirt has milliseconds, KubeVirt seconds
    return known


def disk(said: Mapping[str, Any], number: int) -> Raw:
    prefix = f"fs.{number}"
    known: Raw = {
        "diskName": text(said.get(f"{prefix}.name", "")),
        "mountPoint": text(said.get(f"{prefix}.mountpoint", "")),
        "fileSystemType": text(said.get(f"{prefix}.fstype", "")),
        "usedBytes": whole(said.get(f"{prefix}.used-bytes")),
        "totalBytes": whole(said.get(f"{prefix}.total-bytes")),
    }
    targets = [f"{prefix}.disk.{each}" for each in numbers(said, f"{prefix}.disk.count", TARGETS)]
    if targets:
        known["disk"] = [{"serial": text(said.get(f"{target}.serial", "")), "busType": ""} for target in targets]
    return known


def numbers(said: Mapping[str, Any], key: str, most: int) -> range:
    return range(min(whole(said.get(key)), most))


def whole(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
