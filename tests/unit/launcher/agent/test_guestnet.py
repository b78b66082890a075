from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from hostler.api.kubevirt.vmi import VirtualMachineInstance
from launcher.agent import guestnet
from launcher.agent.guestnet import Told
from launcher.agent.network import Nic, Route, Uplink

RESOLV = """\
search default.svc.cluster.local svc.cluster.local cluster.local
nameserver 10.96.0.10
nameserver fd00::10
options ndots:5
"""
DNS = (IPv4Address("10.96.0.10"),)
SEARCH = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")


def vmi(name: str = "web", **spec: Any) -> VirtualMachineInstance:
    devices = {"interfaces": [{"name": "default", "masquerade": {}}]}
    return VirtualMachineInstance.model_validate(
        {"metadata": {"name": name, "namespace": "default"}, "spec": {"domain": {"devices": devices}} | spec}
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(vmi(), Told("web", DNS, SEARCH), id="the pod's own"),
        pytest.param(vmi("web.example.com"), Told("web", DNS, SEARCH), id="a name with dots"),
        pytest.param(vmi(hostname="db"), Told("db", DNS, SEARCH), id="a hostname"),
        pytest.param(
            vmi(subdomain="sub"), Told("web", DNS, ("sub.default.svc.cluster.local", *SEARCH)), id="a subdomain"
        ),
    ],
)
def test_told(given: VirtualMachineInstance, expected: Told) -> None:
    assert guestnet.told(given, given.spec.domain.devices.interfaces[0], RESOLV) == expected


@pytest.mark.parametrize("text", ["", "nonsense", "nameserver", "nameserver ten", "search"])
def test_a_resolver_that_says_nothing(text: str) -> None:
    assert guestnet.resolver(text) == ((), ())


ROUTES = (Route(IPv4Network("0.0.0.0/0"), IPv4Address("10.88.0.1")), Route(IPv4Network("10.88.0.0/24")))
POD = Uplink(IPv4Interface("10.88.0.5/24"), "0a:58:0a:58:00:05", 1450, ROUTES)


def test_behind_masquerade_the_guest_has_an_address_of_its_own() -> None:
    nic = Nic("default", "masquerade", IPv4Network("10.0.2.0/24"))
    lease = guestnet.lease(POD, nic, "02:00:00:00:00:05", Told("web"))
    assert (str(lease.address), str(lease.gateway), str(lease.server)) == ("10.0.2.2/24", "10.0.2.1", "10.0.2.1")
    assert (lease.mtu, lease.routes) == (1450, ())


def test_on_a_bridge_the_guest_has_the_pods() -> None:
    nic = Nic("default", "bridge", IPv4Network("10.0.2.0/24"))
    lease = guestnet.lease(POD, nic, POD.mac, Told("web"))
    assert (str(lease.address), str(lease.gateway), str(lease.server)) == ("10.88.0.5/24", "10.88.0.1", "169.254.75.10")
    assert (lease.mac, lease.routes) == (POD.mac, ROUTES)
