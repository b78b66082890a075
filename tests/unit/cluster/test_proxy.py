"""Who asks a proxy for what."""

import os

import pytest

from cluster import control, host, layout, node, proxy, tour
from cluster.layout import Cluster
from hostler.cli import cluster as cli
from hostler.runtime import kube

ALWAYS = "127.0.0.1,localhost,.svc,.cluster.local"
OURS = f"{ALWAYS},10.128.0.0/16,10.128.32.2"
SECRET = "http://me:secret@proxy:3128"


@pytest.fixture(autouse=True)
def cluster(tmp_path, monkeypatch):
    for name in (*proxy.PROXIES, *proxy.EXCEPTIONS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(layout, "CLUSTERS", tmp_path)
    made = Cluster("a", 0, 1)
    (config := made.nodes[0].state / "config").mkdir(parents=True)
    for file in node.CONFIGURATION.values():
        (config / file).touch()
    (made.state / "cluster.json").write_text('{"index": 0, "nodes": 1}')
    return made


@pytest.mark.parametrize(
    ("environment", "places", "expected"),
    [
        pytest.param({}, (), f"{ALWAYS},10.128.0.0/10", id="all clusters"),
        pytest.param({}, ("10.129.0.0/16",), f"{ALWAYS},10.129.0.0/16", id="one cluster"),
        pytest.param({"NO_PROXY": "a.example"}, ("x",), f"a.example,{ALWAYS},x", id="what was excepted stays so"),
        pytest.param({"NO_PROXY": "a", "no_proxy": "b, a"}, ("x",), f"a,b,{ALWAYS},x", id="of both spellings"),
        pytest.param({"NO_PROXY": f"{ALWAYS},x"}, ("x",), f"{ALWAYS},x", id="said twice"),
        pytest.param({"no_proxy": "*"}, ("x",), "*", id="everything"),
    ],
)
def test_direct(environment, places, expected):
    said = proxy.direct({"HOME": "/root", "https_proxy": SECRET} | environment, *places)
    assert said == {"HOME": "/root", "https_proxy": SECRET, "NO_PROXY": expected, "no_proxy": expected}
    assert proxy.direct(said, *places) == said


def test_kubectl_and_helm_ask_no_proxy_for_the_cluster(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", SECRET)
    assert host.run("sh", "-c", "echo $HTTPS_PROXY $NO_PROXY") == f"{SECRET} {ALWAYS},10.128.0.0/10\n"


def test_every_program_of_a_cluster_asks_none_for_it(cluster, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", SECRET)
    monkeypatch.setenv("NO_PROXY", "a.example")
    proxy.keep(cluster)
    monkeypatch.delenv("HTTPS_PROXY")  # who asks later may have none
    programs = [*control.programs(cluster), *node.programs(cluster.nodes[0])]
    assert {program.env["no_proxy"] for program in programs} == {f"a.example,{OURS}"}
    assert [program.name for program in programs if "HTTPS_PROXY" in program.env] == ["containerd-a-1"]
    assert (cluster.state / proxy.RECORD).stat().st_mode & 0o777 == 0o600


def test_our_own_programs_understand_it(cluster, monkeypatch):
    for name, value in (proxy.of_programs(cluster) | {"https_proxy": SECRET}).items():
        monkeypatch.setenv(name, value)
    assert kube.environment_proxy(cluster.server) is None
    assert kube.environment_proxy("https://192.0.2.1:6443") == SECRET


def test_an_example_of_the_tour(cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("HTTPS_PROXY", SECRET)
    guide = tour.Guide(tmp_path / "kubectl", cluster.kubeconfig, "a")
    assert guide._environment(tmp_path)["NO_PROXY"] == OURS


def test_vmctl_kubectl(cluster, monkeypatch):
    seen = {}

    def run(command, check, env=None):
        seen.update(env or os.environ)
        raise RuntimeError

    monkeypatch.setattr(cli.subprocess, "run", run)
    monkeypatch.setattr(cli.sys, "argv", ["vmctl", "kubectl", "get", "nodes"])
    monkeypatch.setenv("HOSTLER_CLUSTER", "a")
    with pytest.raises(RuntimeError):
        cli.kubectl(type("Context", (), {"info_name": "kubectl"})())
    assert seen["NO_PROXY"] == f"{ALWAYS},10.128.0.0/10"


def test_the_user_is_told_what_to_export(cluster, monkeypatch):
    assert not proxy.advice(cluster)
    monkeypatch.setenv("https_proxy", SECRET)
    assert proxy.advice(cluster) == f"export NO_PROXY={OURS} no_proxy={OURS}"
    for name in proxy.EXCEPTIONS:
        monkeypatch.setenv(name, OURS)
    assert not proxy.advice(cluster)
