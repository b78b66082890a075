"""Which commands make a cluster's network."""

import pytest

from cluster import network
from cluster.layout import Cluster

CLUSTER = Cluster("a", 0, 3)


def test_a_node_knows_the_way_to_all_pods_but_its_own():
    assert network.inside(CLUSTER, CLUSTER.nodes[0]) == [
        "link set lo up",
        "addr replace 10.128.32.11/24 dev eth0",
        "link set eth0 up",
        "route replace default via 10.128.32.1",
        "route replace 10.128.130.0/24 via 10.128.32.12",
        "route replace 10.128.131.0/24 via 10.128.32.13",
    ]


def test_the_control_plane_reaches_pods_and_services():
    routes = [command for command in network.inside(CLUSTER, None) if command.startswith("route")]
    assert routes == [
        "route replace default via 10.128.32.1",
        "route replace 10.128.129.0/24 via 10.128.32.11",
        "route replace 10.128.130.0/24 via 10.128.32.12",
        "route replace 10.128.131.0/24 via 10.128.32.13",
        "route replace 10.128.0.0/20 via 10.128.32.11",
    ]


def test_without_nodes_there_is_no_way_to_services():
    assert network.service_routes(Cluster("a", 0, 0)) == []


def test_only_what_leaves_is_translated():
    assert "ip saddr 10.128.0.0/16 ip daddr != 10.128.0.0/16 masquerade" in network.masquerade(CLUSTER)
    assert network.masquerade(CLUSTER).count("table ip hostler_0") == 3


@pytest.mark.parametrize(
    ("does", "expected"), [(network.connect, "open_firewall"), (network.disconnect, "close_firewall")]
)
def test_firewalls_of_others_are_opened_and_closed_with_it(does, expected, tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(network, "INTERFACES", tmp_path)
    monkeypatch.setattr(network.host, "run", lambda *_, **__: "")
    monkeypatch.setattr(network.host, "ip", lambda *_: None)
    for name in ("enable", "require_bridge_filter"):
        monkeypatch.setattr(network.routing, name, lambda: None)
    for name in ("open_firewall", "close_firewall"):
        monkeypatch.setattr(network.routing, name, lambda cluster, name=name: called.append((name, cluster)))
    does(CLUSTER)
    assert called == [(expected, CLUSTER)]
