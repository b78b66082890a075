"""Where the process finds the API server."""

import kopf
import pytest

from hostler.runtime.shell import by_address


@pytest.mark.parametrize(
    ("environment", "server"),
    [
        ({}, "https://kubernetes.default.svc"),
        ({"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}, "https://10.96.0.1:443"),
        ({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}, "https://[fd00::1]:6443"),
    ],
    ids=["not told", "IPv4", "IPv6"],
)
def test_by_address(monkeypatch, environment, server):
    for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    login = kopf.ConnectionInfo(server="https://kubernetes.default.svc", token="t", ca_path="/ca.crt")
    found = by_address(login)
    assert (found.server, found.token, found.ca_path) == (server, "t", "/ca.crt")
    assert by_address(None) is None
