"""What a step of `up` that fails tells of the programs behind it."""

import os

import pytest

from cluster import diagnosis, host, journal, layout, readiness, spec, supervisor, up
from cluster.errors import ClusterError
from cluster.journal import Journal
from cluster.layout import Cluster

PROGRAMS = ("etcd", "kube-apiserver", "containerd-c-1", "kubelet-c-1")


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "CLUSTERS", tmp_path)
    for seconds in ("API_SECONDS", "NODE_SECONDS", "SUPERVISOR_SECONDS"):
        monkeypatch.setattr(up, seconds, 0)
    monkeypatch.setattr(readiness, "answers", lambda _url, _ca: False)
    monkeypatch.setattr(host, "run", lambda *_words: "")  # kubectl knows no node
    made = Cluster("c", 0, 1)
    made.logs.mkdir(parents=True)
    for name in (*PROGRAMS, diagnosis.SUPERVISOR):
        (made.logs / f"{name}.log").write_text(f"--- start {name}\n{name} said\n")
    spec.save(made.state / supervisor.PROGRAMS, [])
    return made


def record(cluster: Cluster, **states: str) -> None:
    """A journal in which all programs run but those given; this process is the supervisor, and every program."""
    page = Journal(cluster.state / supervisor.JOURNAL)
    for name in PROGRAMS:
        entry = page.entry(name)
        entry.started(os.getpid(), "v1")
        entry.state = states.get(name.replace("-", "_"), "running")
        if entry.state == "failed":
            entry.died("exit code 1", 0.3)
    page.write()


def told(step) -> list[str]:
    with pytest.raises(ClusterError) as error:
        step()
    return str(error.value).splitlines()


def test_the_api_server_waits_for_an_etcd_that_dies(cluster):
    record(cluster, etcd="failed", kube_apiserver="waiting")
    lines = told(lambda: up.wait_for_api(cluster))
    assert lines[0] == "the API server is not there after 0 s"
    assert lines[1].startswith("etcd is failed; its last death: ")
    assert lines[1].endswith("exit code 1 after 0.3 s")
    assert lines[2:] == ["kube-apiserver is waiting", "the log of etcd ends with:", "etcd said"]


def test_who_runs_and_does_not_answer_has_the_word(cluster):
    record(cluster)
    lines = told(lambda: up.wait_for_api(cluster))
    assert lines[1:] == ["the log of kube-apiserver ends with:", "kube-apiserver said"]


def test_containerd(cluster):
    record(cluster, containerd_c_1="failed", kubelet_c_1="waiting")
    lines = told(lambda: up.finish_nodes(cluster, [], up.Progress()))
    assert lines[0] == "containerd on every node is not there after 0 s"
    assert lines[-2:] == ["the log of containerd-c-1 ends with:", "containerd-c-1 said"]


@pytest.mark.parametrize("state", ["running", "starting"])
def test_a_node_that_does_not_register(cluster, monkeypatch, state):
    record(cluster, kubelet_c_1=state)
    monkeypatch.setattr(up.load, "load", lambda *_: None)
    lines = told(lambda: up.finish_nodes(cluster, [], up.Progress()))
    assert lines[0] == "every node is not there after 0 s"
    assert lines[-2:] == ["the log of kubelet-c-1 ends with:", "kubelet-c-1 said"]


def test_a_supervisor_that_does_not_come(cluster, monkeypatch):
    record(cluster)
    monkeypatch.setattr(up.os, "kill", lambda _pid, _signal: None)
    lines = told(lambda: up.start(cluster))
    assert lines == ["the supervisor is not there after 0 s", "the log of supervisor ends with:", "supervisor said"]


def test_a_supervisor_that_has_gone(cluster, monkeypatch):
    record(cluster)
    monkeypatch.setattr(journal, "start_ticks", lambda _pid: 0)
    lines = told(lambda: up.wait_for_api(cluster))
    assert lines[1:] == ["the supervisor is not running", "the log of supervisor ends with:", "supervisor said"]


def test_many_are_counted_and_no_log_is_no_error(cluster, monkeypatch):
    record(cluster, **{name.replace("-", "_"): "starting" for name in PROGRAMS})
    (cluster.logs / "etcd.log").unlink()
    monkeypatch.setattr(diagnosis, "NAMED", 2)
    expected = ["etcd is starting", "kube-apiserver is starting", "and 2 more", "the log of etcd is empty"]
    assert diagnosis.faults(cluster) == expected
