"""Clusters are remembered on disk, each with an index of its own."""

from ipaddress import IPv4Network

import pytest

from cluster import layout, registry
from cluster.errors import ClusterError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "CLUSTERS", tmp_path / "clusters")
    monkeypatch.setattr(registry, "host_networks", dict)
    return tmp_path


def test_each_has_an_index_of_its_own_and_keeps_it():
    assert [registry.claim(name, 1).index for name in ("b", "a", "b")] == [0, 1, 0]
    assert [(cluster.name, cluster.index) for cluster in registry.clusters()] == [("a", 1), ("b", 0)]


def test_size_can_change():
    registry.claim("a", 2)
    assert registry.claim("a", 3).size == 3
    assert registry.get("a").size == 3


def test_an_unknown_name_is_told_with_those_that_there_are():
    registry.claim("a", 0)
    with pytest.raises(ClusterError, match=r"no cluster named b \(there is: a\); `vmctl cluster up --name b`"):
        registry.get("b")


def test_a_damaged_record_hides_no_other_cluster(elsewhere, capsys):
    for name in ("a", "b"):
        registry.claim(name, 1)
    (record := elsewhere / "clusters" / "a" / "cluster.json").write_text("")
    assert [cluster.name for cluster in registry.clusters()] == ["b"]
    assert f"warning: {record} is damaged" in capsys.readouterr().err
    assert registry.get("b").index == 1
    for act in (lambda: registry.get("a"), lambda: registry.claim("a", 1)):
        with pytest.raises(ClusterError, match=r"damaged .*remove the folder"):
            act()
    assert record in registry.records(), "what the clusters share is still in use"


def test_a_kubeconfig_tells_whose_it_is(elsewhere):
    registry.claim("b", 0)
    ours = registry.claim("a", 0)
    linked = elsewhere / "config"
    linked.symlink_to(ours.kubeconfig)
    assert registry.of_kubeconfig(ours.kubeconfig) == registry.of_kubeconfig(linked) == ours
    assert registry.of_kubeconfig(elsewhere / "other") is None


def test_its_folder_is_its_owners_alone_also_one_that_is_there_already():
    registry.claim("a", 0)
    state = registry.get("a").state
    assert state.stat().st_mode & 0o777 == 0o700
    state.chmod(0o755)
    registry.claim("a", 0)
    assert state.stat().st_mode & 0o777 == 0o700


def test_who_may_not_look_is_told_so(monkeypatch):
    registry.claim("a", 0)
    monkeypatch.setattr(registry.os, "access", lambda path, _: path.name != "a")
    with pytest.raises(ClusterError, match="cluster a is root's"):
        registry.get("a")


def test_a_damaged_record_is_told_with_its_place():
    registry.claim("a", 0)
    (layout.CLUSTERS / "a" / registry.RECORD).write_text("{")
    with pytest.raises(ClusterError, match="is damaged"):
        registry.get("a")


def test_one_at_a_time():
    with (
        registry.locked("a"),
        pytest.raises(ClusterError, match="another `vmctl cluster up` or `down` of a is at work"),
        registry.locked("a"),
    ):
        pass
    with registry.locked("a"):
        pass


@pytest.mark.parametrize(
    ("taken", "networks", "expected"),
    [
        pytest.param(set(), [], 0, id="the first"),
        pytest.param({0, 1, 3}, [], 2, id="a gap"),
        pytest.param(set(), ["10.128.5.0/24", "10.129.0.0/16"], 2, id="what the host uses is left alone"),
        pytest.param(set(), ["192.168.0.0/16"], 0, id="other networks do not matter"),
    ],
)
def test_free_index(taken, networks, expected):
    used = {IPv4Network(network): "eth0" for network in networks}
    assert registry.free_index(taken, used) == expected


@pytest.mark.parametrize(
    ("taken", "routes", "expected"),
    [
        pytest.param(set(), {"10.0.0.0/8": "tun0"}, r"routes to 10\.0\.0\.0/8 \(tun0\)\. Take", id="a VPN"),
        pytest.param(
            {0}, {"10.128.32.0/24": "hl0", "10.128.0.0/9": "wg0"}, r"routes to 10\.128\.0\.0/9 \(wg0\)", id="not ours"
        ),
        pytest.param(
            set(range(64)), {"10.128.32.0/24": "hl0", "192.168.1.0/24": "eth0"}, "remove one first", id="clusters only"
        ),
    ],
)
def test_no_index_is_free(taken, routes, expected):
    with pytest.raises(ClusterError, match=expected):
        registry.free_index(taken, {IPv4Network(network): interface for network, interface in routes.items()})


def test_networks_of_routes():
    routes = [
        {"dst": "default", "dev": "eth0"},
        {"dst": "10.1.2.3", "dev": "eth0"},
        {"dst": "10.2.0.0/16", "type": "blackhole"},
        {"dst": "0.0.0.0/0", "dev": "tun0"},
    ]
    found = {str(network): interface for network, interface in registry.networks_of(routes).items()}
    assert found == {"10.1.2.3/32": "eth0", "10.2.0.0/16": "blackhole"}
