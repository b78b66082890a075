"""What runs and what does not, by the files that say so."""

import json

import pytest
import yaml

from cluster import bmcs, cgroups, control, layout, node, power
from cluster.errors import ClusterError
from cluster.layout import Cluster
from cluster.spec import Spec


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "CLUSTERS", tmp_path)
    monkeypatch.setattr(control, "programs", lambda _cluster: [Spec("etcd", ("etcd",))])
    monkeypatch.setattr(node, "programs", lambda one: [Spec(f"kubelet-{one.name}", ("kubelet",))])
    made = Cluster("c", 0, 2)
    for each in made.nodes:
        each.state.mkdir(parents=True)
    return made


def names(cluster):
    return [program.name for program in power.wanted(cluster)]


def test_a_node_that_is_down_has_no_programs(cluster):
    first, second = cluster.nodes
    assert names(cluster) == ["etcd", "kubelet-c-1", "kubelet-c-2"]
    (second.state / power.HALTED).write_text(power.OFF)
    assert names(cluster) == ["etcd", "kubelet-c-1"]
    assert (power.is_on(first), power.is_on(second)) == (True, False)


@pytest.mark.parametrize("how", [power.CRASHED, power.HALTING])
def test_what_has_crashed_is_powered(cluster, how):
    (cluster.nodes[0].state / power.HALTED).write_text(how)
    assert power.is_on(cluster.nodes[0])
    assert names(cluster) == ["etcd", "kubelet-c-2"]


def test_up_thaws_who_is_frozen(cluster, tmp_path, monkeypatch):
    (tmp_path / "mountinfo").write_text(f"30 23 0:1 / {tmp_path}/freezer rw - cgroup cgroup rw\n")
    monkeypatch.setattr(cgroups, "MOUNTS", tmp_path / "mountinfo")
    one = cluster.nodes[1]
    states = [tmp_path / f"freezer{group}/freezer.state" for group in (one.cgroup, one.system_cgroup)]
    for state in states:
        state.parent.mkdir(parents=True)
        state.write_text("FROZEN")
    power.reset(cluster)
    assert [state.read_text() for state in states] == ["THAWED", "THAWED"]


def test_a_bmc_lives_on_while_its_node_is_off(cluster):
    bmcs.enable(cluster)
    (cluster.nodes[0].state / power.HALTED).write_text(power.OFF)
    assert names(cluster) == ["etcd", "bmc-c-1", "bmc-c-2", "kubelet-c-2"]


def test_the_password_is_made_once_and_is_nobody_elses(cluster):
    bmcs.enable(cluster)
    password = bmcs.password(cluster)
    bmcs.enable(cluster)
    assert bmcs.password(cluster) == password
    assert (cluster.state / bmcs.RECORD).stat().st_mode & 0o077 == 0


def test_manifests(cluster):
    bmcs.enable(cluster)
    secret, first, second = bmcs.manifests(cluster, "here", "PowerOn")
    assert (secret["metadata"]["namespace"], secret["stringData"]) == ("here", {"password": bmcs.password(cluster)})
    assert [each["metadata"]["name"] for each in (first, second)] == ["c-1", "c-2"]
    (device,) = second["spec"]["levels"][0]["devices"]
    assert device["parameters"]["ip"] == "10.128.32.1"
    assert device["parameters"]["ipport"] == "6232"
    assert bmcs.password(cluster) not in json.dumps([first, second])
    assert yaml.safe_load(yaml.safe_dump(first)) == first


def test_faults(cluster):
    one = cluster.nodes[0]
    assert bmcs.Bmc(one).fault == "honest"
    bmcs.set_fault(one, "liar")
    assert bmcs.Bmc(one).fault == "liar"
    with pytest.raises(ClusterError, match="one of honest, liar"):
        bmcs.set_fault(one, "tired")
