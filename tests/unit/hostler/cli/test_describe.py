"""What vmctl tells people."""

from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console
from typer.testing import CliRunner

from hostler.cli.describe import page
from hostler.cli.forward import Forward
from hostler.cli.main import app
from hostler.cli.target import VirtualMachineInstances, VirtualMachines, parse
from hostler.runtime.errors import Terminal

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
STAMP = "2026-06-01T11:59:00Z"
VMI = {
    "kind": "VirtualMachineInstance",
    "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": STAMP},
    "spec": {
        "domain": {
            "cpu": {"sockets": 2, "cores": 1, "threads": 1},
            "memory": {"guest": "96Mi"},
            "devices": {"disks": [{"name": "root", "disk": {"bus": "virtio"}}]},
        },
        "volumes": [{"name": "root", "containerDisk": {"image": "docker.io/hostler/tiny:1"}}],
    },
    "status": {
        "phase": "Running",
        "nodeName": "n1",
        "interfaces": [{"name": "default", "ipAddresses": ["10.0.0.9"], "mac": "02:00:00:00:00:05"}],
        "volumeStatus": [{"name": "root", "target": "vda"}],
        "phaseTransitionTimestamps": [{"phase": "Running", "phaseTransitionTimestamp": "2026-06-01T11:59:20Z"}],
        "conditions": [{"type": "Ready", "status": "False", "reason": "GuestNotRunning", "message": "it is paused"}],
    },
}
EVENT = {
    "metadata": {"creationTimestamp": STAMP},
    "eventTime": STAMP,
    "reason": "SyncFailed",
    "note": "no",
    "type": "Warning",
}


def test_a_page_says_what_matters():
    out = StringIO()
    found = {"vm": None, "vmi": VMI, "events": [EVENT]}
    Console(file=out, width=120, highlight=False).print(page(found, NOON))
    text = out.getvalue()
    for words in (
        "shop/web  Running  60 s old  on node n1",
        "2 (sockets 2, cores 1, threads 1)",
        "vda (virtio disk)",
        "containerDisk docker.io/hostler/tiny:1",
        "10.0.0.9",
        "11:59:20  +20 s",
        "GuestNotRunning: it is paused",
        "60 s ago  SyncFailed  no",
    ):
        assert words in text, text


@pytest.mark.parametrize(
    ("word", "kind", "name"),
    [
        ("web", VirtualMachineInstances, "web"),
        ("vm/web", VirtualMachines, "web"),
        ("vmis/web", VirtualMachineInstances, "web"),
    ],
)
def test_targets(word, kind, name):
    assert parse(word) == (kind, name)


@pytest.mark.parametrize("word", ["", "pod/web", "vm/", "vm/a/b"])
def test_targets_that_are_none(word):
    with pytest.raises(Terminal, match="write vm/NAME"):
        parse(word)


@pytest.mark.parametrize(("text", "ports"), [("80", (80, 80)), ("8080:80", (8080, 80)), ("tcp/0:22", (0, 22))])
def test_ports(text, ports):
    found = Forward.parse(text)
    assert (found.local, found.remote) == ports


@pytest.mark.parametrize("text", ["", "udp/53:53", "a:b", "1:70000"])
def test_ports_that_are_none(text):
    with pytest.raises(Terminal, match="write PORT"):
        Forward.parse(text)


@pytest.mark.parametrize(
    "verb",
    [
        *("start", "stop", "restart", "pause", "unpause", "softreboot"),
        *("console", "vnc", "port-forward", "ssh", "guestosinfo", "describe"),
        *("migrate", "migrate-cancel", "image-upload", "tour", "up"),
        *(f"fence {verb}" for verb in ("status", "plan", "ack", "off")),
        *(f"rollout {verb}" for verb in ("status", "history", "undo", "pause", "resume", "restart")),
        *(f"cluster {verb}" for verb in ("up", "down", "status", "logs", "load", "kubeconfig", "bmc", "node")),
    ],
)
def test_every_verb_has_help_with_examples(verb):
    done = CliRunner().invoke(app, [*verb.split(), "--help"])
    assert done.exit_code == 0
    assert f"vmctl {verb}" in done.output
    assert "Examples" in done.output
