"""What is done to the host's routing and firewall, and what is left alone."""

import json

import pytest

from cluster import layout, routing
from cluster.errors import ClusterError
from cluster.layout import Cluster

CLUSTER = Cluster("a", 0, 2)
INTO = "-o hl0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
OUT = "-i hl0 -j ACCEPT"


class Host:
    """iptables, nft and what else is run, as far as it is asked for here."""

    def __init__(self):
        self.chains = {"FORWARD": ["-P FORWARD ACCEPT"]}  # of iptables
        self.nft = []  # base chains
        self.fails = set()  # programs
        self.ran = []

    def run(self, *words):
        words = [str(word) for word in words]
        self.ran.append(words)
        if words[0] in self.fails:
            raise ClusterError("it fails")
        if words[0] == "nft":
            return json.dumps({"nftables": [{"metainfo": {}}, *({"chain": chain} for chain in self.nft)]})
        return self.iptables(*words[2:]) if words[0] == "iptables" else ""

    def iptables(self, verb, chain, *rule):
        if chain not in self.chains:
            raise ClusterError("no such chain")
        lines, line = self.chains[chain], " ".join(rule)
        if verb in {"--check", "--delete"} and line not in lines:
            raise ClusterError("no such rule")
        if verb == "--insert":
            lines.insert(0, line)
        if verb == "--delete":
            lines.remove(line)
        return "\n".join(lines)

    def succeeds(self, *words):
        try:
            self.run(*words)
        except ClusterError:
            return False
        return True


@pytest.fixture
def host(monkeypatch):
    fake = Host()
    monkeypatch.setattr(routing.host, "run", fake.run)
    monkeypatch.setattr(routing.host, "succeeds", fake.succeeds)
    monkeypatch.setattr(routing.shutil, "which", lambda name: f"/sbin/{name}")
    return fake


@pytest.mark.parametrize(
    ("chains", "opened"),
    [
        pytest.param({"FORWARD": ["-P FORWARD ACCEPT"]}, None, id="an open host is left alone"),
        pytest.param({"FORWARD": ["-P FORWARD DROP"]}, "FORWARD", id="ufw"),
        pytest.param(
            {"FORWARD": ["-P FORWARD ACCEPT", "-A FORWARD -j REJECT --reject-with x"]}, "FORWARD", id="rejects"
        ),
        pytest.param({"FORWARD": ["-P FORWARD DROP"], "DOCKER-USER": ["-N DOCKER-USER"]}, "DOCKER-USER", id="Docker"),
        pytest.param({}, None, id="a kernel without iptables"),
    ],
)
def test_a_firewall_is_opened_once_and_closed_again(host, chains, opened):
    before = {chain: list(lines) for chain, lines in chains.items()}
    host.chains = chains
    for _ in range(2):
        routing.open_firewall(CLUSTER)
    expected = {chain: ([INTO, OUT] if chain == opened else []) + lines for chain, lines in before.items()}
    assert host.chains == expected
    for _ in range(2):
        routing.close_firewall(CLUSTER)
    assert host.chains == before


def test_docker_may_have_come_in_between(host):
    host.chains = {"FORWARD": [OUT, INTO, "-P FORWARD DROP"], "DOCKER-USER": [OUT, "-i hl1 -j ACCEPT"]}
    routing.close_firewall(CLUSTER)
    assert host.chains == {"FORWARD": ["-P FORWARD DROP"], "DOCKER-USER": ["-i hl1 -j ACCEPT"]}


def test_a_host_without_iptables(host, monkeypatch):
    monkeypatch.setattr(routing.shutil, "which", lambda _: None)
    routing.open_firewall(CLUSTER)
    routing.close_firewall(CLUSTER)
    assert not host.ran


def test_nodes_that_do_not_reach_the_api_server(host):
    host.fails = {"nsenter"}
    host.nft = [
        {"family": "inet", "table": "firewalld", "name": "filter_FORWARD", "type": "filter", "hook": "forward"},
        {"family": "ip", "table": "hostler_0", "name": "postrouting", "type": "nat", "hook": "postrouting"},
    ]
    expected = (
        r"reach the API server at 10\.128\.32\.2:6443: .* bridge hl0 \(look at table inet firewalld\)\. Let it pass"
    )
    with pytest.raises(ClusterError, match=expected):
        routing.require_way(CLUSTER)
    host.fails = set()
    routing.require_way(CLUSTER)


@pytest.fixture
def settings(tmp_path, host, monkeypatch):
    """The kernel's settings of bridges, which come with its module."""

    def load(*words):
        (tmp_path / "bridge").mkdir()
        for protocol in ("iptables", "ip6tables", "arptables"):
            (tmp_path / "bridge" / f"bridge-nf-call-{protocol}").write_text("1")
        return host.succeeds(*words)

    monkeypatch.setattr(routing, "BRIDGE_SETTINGS", tmp_path / "bridge")
    monkeypatch.setattr(routing.host, "succeeds", load)
    return lambda: {path.read_text() for path in (tmp_path / "bridge").iterdir()}


def test_a_module_that_comes_with_us_changes_nothing_for_the_hosts_bridges(settings, host):
    routing.require_bridge_filter()
    assert (settings(), host.ran) == ({"0"}, [["modprobe", "br_netfilter"]])


def test_a_module_that_is_there_is_somebody_elses(settings, host):
    routing.host.succeeds("modprobe", "br_netfilter")
    routing.require_bridge_filter()
    assert (settings(), len(host.ran)) == ({"1"}, 1)


def test_no_module(host, tmp_path, monkeypatch):
    monkeypatch.setattr(routing, "BRIDGE_SETTINGS", tmp_path / "none")
    host.fails = {"modprobe"}
    with pytest.raises(ClusterError, match="no br_netfilter"):
        routing.require_bridge_filter()


NAT = {"family": "ip", "table": "nat", "name": "POSTROUTING", "type": "nat", "hook": "postrouting"}
FILTER = {"family": "inet", "table": "filter", "name": "input", "type": "filter", "hook": "input"}


@pytest.mark.parametrize(
    ("before", "interfaces", "chains", "legacy", "after", "why"),
    [
        pytest.param("0", {"eth0": ""}, [FILTER], "filter\n", "0", "", id="nobody else"),
        pytest.param("0", {"virbr0": "DEVTYPE=bridge\n"}, [], "", "1", "virbr0 may need it", id="a bridge"),
        pytest.param("0", {"wg0": "DEVTYPE=wireguard\n"}, [], "", "1", "wg0 may need it", id="WireGuard"),
        pytest.param("0", {}, [NAT], "", "1", "table ip nat may need it", id="a table that translates"),
        pytest.param("0", {}, [], "filter\nnat\n", "1", "table nat of iptables may need it", id="an older iptables"),
        pytest.param("1", {"virbr0": "DEVTYPE=bridge\n"}, [NAT], "", "1", "", id="it was on before"),
    ],
)
def test_routing_is_turned_off_under_nobody(  # noqa: PLR0917 - a row of the table
    host, tmp_path, monkeypatch, before, interfaces, chains, legacy, after, why
):
    for name in ("net", "clusters"):
        (tmp_path / name).mkdir()
    for name, text in interfaces.items():
        (tmp_path / "net" / name).mkdir()
        (tmp_path / "net" / name / "uevent").write_text(f"{text}INTERFACE={name}\n")
    (tmp_path / "tables").write_text(legacy)
    (tmp_path / "ip_forward").write_text(before)
    monkeypatch.setattr(routing, "INTERFACES", tmp_path / "net")
    monkeypatch.setattr(routing, "LEGACY_TABLES", tmp_path / "tables")
    monkeypatch.setattr(routing, "FORWARD", tmp_path / "ip_forward")
    monkeypatch.setattr(layout, "CLUSTERS", tmp_path / "clusters")
    host.nft = chains
    routing.enable()
    assert routing.FORWARD.read_text() == "1"
    said = routing.restore()
    assert routing.FORWARD.read_text() == after
    assert (why in said) if why else not said
