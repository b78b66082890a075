"""The guest's probes as the kubelet gets them."""

from typing import Any

import pytest

from controllers.probes import probes
from tests.unit.make import vmi

ASK = ["python3", "-S", "-E", "/usr/lib/hostler/probe.py", "shop_web"]


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        pytest.param(
            {"tcpSocket": {"port": 22}, "periodSeconds": 3}, {"tcpSocket": {"port": 22}, "periodSeconds": 3}, id="tcp"
        ),
        pytest.param({"httpGet": {"port": "http", "path": "/"}}, {"httpGet": {"port": "http", "path": "/"}}, id="http"),
        pytest.param(
            {"guestAgentPing": {}, "timeoutSeconds": 5}, {"exec": {"command": [*ASK, "5"]}, "timeoutSeconds": 5}
        ),
        pytest.param(
            {"exec": {"command": ["test", "-e", "/x"]}}, {"exec": {"command": [*ASK, "1", "test", "-e", "/x"]}}
        ),
    ],
)
def test_a_readiness_probe(probe: dict[str, Any], expected: dict[str, Any]) -> None:
    assert probes(vmi(spec={"readinessProbe": probe})) == {"readinessProbe": expected}


def test_a_liveness_probe_waits_until_the_guest_is_started() -> None:
    given = {"livenessProbe": {"tcpSocket": {"port": 22}, "initialDelaySeconds": 120}}
    assert probes(vmi(spec=given))["livenessProbe"]["initialDelaySeconds"] == 130


def test_no_probes() -> None:
    assert probes(vmi()) == {}
