"""What a guest's agent says, kind or hostile, as KubeVirt tells it."""

import json

import pytest

from launcher.agent import guestinfo

SAID = {
    "hostname": "web",
    "os.id": "debian",
    "os.pretty-name": "Debian GNU/Linux 13",
    "timezone.name": "UTC",
    "timezone.offset": 0,
    "user.count": 1,
    "user.0.name": "jane",
    "user.0.login-time": 1700000000500,
    "fs.count": 1,
    "fs.0.name": "vda1",
    "fs.0.mountpoint": "/",
    "fs.0.fstype": "ext4",
    "fs.0.used-bytes": 10,
    "fs.0.total-bytes": 20,
    "fs.0.disk.count": 1,
    "fs.0.disk.0.serial": "abc",
}
VERSION = json.dumps({"return": {"version": "10.0", "supported_commands": [{"name": "guest-ping", "enabled": True}]}})


def test_a_guest_that_tells_all():
    assert guestinfo.told(SAID, VERSION) == {
        "guestAgentVersion": "10.0",
        "supportedCommands": [{"name": "guest-ping", "enabled": True}],
        "hostname": "web",
        "os": {"id": "debian", "prettyName": "Debian GNU/Linux 13"},
        "timezone": "UTC, 0",
        "userList": [{"userName": "jane", "loginTime": 1700000000.5}],
        "fsInfo": {
            "disks": [
                {
                    "diskName": "vda1",
                    "mountPoint": "/",
                    "fileSystemType": "ext4",
                    "usedBytes": 10,
                    "totalBytes": 20,
                    "disk": [{"serial": "abc", "busType": ""}],
                }
            ]
        },
    }


@pytest.mark.parametrize(
    "version", ["", "[]", '{"return": []}', '{"return": {"supported_commands": {"a": 1}}}', "x" * 10]
)
def test_an_agent_that_talks_nonsense(version):
    said = {"user.count": 10**9, "fs.count": -5, "hostname": "a\x00b" * 10**4}
    told = guestinfo.told(said, version)
    assert len(told["userList"]) == guestinfo.USERS
    assert told["fsInfo"] == {"disks": []}
    assert len(told["hostname"]) <= 256
    assert told["supportedCommands"] == []
